"""What a host needs before a play can run there: the tool, a project, a file, Ansible."""

import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from myx_executor.domain.command import CommandSpec
from myx_executor.domain.deployment import SHIPPED, StepFailed, StepSkipped
from myx_executor.usecases.deployments import host
from myx_executor.usecases.deployments.agent_work import demand_success, run_command
from myx_executor.usecases.deployments.ports import Upload
from myx_executor.usecases.deployments.run import Run

_INSTALL_ANSIBLE_S = 900.0


async def sync_tool(run: Run) -> str:
    """The shipped tool on the agent's host, by digest."""
    shipped = await run.tools.tool.shipped()
    status = await run.tools.fleet.status(run.server_id)
    if _tool(status).get("digest") == shipped.digest:
        raise StepSkipped(f"the deployment tool {shipped.version} is there already")
    upload = await run.tools.tool.shipped_archive()
    await run.tools.fleet.put_file(run.server_id, upload, root=host.TOOL_ROOT, path=SHIPPED, extract=True)
    return f"sent the deployment tool {shipped.version}"


async def sync_project(run: Run) -> str:
    """The pushed project of the deployment on the agent's host, by digest."""
    name, digest = run.deployment.plan.project, run.deployment.project_digest
    status = await run.tools.fleet.status(run.server_id)
    projects = _tool(status).get("projects")
    if isinstance(projects, dict) and projects.get(name) == digest:
        raise StepSkipped(f"version {run.deployment.project_version} of {name} is there already")
    async with project_archive(run) as archive:
        await run.tools.fleet.put_file(
            run.server_id, archive, root=host.TOOL_ROOT, path=f"projects/{name}", extract=True
        )
    return f"sent version {run.deployment.project_version} of {name}"


async def send_artifact(run: Run) -> str:
    """The artifact on the agent's host."""
    sha256 = run.deployment.plan.artifact_sha256
    async with _artifact(run) as upload:
        await run.tools.fleet.put_file(run.server_id, upload, root=host.FILES_ROOT, path=f"artifacts/{sha256}")
    status = await run.tools.fleet.status(run.server_id)
    await run.remember(artifact_path=f"{host.folder(status, 'files')}/artifacts/{sha256}")
    return f"sent {sha256[:12]}"


async def put_artifact(run: Run) -> str:
    """The artifact on the host, over SSH."""
    session = await run.session()
    async with _artifact(run) as upload:
        await session.put(upload.path, artifact_path(run))
    return f"sent {run.deployment.plan.artifact_sha256[:12]}"


def artifact_path(run: Run) -> str:
    """Where the artifact lies on the host."""
    path: str = run.state("artifact_path") or f"{host.FILES}/artifacts/{run.deployment.plan.artifact_sha256}"
    return path


async def ensure_ansible(run: Run) -> str:
    """Ansible beside the agent, installed when it is missing: from what travels, or from the host's index."""
    status = await run.tools.fleet.status(run.server_id)
    if status.get("ansible"):
        raise StepSkipped("Ansible is there already")
    arch, python = host_platform(status)
    pack = await run.tools.bundles.pack("ansible", arch, python)
    name = f"ansible-{pack.sha256[:16]}.tar"
    await run.tools.fleet.put_file(run.server_id, pack, root=host.STAGING_ROOT, path=name)
    shipped = await run.tools.tool.shipped()
    tool = host.release_folder(SHIPPED, shipped.digest, host.folder(status, "deployment_tool"))
    variables = {"MYX_ANSIBLE_DIR": host.folder(status, "ansible"), "MYX_INDEX_URL": run.tools.index_url}
    spec = CommandSpec(
        "/bin/sh",
        (f"{tool}/scripts/install_ansible.sh", f"{host.folder(status, 'staging')}/{name}"),
        env={key: value for key, value in variables.items() if value},
        timeout_s=_INSTALL_ANSIBLE_S,
    )
    end = await run_command(run, "install_ansible", spec, announce="Installing Ansible on the host …")
    demand_success(
        end, "ANSIBLE_INSTALL_FAILED", "Ansible could not be installed", "look at the log, then run it again"
    )
    return "installed Ansible"


def host_platform(status: dict[str, Any]) -> tuple[str, str]:
    """Architecture and Python (`3.11`) as an agent tells them."""
    arch, python = str(status.get("arch", "")), str(status.get("python", ""))
    minor = ".".join(python.split(".")[:2])
    if not arch or not minor:
        raise StepFailed(
            "AGENT_ANSWER_INVALID", "the agent does not say what its host is", "upgrade the agent over SSH"
        )
    return arch, minor


@asynccontextmanager
async def project_archive(run: Run) -> AsyncIterator[Upload]:
    """The archive of the deployment's project as a file."""
    name, digest = run.deployment.plan.project, run.deployment.project_digest
    versions = await run.tools.files.versions(name)
    version = next((one for one in versions if one.digest == digest), None)
    if version is None:
        raise StepFailed("PROJECT_GONE", f"this version of {name} was deleted", "push it again, then start anew")
    async with _file(run, version.blob_id, digest) as path:
        yield Upload(path, digest)


@asynccontextmanager
async def project_folder(run: Run) -> AsyncIterator[Path]:
    """The deployment's project, or the shipped tool, as a folder here."""
    if run.deployment.plan.project == SHIPPED:
        yield run.tools.tool.shipped_folder()
        return
    with tempfile.TemporaryDirectory(prefix="myx-project-", dir=run.tools.work_dir) as name:
        folder = Path(name) / "project"
        async with project_archive(run) as archive:
            await run.tools.tool.unpack(archive.path, folder)
        yield folder


@asynccontextmanager
async def _artifact(run: Run) -> AsyncIterator[Upload]:
    sha256 = run.deployment.plan.artifact_sha256
    artifact = await run.tools.files.artifact(sha256)
    if artifact is None:
        raise StepFailed("ARTIFACT_NOT_FOUND", "the artifact was deleted", "push it again, then start anew")
    async with _file(run, artifact.blob_id, sha256) as path:
        yield Upload(path, sha256)


@asynccontextmanager
async def _file(run: Run, blob_id: UUID, sha256: str) -> AsyncIterator[Path]:
    """StepFailed when what is stored is not what was pushed."""
    with tempfile.NamedTemporaryFile(prefix="myx-send-", dir=run.tools.work_dir) as file:
        digest = hashlib.sha256()
        async for chunk in run.tools.files.chunks(blob_id):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        if digest.hexdigest() != sha256:
            message = f"what is stored has the SHA-256 {digest.hexdigest()}, not {sha256}"
            raise StepFailed("STORED_FILE_DAMAGED", message, "delete it, push it again, then start anew")
        yield Path(file.name)


def _tool(status: dict[str, Any]) -> dict[str, Any]:
    tool = status.get("deployment_tool")
    return tool if isinstance(tool, dict) else {}
