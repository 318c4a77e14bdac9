"""The script that looks at a host, and what its answers mean. It changes nothing there."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from myx_executor.domain.ssh import HostFacts
from myx_executor.domain.text import clean

# Versions of Python that the agent's bundle has wheels for, the best first.
PYTHONS = ("3.13", "3.12", "3.11", "3.14")
FOLDERS = ("/opt", "/var")

# Argument: the port of the agent. Prints KEY=VALUE lines; keys may come more than once.
SCRIPT = r"""
o(){ printf '%s=%s\n' "$1" "$2"; }
o arch "$(uname -m)"
o bits "$(getconf LONG_BIT 2>/dev/null)"
o system "$(. /etc/os-release 2>/dev/null; echo "$PRETTY_NAME")"
o libc "$(getconf GNU_LIBC_VERSION 2>/dev/null || ls /lib/ld-musl-* 2>/dev/null | head -1)"
o init "$(cat /proc/1/comm)"
[ -d /run/systemd/system ] && o systemd "$(systemctl --version 2>/dev/null | head -1)"
o machine_id "$(cat /etc/machine-id 2>/dev/null)"
o boot_id "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
o release "$(readlink /opt/myx-agent/current 2>/dev/null)"
for d in /opt /var; do
  e=$d; while [ ! -d "$e" ]; do e=$(dirname "$e"); done
  o "free:$d" "$(df -Pk "$e" 2>/dev/null | while read -r _ _ _ k _; do m=$k; echo "$m"; done | tail -1)"
  [ -w "$e" ] || o read_only "$d"
done
for p in python3.14 python3.13 python3.12 python3.11 python3 /opt/myx-agent/python/current/bin/python3; do
  f=$(command -v "$p") || continue
  case $f in /*) ;; *) continue;; esac
  o python "$("$f" -I -c '
import sys
try:
    import ctypes, json, ssl, zlib
    whole = sys.maxsize > 2**32
except ImportError:
    whole = False
print("%d.%d" % sys.version_info[:2], "whole" if whole else "part", sys.executable)' 2>/dev/null)"
done
h=$(printf '%04X' "$1")
for t in /proc/net/tcp /proc/net/tcp6; do
  [ -r $t ] && while read -r _ l _ s _ _ _ _ _ i _; do
    case "$l $s" in *":$h 0A") ;; *) continue;; esac
    w=unknown
    for q in /proc/[0-9]*; do
      case $(ls -l "$q/fd" 2>/dev/null) in *"socket:[$i]"*) ;; *) continue;; esac
      w="${q#/proc/} $(cat "$q/comm") $(readlink "$q/exe") $(tail -1 "$q/cgroup")"; break
    done
    o holder "$w"
  done <$t
done
o time "$(date +%s)"
o end yes
"""

# Arguments: port, word. Listens for some seconds and tells the word to whoever connects.
LISTENER = """
import socket, sys
port, word = int(sys.argv[1]), sys.argv[2].encode()
try:
    door = socket.socket(socket.AF_INET6)
    door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind(("::", port))
except OSError:
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind(("", port))
    except OSError as error:
        print("taken", error, flush=True)
        sys.exit()
door.listen()
door.settimeout(20)
print("ready", flush=True)
try:
    while True:
        guest = door.accept()[0]
        guest.sendall(word)
        guest.close()
except OSError:
    pass
"""


def parsed(text: str) -> dict[str, list[str]]:
    """The script's lines. ValueError when it did not come to its end."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in clean_lines(text):
        key, equals, value = line.partition("=")
        if equals:
            found[key].append(value.strip())
    if found.get("end") != ["yes"]:
        raise ValueError("the look at the host did not come to its end")
    return found


def clean_lines(text: str) -> Sequence[str]:
    """Lines that may be stored."""
    return [clean(line) for line in text.splitlines()]


def facts(found: Mapping[str, list[str]], clock_offset_s: float) -> HostFacts:
    """What was found, in our words."""
    version, path = _python(found)
    return HostFacts(
        arch={"arm64": "aarch64", "amd64": "x86_64"}.get(one(found, "arch"), one(found, "arch")),
        system=one(found, "system"),
        libc=one(found, "libc"),
        python=path,
        python_version=version,
        systemd_version=one(found, "systemd"),
        clock_offset_s=clock_offset_s,
        free_mb={
            folder: int(one(found, f"free:{folder}")) // 1024
            for folder in FOLDERS
            if one(found, f"free:{folder}").isdigit()
        },
        agent_release=one(found, "release").rpartition("/")[2],
        machine_id=one(found, "machine_id"),
        boot_id=one(found, "boot_id"),
        raw={key: " | ".join(values) for key, values in found.items()},
    )


def any_python(found: Mapping[str, list[str]]) -> str:
    """An interpreter that can listen on a port, however old it is."""
    return next((parts[2] for parts in _pythons(found)), "")


def one(found: Mapping[str, list[str]], key: str) -> str:
    """The first value, or nothing."""
    return next(iter(found.get(key, [])), "")


def _python(found: Mapping[str, list[str]]) -> tuple[str, str]:
    usable = [(parts[0], parts[2]) for parts in _pythons(found) if parts[1] == "whole" and parts[0] in PYTHONS]
    # The host's own before one that we brought: its distribution mends it.
    return min(usable, key=lambda one: (one[1].startswith("/opt/myx-agent/"), PYTHONS.index(one[0])), default=("", ""))


def _pythons(found: Mapping[str, list[str]]) -> list[list[str]]:
    lines = [value.split(" ", 2) for value in found.get("python", [])]
    return [parts for parts in lines if len(parts) == 3 and parts[2].startswith("/")]
