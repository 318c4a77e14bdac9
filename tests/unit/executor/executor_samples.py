"""A command as tests want it."""

from datetime import UTC, datetime
from uuid import uuid4

from myx_executor.domain.command import Command, CommandSpec, Completeness
from myx_executor.domain.states import Status


def command(**changes):
    values = {
        "id": uuid4(),
        "server_id": "s",
        "server_name": "s",
        "agent_id": "a",
        "spec": CommandSpec("true"),
        "secret_env_names": (),
        "status": Status.RUNNING,
        "reason": "",
        "message": "",
        "exit_code": None,
        "signal": "",
        "created_at": datetime.now(UTC),
        "dispatch_at": datetime.now(UTC),
        "started_at": datetime.now(UTC),
        "ended_at": None,
        "cancel_requested_at": None,
        "cancel_grace_s": None,
        "log_size": 0,
        "completeness": Completeness.OPEN,
        "result": None,
        "attempts": (),
        "requested_by": "",
        "fence": 3,
        "revision": 0,
    }
    return Command(**values | changes)
