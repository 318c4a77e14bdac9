"""What the registry does, a noun per module. Each use case is one transaction."""
