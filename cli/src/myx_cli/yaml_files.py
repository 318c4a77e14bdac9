"""YAML, with PyYAML imported only when there is some to read."""

from typing import Any

from myx_cli.errors import UsageError
from myx_cli.text import clean


def load(content: bytes, where: str) -> Any:
    """The one document in `content`. UsageError with the line for what is no YAML."""
    import yaml

    try:
        return yaml.safe_load(content)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{where} is not YAML: {problem(error)}") from None


def problem(error: Exception) -> str:
    """What is wrong and in which line; nothing of the text itself, which may hold secrets."""
    mark = getattr(error, "problem_mark", None)
    text = clean(getattr(error, "problem", None) or "it cannot be read")
    return f"line {mark.line + 1}: {text}" if mark is not None else text
