"""Surfaces: the command line. One file a command; nothing is decided here."""
