"""All of MyX on one machine."""
