"""Who exists and how to reach them."""
