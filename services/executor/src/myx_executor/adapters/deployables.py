"""What travels to hosts: the agent's bundle, the deployment tool, pushed projects. Blocking work in threads."""

import asyncio
from pathlib import Path

from myx_executor.adapters.bundle import AgentBundle
from myx_executor.adapters.tool import DeploymentTool, check_project, unpack_project
from myx_executor.domain.deployment import SHIPPED
from myx_executor.usecases.deployments.ports import Project, Release, Upload
from myx_kit.errors import FailedPrecondition


class Bundle:
    """Fits `Bundles`. `index`: hosts reach an index, so that only what is ours travels."""

    def __init__(self, bundle: AgentBundle, *, index: bool) -> None:
        self._bundle = bundle
        self._index = index

    async def release(self) -> Release:
        """What the manifest says."""
        info = await asyncio.to_thread(self._bundle.info)
        return Release(info.version, info.digest)

    async def pack(self, content: str, arch: str, python: str) -> Upload:
        """The archive for a host."""
        pack = await asyncio.to_thread(lambda: self._bundle.pack(content, arch, python, index=self._index))
        return Upload(pack.path, pack.sha256)


class ShippedTool:
    """Fits `Tool`."""

    def __init__(self, tool: DeploymentTool, folder: Path | None) -> None:
        self._tool = tool
        self._folder = folder

    async def shipped(self) -> Project:
        """The tool as it is now."""
        archive = await asyncio.to_thread(self._tool.archive)
        return Project(SHIPPED, archive.version, archive.digest, archive.playbooks, archive.size)

    async def shipped_archive(self) -> Upload:
        """Its archive."""
        archive = await asyncio.to_thread(self._tool.archive)
        return Upload(archive.path, archive.digest)

    def shipped_folder(self) -> Path:
        """Its folder. FailedPrecondition `NO_DEPLOYMENT_TOOL`."""
        if self._folder is None:
            raise FailedPrecondition("NO_DEPLOYMENT_TOOL", "the deployment tool is not there: set PLAYBOOKS_DIR")
        return self._folder

    async def check(self, archive: Path) -> tuple[str, ...]:
        """The playbooks of a pushed archive."""
        return (await asyncio.to_thread(check_project, archive)).playbooks

    async def unpack(self, archive: Path, folder: Path) -> None:
        """Unpacks a pushed archive."""
        await asyncio.to_thread(unpack_project, archive, folder)
