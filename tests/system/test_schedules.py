"""A schedule on a whole MyX: from REST to the host, under the authority that the gateway knows."""

from myx_testkit.standalone import Standalone
from myx_testkit.wait import until_sync


def test_a_schedule_fires_at_the_next_minute_on_what_its_selector_matches(myx: Standalone) -> None:
    api = myx.api()
    script = "echo from the schedule"
    job = {"selector": "name=local and status=online", "work": {"command": {"command": "sh", "args": ["-c", script]}}}
    made = api.request(
        "POST", "/schedules", {"name": "minutely", "cron": "* * * * *", "time_zone": "UTC", "work": {"job": job}}
    )
    try:
        assert made["owner"] == "token:admin"
        assert len(made["next_times"]) == 5

        def fired() -> dict[str, str] | None:
            fires = api.request("GET", "/schedules/minutely/fires")["items"]
            return next((fire for fire in fires if fire["outcome"] not in ("pending", "waiting")), None)

        fire = until_sync(fired, 100, what="the schedule has fired")
        assert fire is not None
        assert (fire["outcome"], fire["started_kind"]) == ("started", "job"), fire
        assert fire["slot_at"] == made["next_times"][0]

        def ended() -> dict[str, object] | None:
            found: dict[str, object] = api.request("GET", f"/jobs/{fire['started_id']}")
            return found if found["ended_at"] else None

        job_row = until_sync(ended, 60, what="the job has ended")
        assert job_row is not None
        assert (job_row["status"], job_row["schedule_id"]) == ("success", made["id"])
    finally:
        api.request("DELETE", "/schedules/minutely")
    assert api.request("GET", "/schedules")["items"] == []
