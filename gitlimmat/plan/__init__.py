"""Plan: what to run, and in what order. Pure."""
