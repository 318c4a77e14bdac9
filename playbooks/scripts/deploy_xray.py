#!/usr/bin/env python3
"""Deploy Xray on this host. JSON on stdin, one JSON object on stdout (app_deploy); variables: docs/deployments.md.

With "config_only" in the document nothing but the configuration of a deployed Xray changes.
Standard library only, Python 3.9 or newer.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from app_deploy import answer
from app_release import App, Candidate, Release, Run, refused
from app_request import ARTIFACT, REMEMBERED, Request
from app_unit import CAPABILITIES, unit_text, writable_paths
from app_variables import BadVariable, Variables

ARCHITECTURES = {"x86_64": "64", "aarch64": "arm64-v8a", "armv7l": "arm32-v7a", "i686": "32", "riscv64": "riscv64"}
FORMATS = ("json", "yaml", "toml")
XRAY_TIMEOUT_S = 60


class Xray(App):
    """The proxy; its configuration is JSON (comments are allowed), YAML or TOML."""

    title = "Xray"
    kind = "xray"
    prefix = "xray_"
    name = "xray"
    binary = "xray"
    extras = ("geoip.dat", "geosite.dat")
    own_variables: tuple[str, ...] = ARTIFACT
    remembered = (*REMEMBERED, "environment", "capabilities", "writable_paths")
    default_url = "https://github.com/XTLS/Xray-core/releases/download/v{version}/Xray-linux-{arch}.zip"

    def __init__(self, config_only: bool = False) -> None:
        self.config_only = config_only
        if config_only:
            self.own_variables = ()

    def arch_word(self, architecture: str) -> str:
        return ARCHITECTURES.get(architecture, architecture)

    def version_of(self, output: str) -> str:
        return xray_version(output)

    def check(self, request: Request) -> None:
        self.config_name(request)
        capabilities(request.variables)
        writable_paths(request.variables)

    def config_name(self, request: Request) -> str:
        return f"config.{request.variables.choice('config_format', 'json', FORMATS)}"

    def unit_text(self, run: Run, request: Request, release: Release) -> str:
        base = run.place.base
        return unit_text(
            run.place,
            title="Xray",
            kind="exec",
            start=f"{base}/current/bin/xray run -config {base}/current/{self.config_name(request)}",
            reload="",
            environment=[f"HOME={run.place.home}", f"XRAY_LOCATION_ASSET={base}/current/bin"],
            capabilities=capabilities(request.variables),
            home="yes",
            writable=writable_paths(request.variables),
        )

    def validate(self, run: Run, candidate: Candidate) -> None:
        folder = candidate.release.folder
        env = {"HOME": str(candidate.scratch), "XRAY_LOCATION_ASSET": str(folder), **candidate.request.environment}
        argv = [f"{folder}/xray", "run", "-test", "-config", str(candidate.config)]
        done = run.host.run(argv, candidate.account, env, XRAY_TIMEOUT_S)
        if not done.ok:
            raise refused(run, candidate, done)

    def facts(self, run: Run, candidate: Candidate) -> dict[str, Any]:
        return {"listen": inbound_addresses(candidate.config.read_text())}


def xray_version(output: str) -> str:
    """The version that `xray version` says."""
    found = re.search(r"Xray v?(\d\S*)", output)
    return found[1] if found else ""


def capabilities(variables: Variables) -> list[str]:
    """What the service may do beyond an ordinary user (CAP_NET_ADMIN for transparent proxying)."""
    given = variables.items("capabilities")
    names = ["CAP_NET_BIND_SERVICE"] if given is None else [str(name) for name in given]
    for name in names:
        if name not in CAPABILITIES:
            raise BadVariable(
                f"{variables.prefix}capabilities must be a list out of {', '.join(CAPABILITIES)}, not {name!r}"
            )
    return names


def inbound_addresses(config: str) -> list[tuple[str, int]]:
    """(host, port) of every TCP inbound of a JSON configuration; what cannot be read is left out: Xray is the judge."""
    try:
        inbounds = json.loads(without_comments(config)).get("inbounds") or []
    except (ValueError, AttributeError):
        return []
    found = []
    for inbound in inbounds:
        if not isinstance(inbound, dict) or not _is_tcp(inbound):
            continue
        port = str(inbound.get("port", ""))
        host = str(inbound.get("listen") or "")
        if port.isdigit() and 1 <= int(port) <= 65535 and not host.startswith(("/", "@")):
            found.append((host, int(port)))
    return found


def _is_tcp(inbound: dict[str, Any]) -> bool:
    stream, settings = inbound.get("streamSettings") or {}, inbound.get("settings") or {}
    if inbound.get("protocol") == "dokodemo-door" and "tcp" not in str(settings.get("network", "tcp")):
        return False
    return inbound.get("protocol") not in {"wireguard", "tun"} and stream.get("network") not in {
        "kcp",
        "mkcp",
        "quic",
        "hysteria",
    }


def without_comments(text: str) -> str:
    """JSON without // and /* */ and # comments; strings are left alone."""
    pattern = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/|#[^\n]*', re.DOTALL)
    return pattern.sub(lambda match: match[0] if match[0][0] == '"' else " ", text)


def main(document: Any) -> int:
    """Deploy Xray, or its configuration alone; the exit code says how it went."""
    return answer(Xray(bool(document.get("config_only"))), document)


if __name__ == "__main__":
    sys.exit(main(json.load(sys.stdin)))
