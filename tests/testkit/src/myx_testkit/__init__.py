"""Fixtures that run the real parts in tests."""
