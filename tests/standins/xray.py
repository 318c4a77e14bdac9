#!/usr/bin/env python3
"""A stand-in for Xray where no real binary can be had: it behaves like Xray at the command line, and proxies nothing.

    xray version                      "Xray 1.8.24 (…)"; tests replace the line VERSION below
    xray run -test -config FILE       exit 0 and "Configuration OK.", or exit 23 and a text like Xray's
    xray run -config FILE             listens on every inbound and greets each connection; ends on SIGTERM

"log": {"standin": "crash"} makes `run` (not `-test`) end with an error soon after it has begun to listen.
Standard library only; runs on the host's own python3.
"""

import json
import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path

VERSION = "1.8.24"
PROTOCOLS = {"vless", "vmess", "trojan", "shadowsocks", "socks", "http", "dokodemo-door"}


def fail(text):
    sys.stdout.write(f"Failed to start: main: failed to load config files: [{path_of()}] > {text}\n")
    sys.exit(23)


def path_of():
    for flag in ("-config", "-c", "--config"):
        if flag in sys.argv:
            return sys.argv[sys.argv.index(flag) + 1]
    return "stdin:"


def read_config():
    try:
        config = json.loads(Path(path_of()).read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"infra/conf/serial: failed to read config: {error}")
    except ValueError as error:
        fail(f"infra/conf/serial: failed to parse json config: {error}")
    for inbound in config.get("inbounds", []):
        if inbound.get("protocol") not in PROTOCOLS:
            fail(f"infra/conf: unknown config id: {inbound.get('protocol')}")
        if not isinstance(inbound.get("port"), int):
            fail("infra/conf: Listen on AnyIP but no Port(s) set in InboundDetour.")
    if "geosite" in json.dumps(config.get("routing", {})):
        asset = Path(os.environ.get("XRAY_LOCATION_ASSET", "")) / "geosite.dat"
        if not asset.exists():
            fail(f"infra/conf: failed to load file: geosite.dat > open {asset}: no such file or directory")
    return config


def listen(config):
    found = []
    for inbound in config.get("inbounds", []):
        host = inbound.get("listen") or "0.0.0.0"
        server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((host, inbound["port"]))
        except OSError as error:
            text = f"failed to listen TCP on {inbound['port']} > {error}"
            sys.stdout.write(f"Failed to start: main: failed to create server > {text}\n")
            sys.exit(23)
        server.listen(64)
        found.append((server, inbound.get("tag", "inbound")))
    return found


def serve(servers):
    with selectors.DefaultSelector() as selector:
        for server, tag in servers:
            selector.register(server, selectors.EVENT_READ, tag)
        while True:
            for key, _ in selector.select():
                connection, _ = key.fileobj.accept()
                connection.sendall(f"{VERSION} {key.data}\n".encode())
                connection.close()


def main():
    word = sys.argv[1] if len(sys.argv) > 1 else "run"
    if word == "version":
        sys.stdout.write(f"Xray {VERSION} (Xray, Penetrates Everything.) stand-in (go1.22 linux/amd64)\n")
        return
    sys.stdout.write(f"Xray {VERSION} (Xray, Penetrates Everything.) stand-in\n")
    config = read_config()
    if "-test" in sys.argv:
        sys.stdout.write("Configuration OK.\n")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    servers = listen(config)
    if config.get("log", {}).get("standin") == "crash":
        time.sleep(0.5)
        sys.stdout.write("panic: runtime error: invalid memory address or nil pointer dereference\n")
        sys.stdout.flush()
        sys.exit(2)
    sys.stdout.flush()
    serve(servers)


main()
