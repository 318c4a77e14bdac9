"""Files that plays put on hosts."""

from pathlib import Path
from urllib.parse import urlencode

from myx_cli.api import Client, Document
from myx_cli.hashing import open_file, sha256_of
from myx_cli.http1 import Upload
from myx_cli.pages import all_items

LIMIT_BYTES = 512 * 1024 * 1024


def push_artifact(client: Client, path: str, name: str = "") -> tuple[Document, bool]:
    """The stored file, and whether it had to be sent: MyX keeps each content once."""
    file, size = open_file(path, LIMIT_BYTES)
    with file:
        digest = sha256_of(file)
        for item in all_items(client, "/artifacts"):
            if item.get("sha256") == digest:
                return item, False
        query = urlencode({"name": name or Path(path).name, "sha256": digest})
        document = client.upload("POST", f"/artifacts?{query}", Upload(file, size), "application/octet-stream")
        return document, True
