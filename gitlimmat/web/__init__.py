"""Surfaces: pages and JSON over HTTP. They show boards and the store, and pass on what the user asks."""
