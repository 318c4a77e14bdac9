"""Entry by folder: `python -I -S …/myx_agent/supervisor '<options>'`, without site-packages' start-up cost."""

import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
sys.exit(__import__("myx_agent.supervisor.main", fromlist=["main"]).main(sys.argv[1:]))
