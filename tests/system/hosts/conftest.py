"""Real hosts: only root can have them, and each test may take longer than most."""

from pathlib import Path

import pytest

TIMEOUT_S = 400


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """More time than other tests have: several boots, installations and plays."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))
