"""New token, key and certificate without a cut: both pairs are taken until the rotation is finished."""

import asyncio
import contextlib
import hashlib
from pathlib import Path
from typing import Any

from myx_agent import config as configuration
from myx_agent import tls
from myx_agent.auth import Keyring, Pair, shown_pair
from myx_agent.commands.spec import check_command_id
from myx_agent.config import DEFAULT_PAIR, Config, ConfigError
from myx_agent.disk import storing
from myx_agent.jsonrpc import RpcError, invalid_param

_MARK = ".rotated-"


class RotationMethods:
    """rotate_credentials and finish_rotation.

    The configuration file decides, written in one step each time: while a rotation is open it names the new pair's
    own certificate files, so that at no moment a certificate stands beside the key of another.
    """

    def __init__(self, path: Path, config: Config, keyring: Keyring, identity: tls.Identity) -> None:
        self._path = path
        self._config = config
        self._keyring = keyring
        self._identity = identity
        self._lock = asyncio.Lock()

    async def rotate_credentials(
        self, rotation_id: str, agent_token: str, secret_key: str, certificate_pem: str, private_key_pem: str
    ) -> dict[str, Any]:
        check_command_id(rotation_id, "rotation_id")
        for field, value in (("agent_token", agent_token), ("secret_key", secret_key)):
            if not configuration.is_secret(value):
                raise invalid_param(field, f"takes {configuration.SECRET_RULE}")
        async with self._lock:
            caller = shown_pair.get(self._keyring.present)
            new = Pair.of(agent_token, secret_key)
            if self._config.rotation_id == rotation_id:
                return self._repeated(new, certificate_pem)
            if agent_token == self._config.agent_token:
                raise invalid_param("agent_token", "must be a new one")
            digest = hashlib.sha256(certificate_pem.encode()).hexdigest()[:12]
            certificate, key = (path.with_name(f"{path.stem}{_MARK}{digest}{path.suffix}") for path in self._homes())
            with storing():
                await asyncio.to_thread(_write_pair, certificate, certificate_pem, key, private_key_pem)
                sha256 = _check_pair(certificate, key)
                self._take(
                    await asyncio.to_thread(
                        self._change,
                        agent_token=agent_token,
                        secret_key=secret_key,
                        certificate_path=str(certificate),
                        key_path=str(key),
                        rotation_id=rotation_id,
                        previous=self._previous_of(caller),
                    )
                )
            return {"rotation_id": rotation_id, "certificate_sha256": sha256}

    async def finish_rotation(self, rotation_id: str) -> dict[str, Any]:
        check_command_id(rotation_id, "rotation_id")
        async with self._lock:
            if self._config.rotation_id != rotation_id:
                raise RpcError(-32017, "there is no such rotation", "ROTATION_NOT_FOUND")
            if shown_pair.get(self._keyring.present) != self._keyring.present:
                raise RpcError(-32017, "a rotation is finished with the new token", "NEW_TOKEN_REQUIRED")
            if self._config.previous is not None:
                with storing():
                    self._take(await asyncio.to_thread(self._go_home))
            return {"rotation_id": rotation_id, "finished": True}

    def _repeated(self, new: Pair, certificate_pem: str) -> dict[str, Any]:
        """The answer to a repeat; the present files may bear either name."""
        certificate = Path(self._config.certificate_path)
        if new != self._keyring.present or certificate.read_text(encoding="ascii") != certificate_pem:
            raise RpcError(-32017, "this rotation_id belongs to other credentials", "ROTATION_CONFLICT")
        sha256 = tls.check_pair(certificate, Path(self._config.key_path))
        return {"rotation_id": self._config.rotation_id, "certificate_sha256": sha256}

    def _homes(self) -> tuple[Path, Path]:
        """Where certificate and key lie when no rotation is open."""
        homes = self._config.previous or self._config
        return Path(homes.certificate_path), Path(homes.key_path)

    def _previous_of(self, caller: Pair) -> dict[str, str]:
        """What is taken beside the new pair: the pair that asked for it, which is known to work."""
        certificate, key = self._homes()
        return {
            "agent_token": caller.token.decode(),
            "secret_key": caller.key.decode(),
            "certificate_path": str(certificate),
            "key_path": str(key),
        }

    def _change(self, **changes: Any) -> Config:
        """Rewrite the file; None drops a key, so that its default counts."""
        try:
            document = configuration.read(self._path) | changes
            return configuration.write(self._path, {key: one for key, one in document.items() if one is not None})
        except ConfigError as error:
            raise RpcError(-32013, str(error), "STORAGE_FAILED", retryable=True) from None

    def _go_home(self) -> Config:
        """The new pair takes the place of the old one; until the file says so the other names stay in force."""
        homes = self._homes()
        for source, home in zip((self._config.certificate_path, self._config.key_path), homes, strict=True):
            configuration.write_private(home, Path(source).read_bytes())
        defaults = zip(("certificate_path", "key_path"), homes, DEFAULT_PAIR, strict=True)
        paths = {name: None if str(home) == default else str(home) for name, home, default in defaults}
        changed = self._change(previous=None, **paths)
        for home in homes:
            for left in home.parent.glob(f"{home.stem}{_MARK}*{home.suffix}"):
                with contextlib.suppress(OSError):
                    left.unlink()
        return changed

    def _take(self, config: Config) -> None:
        """Pairs and certificate of the file count from now on; open connections stay."""
        self._config = config
        self._keyring.take(config)
        self._identity.take(config)


def _write_pair(certificate: Path, certificate_pem: str, key: Path, private_key_pem: str) -> None:
    configuration.write_private(key, private_key_pem.encode())
    configuration.write_private(certificate, certificate_pem.encode())


def _check_pair(certificate: Path, key: Path) -> str:
    try:
        return tls.check_pair(certificate, key)
    except tls.CertificateError:
        for path in (certificate, key):
            path.unlink(missing_ok=True)
        raise invalid_param("certificate_pem", "and private_key_pem are no pair in PEM form") from None
