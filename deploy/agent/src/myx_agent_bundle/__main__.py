"""myx-agent-bundle: build what servers get installed."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from myx_agent_bundle import agent_wheel
from myx_agent_bundle.agent_wheel import AgentSource
from myx_agent_bundle.build import Plan, build
from myx_agent_bundle.errors import BuildError
from myx_agent_bundle.pins import Pins

_REPOSITORY = Path(__file__).resolve().parents[4]


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 the bundle stands, 1 it cannot be built."""
    parser = argparse.ArgumentParser(
        prog="myx-agent-bundle", description="Build the bundle that servers get installed."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    builder = commands.add_parser("build", help="build a bundle, or say that it is there already")
    builder.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the bundle; replaced as a whole"
    )
    builder.add_argument("--agent-source", type=Path, default=_REPOSITORY / "agent", metavar="DIR")
    builder.add_argument("--constraints", type=Path, default=_REPOSITORY / "constraints.txt", metavar="FILE")
    builder.add_argument("--version", metavar="V", help="version of the agent instead of its source's")
    builder.add_argument(
        "--reuse", type=Path, metavar="DIR", help="a bundle whose third-party files are taken if they fit"
    )
    options = parser.parse_args(argv)
    began = time.monotonic()
    try:
        source = AgentSource.read(options.agent_source.resolve())
        version = agent_wheel.check_version(options.version or source.version)
        plan = Plan(options.out.resolve(), source, version, Pins.read(options.constraints), options.reuse)
        document, is_new = build(plan)
    except BuildError as error:
        print(f"agent-bundle: {error}", file=sys.stderr)  # noqa: T201 - a command line
        return 1
    _report(options.out, document, f"built in {time.monotonic() - began:.0f} s" if is_new else "up to date")
    return 0


def _report(out: Path, document: dict[str, Any], state: str) -> None:
    files = document["files"]
    total = sum(item["size"] for item in files)
    print(  # noqa: T201
        f"{out}: myx-agent {document['version']}-{document['digest'][:12]}, {state}; {len(files)} files, {_mb(total)}\n"
        f"A host (x86_64, Python 3.11) gets {_mb(_sent(files, 'agent'))} for the agent "
        f"and, when first needed, {_mb(_sent(files, 'ansible'))} for Ansible."
    )


def _sent(files: list[dict[str, Any]], wanted: str) -> int:
    """Bytes of what a host of the commonest kind needs."""
    return sum(
        item["size"]
        for item in files
        if item["set"] in {wanted, "any"}
        and item["arch"] in {"x86_64", "any"}
        and ("any" in item["python"] or "3.11" in item["python"])
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
