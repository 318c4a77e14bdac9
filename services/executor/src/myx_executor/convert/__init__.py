"""Proto and domain, both ways. Pure."""
