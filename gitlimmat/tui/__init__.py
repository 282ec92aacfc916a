"""Surfaces: the live view in a terminal. It shows boards and passes on what the user asks."""
