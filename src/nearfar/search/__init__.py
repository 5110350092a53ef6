"""The public face of an index."""
