"""The verbs of the heartbeat service."""
