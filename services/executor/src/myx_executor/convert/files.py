"""Projects and artifacts: domain to proto. Pure."""

from myx.executor.v1 import playbook_service_pb2 as pb
from myx_executor.store.files import ProjectVersion, StoredArtifact
from myx_executor.usecases.deployments.ports import Project
from myx_kit.wire_time import timestamp


def project_to_proto(project: Project | ProjectVersion) -> pb.Project:
    """A project in one version."""
    out = pb.Project(
        name=project.name,
        version=str(project.version),
        digest=project.digest,
        size_bytes=project.size_bytes,
        playbooks=project.playbooks,
    )
    if isinstance(project, ProjectVersion):
        out.pushed_at.CopyFrom(timestamp(project.pushed_at))
        out.pushed_by = project.pushed_by
    return out


def artifact_to_proto(artifact: StoredArtifact) -> pb.Artifact:
    """An artifact."""
    return pb.Artifact(
        sha256=artifact.sha256,
        name=artifact.name,
        size_bytes=artifact.size_bytes,
        pushed_at=timestamp(artifact.pushed_at),
        pushed_by=artifact.pushed_by,
    )
