"""The verbs of the executor."""
