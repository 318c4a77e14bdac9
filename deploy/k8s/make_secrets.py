"""Every Secret that the manifests refer to: `make_secrets.py FOLDER | kubectl -n myx apply --server-side -f -`.

FOLDER (mode 700) keeps what was made: certificates of a CA of its own, master keys, passwords, the admin's token and
password. A second run gives the same again, and new certificates for those that end within 30 days. Keep it, and keep
it safe: without the master keys nothing sealed in the databases can be opened.
"""

import argparse
import json
import re
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from myx_kit.files import read_private, write_private
from myx_kit.secretbox import SecretBox
from myx_kit.settings import SERVICE_NAMES
from myx_kit.tls import ca_path, certificate_path, ensure_tls, key_path

SERVICES = ("registry", "heartbeat", "executor", "gateway")
SERVERS = ("postgres", "nats")
WITH_DATABASE = SERVICES
WITH_MASTER_KEY = ("registry", "executor")
IN_CLUSTER = "postgres:5432/myx"


def manifests(
    folder: Path,
    database: str = IN_CLUSTER,
    database_ca: Path | None = None,
    *,
    clients: Sequence[str] = (),
    cert_manager: bool = False,
) -> dict[str, Any]:
    """All Secrets as one `List`; makes in `folder` what is missing there.

    `database` is "host:port/name"; its certificate must come from `database_ca`, in the cluster from our own CA.
    `clients` are other teams' gRPC programs. With `cert_manager` there is the CA for it instead of certificates.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    tls = folder / "tls"
    names = [*([] if cert_manager else [*SERVICES, *SERVERS]), *clients]
    ensure_tls(tls, names)
    items = [_tls_secret(tls, name) for name in names]
    if cert_manager:
        authority = {"tls.crt": ca_path(tls).read_text(), "tls.key": read_private(tls / "ca.key")}
        items.append(_secret("myx-ca", authority, "kubernetes.io/tls"))
    passwords = {name: _password(folder / f"{name}.password") for name in ("superuser", *WITH_DATABASE)}
    items.append(_secret("postgres-passwords", passwords))
    ca = (database_ca or ca_path(tls)).read_text()
    urls = {name: _url(name, passwords[name], database) for name in WITH_DATABASE}
    items += [_secret(f"{name}-database", {"url": url, "ca.crt": ca}) for name, url in urls.items()]
    for name in WITH_MASTER_KEY:
        keys = folder / f"{name}.keys"
        SecretBox.create_file(keys)
        items.append(_secret(f"{name}-keys", {"master.keys": read_private(keys)}))
    admin = {name: _password(folder / f"admin.{name}") for name in ("token", "password")}
    items.append(_secret("gateway-admin", admin))
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _tls_secret(tls: Path, name: str) -> dict[str, Any]:
    files = {"ca.crt": ca_path(tls), "tls.crt": certificate_path(tls, name), "tls.key": key_path(tls, name)}
    content = {key: path.read_text() for key, path in files.items()}
    return _secret(f"{name}-tls", content, "kubernetes.io/tls")


def _url(role: str, password: str, database: str) -> str:
    checks = "sslmode=verify-full&sslrootcert=/etc/myx/database/ca.crt&gssencmode=disable&require_auth=scram-sha-256"
    return f"postgresql://{role}:{password}@{database}?{checks}"


def _password(path: Path) -> str:
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32))
    return read_private(path)


def _client(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9.-]{0,58}", name) or name in {*SERVICE_NAMES, *SERVERS}:
        raise argparse.ArgumentTypeError("lower-case letters, digits, - and ., and no name of a part of MyX")
    return name


def _secret(name: str, content: dict[str, str], kind: str = "Opaque") -> dict[str, Any]:
    labels = {"app.kubernetes.io/part-of": "myx"}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata, "stringData": content}


def main() -> int:
    """Print the list; it holds secrets, so not on a terminal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where they are kept; made when missing")
    parser.add_argument(
        "--database",
        metavar="HOST:PORT/NAME",
        default=IN_CLUSTER,
        help="a PostgreSQL outside of the cluster; its roles (one a service) are yours to make",
    )
    parser.add_argument("--database-ca", metavar="FILE", type=Path, help="the CA of that server's certificate")
    parser.add_argument(
        "--client",
        metavar="NAME",
        action="append",
        type=_client,
        default=[],
        help="another team's gRPC program (docs/grpc.md): its certificate, too, as Secret NAME-tls",
    )
    parser.add_argument(
        "--cert-manager",
        action="store_true",
        help="the CA as Secret myx-ca, for the component cert-manager, instead of our certificates",
    )
    chosen = parser.parse_args()
    if (chosen.database == IN_CLUSTER) != (chosen.database_ca is None):
        parser.error("--database and --database-ca go together")
    if sys.stdout.isatty():
        parser.error("this prints secrets: send it to kubectl, or into a file that others cannot read")
    secrets_of_all = manifests(
        chosen.folder,
        chosen.database,
        chosen.database_ca,
        clients=chosen.client,
        cert_manager=chosen.cert_manager,
    )
    json.dump(secrets_of_all, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
