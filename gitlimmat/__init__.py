"""Test every commit of a branch, and keep what was learned inside git."""

__version__ = "0.1.0"
