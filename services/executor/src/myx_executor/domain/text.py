"""Text from agents, made fit to be stored."""

_LONGEST = 4000


def clean(text: str) -> str:
    """The text without what PostgreSQL cannot keep (NUL, halves of surrogate pairs), cut to a sensible length."""
    return text[:_LONGEST].encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
