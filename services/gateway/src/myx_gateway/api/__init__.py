"""REST, a router per noun."""
