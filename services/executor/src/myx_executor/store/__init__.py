"""Every SQL statement of the executor."""
