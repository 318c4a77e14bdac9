#!/usr/bin/env python3
"""Deploy Caddy on this host. JSON on stdin, one JSON object on stdout (app_deploy); variables: docs/deployments.md.

Standard library only, Python 3.9 or newer.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from app_deploy import answer
from app_host import Account, Done, HostError
from app_place import Generation, Place
from app_release import App, Candidate, Release, Run, refused
from app_request import ARTIFACT, REMEMBERED, Request
from app_unit import unit_text, writable_paths
from app_variables import listen_port

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armv7"}
FORMATS = ("auto", "caddyfile", "json")
CADDY_TIMEOUT_S = 60


class Caddy(App):
    """The web server; its configuration is a Caddyfile or Caddy's own JSON."""

    title = "Caddy"
    kind = "caddy"
    prefix = "caddy_"
    name = "caddy"
    binary = "caddy"
    own_variables = ARTIFACT
    remembered = (*REMEMBERED, "environment", "writable_paths")
    default_url = (
        "https://github.com/caddyserver/caddy/releases/download/v{version}/caddy_{version}_linux_{arch}.tar.gz"
    )

    def arch_word(self, architecture: str) -> str:
        return ARCHITECTURES.get(architecture, architecture)

    def version_of(self, output: str) -> str:
        found = re.search(r"v?(\d+\.\d+\.\d+\S*)", output)
        return found[1] if found else ""

    def check(self, request: Request) -> None:
        self.config_name(request)
        writable_paths(request.variables)

    def config_name(self, request: Request) -> str:
        chosen = request.variables.choice("config_format", "auto", FORMATS)
        if chosen == "caddyfile" and isinstance(request.variables.get("config"), (dict, list)):
            raise request.variables.wrong("config_format", "json or auto: the configuration is an object")
        return "caddy.json" if chosen == "json" or (chosen == "auto" and request.is_json) else "Caddyfile"

    def unit_text(self, run: Run, request: Request, release: Release) -> str:
        base, config = run.place.base, self.config_name(request)
        return unit_text(
            run.place,
            title="Caddy",
            kind="notify",
            start=f"{base}/current/bin/caddy run --config {base}/current/{config}",
            reload=f"{base}/current/bin/caddy reload --config {base}/current/{config} --force",
            environment=[f"{name}={value}" for name, value in _environment(run.place).items()],
            capabilities=["CAP_NET_BIND_SERVICE"],
            home="read-only",
            writable=writable_paths(request.variables),
        )

    def validate(self, run: Run, candidate: Candidate) -> None:
        done = self._ask(run, candidate, "validate")
        if not done.ok:
            raise refused(run, candidate, done)

    def facts(self, run: Run, candidate: Candidate) -> dict[str, Any]:
        adapted = self._adapted(run, candidate)
        return {"admin": admin_address(adapted, _admin(run.place)), "listen": listen_addresses(adapted)}

    def _adapted(self, run: Run, candidate: Candidate) -> dict[str, Any]:
        """The configuration in Caddy's own JSON."""
        if candidate.config.name != "Caddyfile":
            text = candidate.config.read_text()
        else:
            lines = self._ask(run, candidate, "adapt").output.splitlines()
            text = next((line for line in reversed(lines) if line.startswith('{"') and line.endswith("}")), "{}")
        try:
            found = json.loads(text)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _ask(self, run: Run, candidate: Candidate, word: str) -> Done:
        """What the new program says of the new configuration."""
        env = {**_environment(run.place), "HOME": str(candidate.scratch), **candidate.request.environment}
        argv = [_program(candidate.release), word, "--config", str(candidate.config)]
        return run.host.run(argv, candidate.account, env, CADDY_TIMEOUT_S)

    def can_reload(self, current: Generation, candidate: Candidate) -> bool:
        return current.record.get("admin", "off") != "off" and current.config.name == candidate.config.name

    def reload(self, place: Place, account: Account, running: Generation, wanted: Generation) -> None:
        """By the administration address of the running configuration, which Caddy keeps when the new one fails."""
        environment = wanted.variables().get("environment") or {}
        env = {**_environment(place), **{name: str(value) for name, value in environment.items()}}
        program = str(wanted.path / "bin" / "caddy")
        argv = [program, "reload", "--force", "--config", str(wanted.config), "--address", str(running.record["admin"])]
        done = place.host.run(argv, account, env, CADDY_TIMEOUT_S)
        if not done.ok:
            raise HostError(f"Caddy does not take the new configuration:\n{done.tail()}")


def _program(release: Release) -> str:
    if release.folder is None:
        raise HostError("the program of this release is gone")
    return str(release.folder / "caddy")


def _admin(place: Place) -> str:
    return f"unix/{place.host.path(f'/run/{place.name}/admin.sock')}"


def _environment(place: Place) -> dict[str, str]:
    return {"HOME": str(place.home), "CADDY_ADMIN": _admin(place)}


def admin_address(adapted: dict[str, Any], default: str) -> str:
    """Where the configuration has its administration API; "off" when it has none."""
    admin = adapted.get("admin") or {}
    return "off" if admin.get("disabled") else str(admin.get("listen") or default)


def listen_addresses(adapted: dict[str, Any]) -> list[tuple[str, int]]:
    """(host, port) of every TCP port on which the configuration serves HTTP; plain numbers and single ports only."""
    servers = ((adapted.get("apps") or {}).get("http") or {}).get("servers") or {}
    texts = [str(text) for server in servers.values() for text in server.get("listen") or []]
    found = []
    for text in texts:
        if listen_port(text) is not None:
            host, _, port = text.rpartition("/")[2].rpartition(":")
            found.append((host.strip("[]"), int(port)))
    return found


def main(document: Any) -> int:
    """Deploy Caddy; the exit code says how it went."""
    return answer(Caddy(), document)


if __name__ == "__main__":
    sys.exit(main(json.load(sys.stdin)))
