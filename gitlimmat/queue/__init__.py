"""The merge queue's pure core: commands, rights, timelines, state, plans."""
