"""The client."""

import ssl
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from myx_client import api, models
from myx_client.event_stream import Event, EventGap, follow_events
from myx_client.job_stream import JobFrame, follow_job
from myx_client.log_stream import LogFrame, follow_log
from myx_client.transport import Transport, segment

TIMEOUT_S = 180.0
RETRY_FOR_S = 30.0
RECONNECT_FOR_S = 120.0


class Commands(api.CommandsApi):
    """Commands, and their output as it is written."""

    def __init__(self, transport: Transport, reconnect_for_s: float) -> None:
        super().__init__(transport)
        self._reconnect_for_s = reconnect_for_s

    def follow(self, command_id: str, /, *, offset: int = 0) -> AsyncGenerator[LogFrame[models.Command]]:
        """The log from `offset` to the end of the command, across every loss of the connection.

        The last frame is an End with the command. ApiError; Unreachable when MyX stays away.
        """
        path = api.STREAMS["commands.stream_log"].format(command_id=segment(command_id))
        limit_s = self._reconnect_for_s
        return follow_log(self._transport, path, models.Command, "command", offset=offset, reconnect_for_s=limit_s)


class Deployments(api.DeploymentsApi):
    """Deployments, and their log as it is written."""

    def __init__(self, transport: Transport, reconnect_for_s: float) -> None:
        super().__init__(transport)
        self._reconnect_for_s = reconnect_for_s

    def follow(self, deployment_id: str, /, *, offset: int = 0) -> AsyncGenerator[LogFrame[models.Deployment]]:
        """The log from `offset` to the end of the deployment; as `commands.follow`."""
        path = api.STREAMS["deployments.stream_log"].format(deployment_id=segment(deployment_id))
        limit_s = self._reconnect_for_s
        return follow_log(
            self._transport, path, models.Deployment, "deployment", offset=offset, reconnect_for_s=limit_s
        )


class Jobs(api.JobsApi):
    """Jobs, and how they go on."""

    def __init__(self, transport: Transport, reconnect_for_s: float) -> None:
        super().__init__(transport)
        self._reconnect_for_s = reconnect_for_s

    def follow(self, job_id: str, /, *, output: bool = False) -> AsyncGenerator[JobFrame]:
        """The job and its targets as they change, with `output` also what they write, to the end of the job.

        The last frame is the job in a final state. ApiError; Unreachable when MyX stays away.
        """
        path = api.STREAMS["jobs.stream"].format(job_id=segment(job_id))
        return follow_job(self._transport, path, self._reconnect_for_s, output=output)


class Client(api.Api):
    """MyX at `url`, as whoever has `token`. One per program: it holds a pool of connections.

    `ca` is a file with the authority that MyX's certificate is from, where the system does not know it. `timeout_s`
    is the longest silence before an answer. What is harmless to repeat is tried again for `retry_for_s`, a stream
    that broke off for `reconnect_for_s`. ValueError: an address that the token must not be sent to.
    """

    commands: Commands
    deployments: Deployments
    jobs: Jobs

    def __init__(
        self,
        url: str,
        token: str,
        *,
        ca: Path | str | None = None,
        timeout_s: float = TIMEOUT_S,
        retry_for_s: float = RETRY_FOR_S,
        reconnect_for_s: float = RECONNECT_FOR_S,
        insecure_http: bool = False,
    ) -> None:
        """`insecure_http` allows http to another host than this one: the token then travels in the clear."""
        _check(url, token, insecure_http=insecure_http)
        tls = ssl.create_default_context(cafile=ca) if ca is not None else None
        transport = Transport(url, token, tls=tls, timeout_s=timeout_s, retry_for_s=retry_for_s)
        super().__init__(transport)
        self._transport = transport
        self._reconnect_for_s = reconnect_for_s
        self.commands = Commands(transport, reconnect_for_s)
        self.deployments = Deployments(transport, reconnect_for_s)
        self.jobs = Jobs(transport, reconnect_for_s)

    def events(
        self, *, after: str = "", types: Sequence[str] = (), server: str = ""
    ) -> AsyncGenerator[Event | EventGap]:
        """What happens in the fleet, across every loss of the connection, for ever.

        From now on, or behind the event `after`; `0`: from the oldest that is kept. `types` are `agent.offline`, or
        `agent` for all of an agent; `server` is a name or id. ApiError; Unreachable when MyX stays away.
        """
        path, limit_s = api.STREAMS["events.stream"], self._reconnect_for_s
        return follow_events(self._transport, path, after=after, types=types, server=server, reconnect_for_s=limit_s)

    def __repr__(self) -> str:
        """The address only."""
        return f"Client({self._transport!r})"

    async def __aenter__(self) -> Self:
        await self._transport.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()


def _check(url: str, token: str, *, insecure_http: bool) -> None:
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("the address of MyX is not a URL: expected http://127.0.0.1:8470 or https://HOST")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("the address of MyX holds more than scheme, host, port and path")
    local = host in {"localhost", "::1"} or host.startswith("127.")
    if parts.scheme == "http" and not local and not insecure_http:
        raise ValueError(f"http to {host} would send the token in the clear: use https, or insecure_http=True")
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("the token is empty or holds characters that no token has")
