"""Jobs: one thing on many servers, started once and watched to its end."""
