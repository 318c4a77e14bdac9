"""Wire messages to the domain's forms and back. Pure."""
