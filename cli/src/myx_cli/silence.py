"""Why nothing comes: what is told while a command waits in line or its agent cannot be reached."""

from myx_cli.api import Client, segment
from myx_cli.endpoint import Endpoint
from myx_cli.errors import Failure
from myx_cli.nouns import COMMAND, Noun
from myx_cli.outcome import FINAL
from myx_cli.output import note
from myx_cli.text import clean

_ANSWER_S = 5.0
# States in which nothing comes without a cause: what happens next is told then.
_EXPLAINED = frozenset({"pending", "queued", "cancelling"})


class Silence:
    """To be called at each sign of life of a stream that has nothing else to say: tells each cause once."""

    def __init__(self, endpoint: Endpoint, id_: str, noun: Noun = COMMAND) -> None:
        self._endpoint = endpoint
        self._path = f"{noun.path}/{segment(id_)}"
        self._told = ""

    def __call__(self) -> None:
        """Asks where it stands. What cannot be asked is not told: the stream itself says when MyX is away."""
        client = Client(self._endpoint, _ANSWER_S)
        try:
            document = client.get(self._path)
        except Failure:
            return
        finally:
            client.close()
        status, message = (clean(document.get(name) or "") for name in ("status", "message"))
        if not message and status in _EXPLAINED:
            message = clean(document.get("next") or "")
        if message == self._told or status in FINAL:
            return
        self._told = message
        note(f"{status}: {message}" if message else status)
