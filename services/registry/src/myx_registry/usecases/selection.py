"""Which servers are meant."""

from collections.abc import Sequence
from typing import Final

from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import InvalidArgument
from myx_registry.domain.selector_parser import parse
from myx_registry.domain.servers import Match
from myx_registry.store import servers
from myx_registry.usecases.references import server_not_found

_MAX_NAMED: Final = 10_000


class Selection:
    """From a selector, or from ids and names, to servers."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def resolve(self, selector: str, references: Sequence[str]) -> list[Match]:
        """The servers that are meant, as they are at one moment, each once, by name; none if a selector matches none.

        Raises InvalidArgument `SELECTOR_INVALID` (also when both or neither are given), NotFound `SERVER_NOT_FOUND`.
        """
        if bool(selector) == bool(references):
            given = "Both were" if selector else "Neither was"
            message = f"Give a selector or names of servers; for every server the selector 'all'. {given} given."
            raise InvalidArgument("SELECTOR_INVALID", message, field="selector", position="1")
        if selector:
            tree = parse(selector)
            async with self._uow.begin() as connection:
                return await servers.select_matches(connection, tree)
        if len(references) > _MAX_NAMED:
            message = f"Name at most {_MAX_NAMED} servers, or use a selector."
            raise InvalidArgument("SELECTOR_INVALID", message, field="servers")
        async with self._uow.begin() as connection:
            found = await servers.named_matches(connection, references)
        _check_all_found(references, found)
        return found


def _check_all_found(references: Sequence[str], found: Sequence[Match]) -> None:
    known = {match.name for match in found} | {str(match.id) for match in found}
    for reference in references:
        if reference not in known:
            raise server_not_found(reference)
