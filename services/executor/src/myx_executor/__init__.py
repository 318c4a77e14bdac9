"""Makes things happen: commands and their logs."""
