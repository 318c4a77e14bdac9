"""Parts of the composition root, by what they serve."""
