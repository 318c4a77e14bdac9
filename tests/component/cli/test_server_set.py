"""`myx server set`."""

import json


def changed(gateway, myx, *options):
    """What is sent to change a server that logs in with a shared credential."""
    ssh = {"port": 2222, "user": "ops", "credential": "fleet"}
    there = {"id": "id-web", "name": "web", "address": "192.0.2.1", "labels": {}, "agent": None, "ssh": ssh}
    gateway.answers += [("GET /servers/web", (200, there)), ("PATCH /servers/id-web", (200, there))]
    done = myx("server", "set", "web", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(next(request.body for request in gateway.requests if request.method == "PATCH"))


def test_no_credential_takes_the_own_and_the_shared_one_away(gateway, myx):
    left = {"port": 2222, "user": "ops", "credential": ""}
    assert changed(gateway, myx, "--no-credential") == {"credential": None, "ssh": left}


def test_a_shared_credential_may_take_the_place_of_the_own_one(gateway, myx):
    now = {"port": 2222, "user": "ops", "credential": "other"}
    assert changed(gateway, myx, "--no-credential", "--credential", "other") == {"credential": None, "ssh": now}
