"""The full-screen view of a watch.

Layer: surfaces.
"""
