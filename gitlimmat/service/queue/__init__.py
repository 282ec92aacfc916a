"""The merge queue at work: its daemon, its hooks, and what its commands do."""
