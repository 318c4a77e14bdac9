"""Projects of playbooks, and artifacts."""

from datetime import datetime

from pydantic import Field

from myx_gateway.schemas.common import Answer


class Project(Answer):
    """Playbooks that can be run, in their newest version; `myx` is what ships with MyX."""

    name: str
    version: str
    digest: str = Field(description="Lower-case hex SHA-256 of the archive.")
    size_bytes: int
    playbooks: list[str]
    pushed_at: datetime | None
    pushed_by: str


class PushedProject(Project):
    """A project that was just pushed."""

    changed: bool = Field(description="False when this content was the newest version already.")


class ProjectPage(Answer):
    """One page of projects, `myx` first, then by name."""

    items: list[Project]
    next_page_token: str | None


class Artifact(Answer):
    """A stored file for plays on hosts without internet."""

    sha256: str
    name: str
    size_bytes: int
    pushed_at: datetime | None
    pushed_by: str


class ArtifactPage(Answer):
    """One page of artifacts, newest first."""

    items: list[Artifact]
    next_page_token: str | None
