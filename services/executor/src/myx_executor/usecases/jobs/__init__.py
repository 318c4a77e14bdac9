"""Jobs: one command or deployment on many servers."""
