"""Projects of playbooks, and artifacts."""

from typing import Any

from myx.executor.v1 import playbook_service_pb2
from myx_gateway.convert.wire import moment_of
from myx_gateway.schemas.playbooks import Artifact, Project, PushedProject


def project(message: playbook_service_pb2.Project) -> Project:
    """A project in its newest version."""
    return Project(**_fields(message))


def pushed_project(message: playbook_service_pb2.PushProjectResponse) -> PushedProject:
    """A project that was just pushed."""
    return PushedProject(**_fields(message.project), changed=message.changed)


def artifact(message: playbook_service_pb2.Artifact) -> Artifact:
    """A stored file."""
    return Artifact(
        sha256=message.sha256,
        name=message.name,
        size_bytes=message.size_bytes,
        pushed_at=moment_of(message, "pushed_at"),
        pushed_by=message.pushed_by,
    )


def _fields(message: playbook_service_pb2.Project) -> dict[str, Any]:
    return {
        "name": message.name,
        "version": message.version,
        "digest": message.digest,
        "size_bytes": message.size_bytes,
        "playbooks": list(message.playbooks),
        "pushed_at": moment_of(message, "pushed_at"),
        "pushed_by": message.pushed_by,
    }
