"""What all services cost together while nothing happens."""

import pytest

from bench.idle import measure

# What must hold on any machine; docs/benchmarks.md has what is measured.
LIMIT_MB = 600


@pytest.mark.long
async def test_all_services_idle_together_need_little_memory():
    figures = await measure(1.0)
    services = figures["services_mb"]
    assert services["uss"] < services["pss"] < services["rss"] < LIMIT_MB, figures["memory_mb"]
    assert set(figures["memory_mb"]) == {"postgres", "nats", "registry", "heartbeat", "executor-1", "gateway"}
