"""Builds the agent's bundle: everything that an installation needs, for hosts without internet."""
