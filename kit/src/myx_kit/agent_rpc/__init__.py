"""The one client of the agent protocol: pinned TLS, token, signatures, retry rules, log stream."""
