"""The contexts that `myx login` has made: where MyX is, and the token of this machine for it."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from myx_cli.errors import Failure
from myx_cli.private_files import read_private, write_private
from myx_cli.text import clean

Contexts = dict[str, "Context"]


class Context(NamedTuple):
    """`token_id` is that of a token that this program made, and so may revoke; `ca` is an authority as PEM text."""

    url: str
    token: str
    token_id: str = ""
    user: str = ""
    ca: str = ""

    def __repr__(self) -> str:
        """The address only: the token never reaches a log or a trace."""
        return f"Context({self.url})"


class Book(NamedTuple):
    """All contexts by name, and the name of the one in use; empty: none."""

    contexts: Contexts
    current: str


def book_file() -> Path:
    """Where they are kept: `myx/contexts.json` below $XDG_CONFIG_HOME, else below ~/.config."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    # The specification: a relative path there is not valid, and ignored.
    folder = Path(base) if base.startswith("/") else Path(os.environ.get("HOME") or "/nonexistent") / ".config"
    return folder / "myx" / "contexts.json"


def load() -> Book:
    """What is kept. Failure when others can read it, or when it is damaged."""
    path = book_file()
    if not os.path.lexists(path):
        return Book({}, "")
    try:
        content = json.loads(read_private(path))
        contexts = {str(name): _context(facts) for name, facts in content["contexts"].items()}
        return Book(contexts, str(content.get("current") or ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Failure(f"{path} is damaged; when it is removed, myx login writes it anew") from None


def _context(facts: dict[str, Any]) -> Context:
    known = {name: str(facts[name]) for name in Context._fields if facts.get(name)}
    return Context(**known)


def save(book: Book) -> None:
    """Keep `book`, readable by nobody else; what was kept before is replaced in one step."""
    # A link stays one: people keep their configuration elsewhere.
    path = Path(os.path.realpath(book_file()))
    contexts = {name: context._asdict() for name, context in sorted(book.contexts.items())}
    text = json.dumps({"current": book.current, "contexts": contexts}, indent=2)
    beside = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(beside, text + "\n")
        beside.replace(path)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror or 'unwritable'}") from None


def known(book: Book, name: str) -> Context:
    """The context `name`. Failure: there is none."""
    context = book.contexts.get(name)
    if context is None:
        raise Failure(f"there is no context {clean(name)!r}; those there are: {_names(book)}")
    return context


def _names(book: Book) -> str:
    return ", ".join(map(clean, sorted(book.contexts))) or "none (myx login makes one)"
