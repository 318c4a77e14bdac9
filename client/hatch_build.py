"""Build hook: models and operations are made from the OpenAPI document at every build and install, never committed."""

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GenerateClient(BuildHookInterface[Any]):
    """Runs `generate.py` before the wheel is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "wheel":
            runpy.run_path(str(Path(self.root) / "generate.py"))["generate"]()
