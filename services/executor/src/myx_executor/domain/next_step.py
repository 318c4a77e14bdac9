"""What happens next to a command, as a sentence."""

from myx_executor.domain.command import Command


def next_sentence(command: Command) -> str:
    """What happens next, and when at the latest; empty once it is final."""
    return ""
