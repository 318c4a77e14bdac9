"""The first login of somebody who has started MyX for the first time."""

import http.client
import json
import stat

from myx_testkit.standalone import Standalone


def test_the_console_says_where_the_first_password_is_and_not_what_it_is(myx: Standalone) -> None:
    file = myx.home.admin_password_file
    password = file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"log in as admin; the first password is in {file}" in myx.said()
    assert password not in myx.said()
    connection = http.client.HTTPConnection("127.0.0.1", myx.port, timeout=30)
    body = json.dumps({"name": "admin", "password": password})
    connection.request("POST", "/api/v1/session", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    document = json.loads(answer.read())
    assert answer.status == 200, document
    assert document["me"]["grants"] == [{"role": "admin", "selector": "all"}]
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    connection.request("GET", "/api/v1/servers", headers={"Cookie": cookie})
    answer = connection.getresponse()
    assert "local" in [server["name"] for server in json.loads(answer.read())["items"]]
    connection.close()
    for log in myx.home.logs.iterdir():
        text = log.read_text(errors="replace")
        assert password not in text, log
        assert cookie.partition("=")[2] not in text, log
