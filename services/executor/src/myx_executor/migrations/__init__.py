"""Schema migrations, additive first."""
