"""What a command is, what may become of it, and what its log consists of. Standard library only."""
