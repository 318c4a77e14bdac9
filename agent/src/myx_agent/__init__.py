"""The passive agent of MyX."""

__version__ = "0.1.0"
