"""Many agents in few processes: real TLS and the real protocol, commands that are played and not run. Not shipped."""
