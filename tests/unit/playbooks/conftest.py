"""The deployment tool's scripts are no distribution: they are found where they stand."""

import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[3] / "playbooks" / "scripts"
sys.path.insert(0, str(SCRIPTS))
