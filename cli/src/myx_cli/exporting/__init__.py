"""Forms in which servers are given to other programs."""
