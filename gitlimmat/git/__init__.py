"""Git: the only code that imports pygit2 or spawns git."""
