"""Pytest plugin: the fixtures that every part's tests share."""
