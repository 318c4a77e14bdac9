"""`myx context list|use|show|remove`: no network, no token shown."""

from argparse import Namespace

from myx_cli import contexts
from myx_cli.api import Document
from myx_cli.contexts import Book, Context
from myx_cli.errors import UsageError
from myx_cli.output import note, print_line
from myx_cli.sinks import print_json
from myx_cli.tables import print_facts, print_table
from myx_cli.text import clean


def list_(arguments: Namespace) -> int:
    """Lists contexts by name."""
    book = contexts.load()
    if arguments.output == "json":
        print_json({"items": [_document(book, name) for name in sorted(book.contexts)]})
        return 0
    rows = [
        ("*" if name == book.current else "", name, context.user, context.url)
        for name, context in sorted(book.contexts.items())
    ]
    print_table(("", "Name", "User", "Address"), rows, "no contexts yet: myx login URL")
    return 0


def use(arguments: Namespace) -> int:
    """Makes a context the one in use, or none."""
    if bool(arguments.name) == arguments.none:
        raise UsageError("which context? its name, or --none")
    book = contexts.load()
    if arguments.name:
        contexts.known(book, arguments.name)
    contexts.save(book._replace(current=arguments.name or ""))
    print_line(f"context {clean(arguments.name)} is in use" if arguments.name else "no context is in use")
    return 0


def show(arguments: Namespace) -> int:
    """Shows the context in use, or another one."""
    book = contexts.load()
    name = arguments.name or arguments.context or book.current
    if not name:
        raise UsageError("no context is in use: which one? (myx context list)")
    context = contexts.known(book, name)
    if arguments.output == "json":
        print_json(_document(book, name))
        return 0
    print_facts(
        [
            ("name", name),
            ("in use", "yes" if name == book.current else "no"),
            ("address", context.url),
            ("user", context.user),
            ("token", _token(context)),
            ("authority", "its own" if context.ca else ""),
            ("kept in", contexts.book_file()),
        ]
    )
    return 0


def remove(arguments: Namespace) -> int:
    """Forgets contexts; their tokens stay valid."""
    book = contexts.load()
    for name in arguments.names:
        context = contexts.known(book, name)
        if context.token_id:
            note(f"{clean(name)}: its token {clean(context.token_id)} stays valid (myx logout revokes it)")
    rest = {name: context for name, context in book.contexts.items() if name not in arguments.names}
    contexts.save(Book(rest, book.current if book.current in rest else ""))
    return 0


def _document(book: Book, name: str) -> Document:
    context = book.contexts[name]
    facts = {"url": context.url, "user": context.user, "token_id": context.token_id, "own_authority": bool(context.ca)}
    return {"name": name, "current": name == book.current, **facts}


def _token(context: Context) -> str:
    return f"{context.token_id}, made by myx login" if context.token_id else "given"
