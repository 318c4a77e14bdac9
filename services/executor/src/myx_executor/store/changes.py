"""The history of states as SQL: one more change, written by the statement that makes it."""

from typing import LiteralString

# Of the older ones the first stays.
MAX_CHANGES = 64

OWNER: LiteralString = "'executor:' || coalesce(c.owner, '')"


def first_change(to: LiteralString, actor: LiteralString, cause: LiteralString) -> LiteralString:
    """The column `changes` of a new row; the arguments are SQL expressions."""
    return (
        "jsonb_build_array(jsonb_build_object("
        f"'at', now(), 'from', '', 'to', {to}, 'actor', {actor}, 'cause', {cause}, 'evidence', ''))"
    )


def one_more(to: LiteralString, actor: LiteralString, cause: LiteralString, evidence: LiteralString) -> LiteralString:
    """The column `changes` of row `c` with a change to `to`; the arguments are SQL expressions."""
    return (
        "(case when jsonb_array_length(c.changes) >= 64 then c.changes - 1 else c.changes end)"
        f" || jsonb_build_array(jsonb_build_object('at', now(), 'from', c.status, 'to', {to}, 'actor', {actor},"
        f" 'cause', {cause}, 'evidence', {evidence}))"
    )


def entered(
    to: LiteralString, actor: LiteralString, cause: LiteralString, evidence: LiteralString = "''"
) -> LiteralString:
    """Assignments of `status`, `status_since` and `changes` for a row that enters `to`."""
    return f"status = {to}, status_since = now(), changes = {one_more(to, actor, cause, evidence)}"
