"""Service: one function or class per use case; owns the event loop, retries and order of work."""
