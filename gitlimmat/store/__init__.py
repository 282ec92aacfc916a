"""Store: the only code that knows our refs and formats."""
