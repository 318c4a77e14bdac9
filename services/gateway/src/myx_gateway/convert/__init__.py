"""Wire messages to REST schemas and back, pure; a module per noun."""
