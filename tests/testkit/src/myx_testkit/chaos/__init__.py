"""A whole control plane of several replicas, with everything between its parts in a test's hands."""
