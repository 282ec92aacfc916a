"""Runner: processes of jobs, from their start to the end of their last descendant."""
