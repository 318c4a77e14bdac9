"""The only public door: REST and log streams."""
