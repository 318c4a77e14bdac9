"""The systemd unit of a deployed program: its own user, few rights, started again when it ends by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app_host import MARK
from app_place import Place
from app_variables import BadVariable, Variables

CAPABILITIES = ("CAP_NET_BIND_SERVICE", "CAP_NET_ADMIN", "CAP_NET_RAW")


def unit_text(
    place: Place,
    *,
    title: str,
    kind: str,
    start: str,
    reload: str,
    environment: Sequence[str],
    capabilities: Sequence[str],
    home: str,
    writable: Sequence[str],
) -> str:
    """The unit's text; `home` is systemd's ProtectHome, `writable` further folders the service may write."""
    rights = " ".join(capabilities)
    lines = [
        MARK,
        "[Unit]",
        f"Description={title} (deployed by MyX)",
        "Wants=network-online.target",
        "After=network-online.target",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        f"Type={kind}",
        f"User={place.name}",
        f"Group={place.name}",
        f"ExecStart={start}",
        *([f"ExecReload={reload}"] if reload else []),
        *[f'Environment="{entry}"' for entry in environment],
        f"EnvironmentFile=-{place.base}/current/env",
        "Restart=always",
        "RestartSec=1",
        "TimeoutStartSec=30",
        "TimeoutStopSec=10",
        "LimitNOFILE=1048576",
        f"StateDirectory={place.name}",
        f"LogsDirectory={place.name}",
        f"RuntimeDirectory={place.name}",
        "StateDirectoryMode=0750",
        "LogsDirectoryMode=0750",
        "RuntimeDirectoryMode=0750",
        f"WorkingDirectory={place.home}",
        f"AmbientCapabilities={rights}",
        f"CapabilityBoundingSet={rights}",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        *[f"ReadWritePaths={_quoted(path)}" for path in writable],
        f"ProtectHome={home}",
        "PrivateTmp=yes",
        *(["PrivateDevices=yes"] if "CAP_NET_ADMIN" not in capabilities else []),
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelLogs=yes",
        "ProtectControlGroups=yes",
        "ProtectClock=yes",
        "ProtectHostname=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "SystemCallArchitectures=native",
        "UMask=0027",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
        "",
    ]
    return "\n".join(lines)


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def writable_paths(variables: Variables) -> list[str]:
    """Further folders that the service may write."""
    paths = variables.items("writable_paths") or []
    for path in paths:
        if (
            not isinstance(path, str)
            or not path.startswith("/")
            or ".." in Path(path).parts
            or any(c in path for c in "\n\r\0")
        ):
            raise BadVariable(f"{variables.prefix}writable_paths must be a list of absolute paths, {path!r} is none")
    return [str(path) for path in paths]
