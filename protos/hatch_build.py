"""Build hook: the stubs are made from the protos at every build and install, never committed."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GenerateStubs(BuildHookInterface[Any]):
    """Runs `generate.py` before the wheel is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        sys.path.insert(0, str(Path(self.root)))
        from generate import generate  # beside this file, which no path points at before

        if self.target_name == "wheel":
            generate()
