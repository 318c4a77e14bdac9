"""SSH host keys: seen, shown, and trusted only after a word from somebody."""

from myx_cli.api import Client, Document, segment
from myx_cli.asking import can_ask, yes
from myx_cli.errors import Failure
from myx_cli.output import tell
from myx_cli.text import clean


def settle_host_key(client: Client, server: Document) -> None:
    """Where no key is trusted yet and there is a terminal: shows the one that is there and asks. Failure on a no.

    Elsewhere nothing: the install then says by itself that the key is unknown.
    """
    if server.get("host_key") or server.get("accept_new_host_key") or not can_ask():
        return
    name = str(server.get("name") or server.get("id"))
    shown = scan(client, name).get("shown") or {}
    fingerprint = clean(shown.get("fingerprint") or "")
    tell(f"{clean(name)} shows the host key {fingerprint} ({_kind(shown)})")
    if not yes("Trust it from now on? [y/N] "):
        raise Failure(
            f"the host key of {clean(name)} was not accepted: compare it and then myx server host-key "
            f"{clean(name)} --accept SHA256:…"
        )
    trust(client, name, fingerprint)


def scan(client: Client, server: str) -> Document:
    """`trusted`, `shown` and whether they match; the host is asked now."""
    return client.get(f"/servers/{segment(server)}/host-key", scan="true")


def trust(client: Client, server: str, fingerprint: str) -> Document:
    """Trusts a key from now on."""
    return client.put(f"/servers/{segment(server)}/host-key", {"fingerprint": fingerprint})


def _kind(shown: Document) -> str:
    return clean(str(shown.get("public_key") or "").partition(" ")[0] or "of an unknown kind")
