"""What can go wrong here, as sentences for the person at the terminal."""


class StandaloneError(Exception):
    """A sentence that says what is wrong and what to do; shown without a traceback, exit status 1."""
