"""Measurements of MyX beside what a user would pick instead."""
