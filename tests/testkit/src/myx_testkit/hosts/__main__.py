"""Make ready what test hosts are made of: `python -m myx_testkit.hosts` (root; about a minute the first time)."""

import sys

from myx_testkit.hosts.lab import sweep
from myx_testkit.hosts.locks import locked
from myx_testkit.hosts.requirements import missing
from myx_testkit.hosts.roots import ensure_layers, store


def main() -> str | None:
    """Why there can be no hosts here; None when they can be had at once."""
    if reason := missing():
        return reason
    folder = store()
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "labs.lock"):
        swept = sweep(folder)
    layers = ensure_layers(folder)
    print(f"Hosts for tests are made of {', '.join(map(str, layers))}; swept: {', '.join(swept) or 'nothing'}")
    return None


if __name__ == "__main__":
    sys.exit(main())
