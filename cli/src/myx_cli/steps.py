"""The steps of a deployment as they change."""

import threading
from collections.abc import Callable

from myx_cli.api import Client, Document, segment
from myx_cli.endpoint import Endpoint
from myx_cli.errors import Failure
from myx_cli.nouns import DEPLOYMENT

# How often to look, for one deployment; several at once share about twenty looks a second.
_INTERVAL_S = 0.4
_LOOKS_PER_S = 20.0


class StepWatch:
    """Asks MyX how far a deployment is, in a thread of its own, and hands each change of a step to `show`."""

    def __init__(self, endpoint: Endpoint, deployment_id: str, show: Callable[[Document], None], beside: int) -> None:
        self._client = Client(endpoint)
        self._path = f"{DEPLOYMENT.path}/{segment(deployment_id)}"
        self._show = show
        self._interval_s = max(_INTERVAL_S, beside / _LOOKS_PER_S)
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="steps", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Looks no more."""
        self._over.set()
        self._thread.join(5)

    def take(self, deployment: Document) -> None:
        """Shows what is new in `deployment`; a step that was begun and ended between two looks is shown once."""
        with self._lock:
            for step in deployment.get("steps") or []:
                status = str(step.get("status"))
                name = str(step.get("name"))
                if self._known.get(name, "pending") != status:
                    self._known[name] = status
                    self._show(step)

    def _run(self) -> None:
        try:
            while not self._over.wait(self._interval_s):
                try:
                    self.take(self._client.get(self._path))
                except Failure:
                    # The log's own connection says what is wrong, and how long to try.
                    self._over.wait(1)
        except BrokenPipeError:
            # Whoever writes the log notices, too.
            return
        finally:
            self._client.close()
