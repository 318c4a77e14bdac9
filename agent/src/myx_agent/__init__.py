"""The passive agent of MyX."""
