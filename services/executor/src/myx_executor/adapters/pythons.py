"""Interpreters for hosts that have none that fits: relocatable builds of CPython in a folder."""

import asyncio
import re
from pathlib import Path

from myx_executor.adapters.preflight_script import PYTHONS
from myx_executor.usecases.deployments.ports import PythonBuild

# As python-build-standalone names its releases. Builds for a level of x86-64 (x86_64_v3) are not for every host.
_NAME = re.compile(
    r"(cpython-(?P<minor>3\.\d+)\.(?P<patch>\d+)(\+\d+)?-(?P<arch>x86_64|aarch64)-unknown-linux-gnu)"
    r"-install_only(_stripped)?\.tar\.gz"
)


class PythonFolder:
    """Fits `Pythons`. What is in the folder is the control plane's own and trusted."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    async def build_for(self, arch: str) -> PythonBuild | None:
        """The newest of the versions that the agent likes best."""
        return await asyncio.to_thread(self._newest, arch)

    def _newest(self, arch: str) -> PythonBuild | None:
        if self._folder is None or not self._folder.is_dir():
            return None
        found = [(match, path) for path in self._folder.iterdir() if (match := _NAME.fullmatch(path.name))]
        usable = [one for one in found if one[0]["arch"] == arch and one[0]["minor"] in PYTHONS and one[1].is_file()]
        if not usable:
            return None
        match, path = min(usable, key=lambda one: (PYTHONS.index(one[0]["minor"]), -int(one[0]["patch"]), one[1].name))
        return PythonBuild(match[1], path)
