"""Schedules: work that starts by the clock."""
