"""What stops a build."""


class BuildError(Exception):
    """One line for whoever builds."""
