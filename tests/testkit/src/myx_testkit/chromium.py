"""Which Chromium stands in front of the dashboard, and how it is started."""

import os
import shutil
from typing import Final

PATH: Final = os.environ.get("MYX_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
