"""The myx command."""
