"""Which servers a selector matches, shown before anything starts."""

from myx_cli.api import Client, Document
from myx_cli.asking import can_ask, yes
from myx_cli.errors import INTERRUPTED, ApiError, Failure, Unreachable, UsageError
from myx_cli.output import note, tell
from myx_cli.session import Session
from myx_cli.starting import FIRST_CONTACT_S, end_if_asked
from myx_cli.text import clean

_NAMES_MOST = 10
NOTHING_STARTED = "; nothing was started"


class Selection:
    """What was shown, and its digest, by which MyX knows whether the list is another by now."""

    def __init__(
        self, client: Client, session: Session, selector: str, options: Document, *, agreed: bool, quiet: bool
    ) -> None:
        """`agreed` asks nothing; `quiet` shows nothing then."""
        self._client = client
        self._session = session
        self._selector = selector
        self._options = options
        self._agreed = agreed
        self._quiet = quiet
        self._names: list[str] | None = None

    def agree(self) -> str:
        """Shows the servers and asks; the digest of what was agreed on. Failure: not agreed, or nothing matches."""
        if not self._agreed and not can_ask():
            raise UsageError(f"nobody can be asked here: --yes runs on all that {self._selector!r} matches, unasked")
        preview = self._preview()
        end_if_asked(self._session)
        targets = preview.get("targets")
        if not isinstance(targets, list) or not targets or not preview.get("targets_sha256"):
            raise Failure("MyX did not answer with a list of servers; is the address right?")
        self._show([clean(target.get("server_name")) for target in targets], int(preview.get("batch_count") or 1))
        return str(preview["targets_sha256"])

    def _preview(self) -> Document:
        patience = self._session.patience()
        while True:
            try:
                return self._client.post("/jobs/preview", {"selector": self._selector, "options": self._options})
            except (ApiError, Unreachable) as error:
                temporary = error.temporary if isinstance(error, ApiError) else not error.permanent
                if not temporary or not patience.pause(error.message, min(FIRST_CONTACT_S, patience.limit_s)):
                    raise _refused(error) from None
            end_if_asked(self._session)

    def _show(self, names: list[str], batches: int) -> None:
        before, self._names = self._names, names
        if before is not None and not (self._agreed and self._quiet):
            note(f"the list has changed meanwhile: {_difference(before, names)}")
        if self._agreed and self._quiet:
            return
        in_batches = f" in {batches} batches" if batches > 1 else ""
        if self._agreed:
            note(f"on {count(len(names))}{in_batches}: {first_names(names)}")
            return
        tell(first_names(names))
        with self._session.question():
            agreed = yes(f"Run on {count(len(names))}{in_batches}? [y/N] ")
        if not agreed:
            raise Failure("nothing was started", INTERRUPTED)


def count(number: int) -> str:
    """`1 server`, `12 servers`."""
    return "1 server" if number == 1 else f"{number} servers"


def first_names(names: list[str]) -> str:
    """The first ten, and how many more there are."""
    more = len(names) - _NAMES_MOST
    return ", ".join(names[:_NAMES_MOST]) + (f" and {more} more" if more > 0 else "")


def _difference(before: list[str], names: list[str]) -> str:
    come, gone = sorted(set(names) - set(before)), sorted(set(before) - set(names))
    parts = [f"{first_names(come)} came" if come else "", f"{first_names(gone)} went" if gone else ""]
    return ", ".join(part for part in parts if part) or "names are the same, servers or their order are not"


def _refused(error: ApiError | Unreachable) -> Failure:
    if isinstance(error, ApiError) and error.reason == "SELECTOR_MATCHES_NOTHING":
        return Failure(
            f"{error.message.rstrip('.')}{NOTHING_STARTED}: myx server list -l shows what a selector matches"
        )
    return error
