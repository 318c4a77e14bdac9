"""Real hosts: only root can have them, and each test may take longer than most."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from myx_testkit.bundle import agent_bundle
from myx_testkit.fleet import Fleet
from myx_testkit.hosts.lab import HostLab
from myx_testkit.standalone import Standalone

TIMEOUT_S = 400
# Soon enough for tests, late enough for a loaded machine.
CONFIRM_S = "25"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """More time than other tests have: several boots, installations and plays."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


class Offer:
    """The agent's bundle that MyX has to give: a link, so that a test can put another one there."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bundle"

    def put(self, bundle: Path) -> None:
        """Offer this bundle from now on."""
        fresh = self.path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(bundle)
        fresh.replace(self.path)


@pytest.fixture(scope="session")
def offer(host_lab: HostLab, tmp_path_factory: pytest.TempPathFactory) -> Offer:
    """The bundle of this checkout's agent, exchangeable."""
    made = Offer(tmp_path_factory.mktemp("offer"))
    made.put(agent_bundle())
    return made


@pytest.fixture(scope="session")
def fleet(host_lab: HostLab, offer: Offer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A whole MyX that manages real hosts."""
    environment = {"MYX_AGENT_BUNDLE_DIR": str(offer.path), "MYX_EXECUTOR_UPGRADE_CONFIRM_S": CONFIRM_S}
    myx = Standalone(tmp_path_factory.mktemp("fleet") / "home", environment=environment)
    myx.start()
    yield Fleet(myx, host_lab)
    myx.stop()
