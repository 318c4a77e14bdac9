"""Jobs and their targets."""
