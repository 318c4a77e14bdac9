"""Our own clients at a real door with TLS, behind an address that browsers call otherwise."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from myx_client import Client, Unreachable
from myx_kit.files import write_private
from myx_kit.tls import ca_path, certificate_path, ensure_tls, key_path

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def run(folder: Path, *arguments: str, given: str = "") -> tuple[int, str, str]:
    """`myx` with a configuration of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "myx_cli", *arguments),
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(given.encode()), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_login_over_tls_trusts_the_own_authority_and_no_other(start_gateway: Any, tmp_path: Path) -> None:
    ensure_tls(tmp_path / "tls", ("gateway",))
    certificate, key = tmp_path / "door.crt", tmp_path / "door.key"
    write_private(certificate, certificate_path(tmp_path / "tls", "gateway").read_text())
    write_private(key, key_path(tmp_path / "tls", "gateway").read_text())
    authority = str(ca_path(tmp_path / "tls"))
    door = {"tls_cert_file": certificate, "tls_key_file": key, "public_url": "https://myx.example.com"}
    async with start_gateway(scheme="https", **door) as gateway:
        url = f"https://localhost:{gateway.port}"
        login = ("login", url, "--user", "admin", "--password-stdin")
        code, _, said = await run(tmp_path, *login, given=gateway.password)
        assert (code, "its certificate is not trusted" in said) == (125, True)
        code, _, said = await run(tmp_path, *login, "--ca", authority, given=gateway.password)
        assert (code, said) == (0, "")
        code, out, _ = await run(tmp_path, "whoami")
        assert "user:admin" in out
        code, token, said = await run(tmp_path, "token", "create", "mine")
        assert code == 0, said
        async with Client(url, token.strip(), ca=authority) as myx:
            me = (await myx.session.get()).me
            assert (me.name, me.via) == ("user:admin", "token")
        async with Client(url, token.strip(), retry_for_s=0) as myx:
            with pytest.raises(Unreachable, match="not trusted") as caught:
                await myx.session.get()
            assert caught.value.permanent
        code, out, said = await run(tmp_path, "logout")
        assert (code, said) == (0, "")
        code, _, _ = await run(tmp_path, "whoami")
        assert code == 125
