"""nearfar: embedding models for retrieval, trained by contrast."""

__version__ = "0.1.0"
