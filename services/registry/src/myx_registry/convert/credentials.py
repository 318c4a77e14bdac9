"""Credentials. Secrets come in by requests and leave by `secret_message` alone."""

from collections.abc import Mapping
from typing import Final

from myx.registry.v1 import credential_pb2, credential_service_pb2
from myx_kit.errors import InvalidArgument
from myx_kit.wire_time import timestamp
from myx_registry.domain.credentials import (
    Credential,
    CredentialSecret,
    CredentialType,
    checked_credential_name,
    checked_secret,
)
from myx_registry.usecases.credentials import CredentialChange

_TYPES: Final[Mapping[CredentialType, credential_pb2.CredentialType.ValueType]] = {
    CredentialType.PASSWORD: credential_pb2.CREDENTIAL_TYPE_PASSWORD,
    CredentialType.PRIVATE_KEY: credential_pb2.CREDENTIAL_TYPE_PRIVATE_KEY,
}
_CHANGEABLE: Final = frozenset({"name", "secret"})


def credential_message(credential: Credential) -> credential_pb2.Credential:
    """A credential as callers see it: no secrets."""
    return credential_pb2.Credential(
        id=str(credential.id),
        name=credential.name,
        type=_TYPES[credential.type],
        user=credential.login,
        has_passphrase=credential.has_passphrase,
        has_sudo_password=credential.has_sudo_password,
        public_key_fingerprint=credential.public_key_fingerprint,
        created_at=timestamp(credential.created_at),
        updated_at=timestamp(credential.updated_at),
        etag=credential.etag,
        used_by=credential.used_by,
        used_by_count=credential.used_by_count,
    )


def secret(message: credential_pb2.CredentialSecret, where: str) -> CredentialSecret:
    """A secret as it is given; `where` is the field. Raises InvalidArgument `CREDENTIAL_INVALID`."""
    return checked_secret(
        login=message.user,
        password=message.password,
        private_key=message.private_key,
        passphrase=message.passphrase,
        sudo_password=message.sudo_password,
        where=where,
    )


def secret_message(secret: CredentialSecret) -> credential_pb2.CredentialSecret:
    """A secret on its way to the executor."""
    return credential_pb2.CredentialSecret(
        password=secret.password,
        private_key=secret.private_key,
        passphrase=secret.passphrase,
        sudo_password=secret.sudo_password,
        user=secret.login,
    )


def credential_change(request: credential_service_pb2.UpdateCredentialRequest) -> CredentialChange:
    """The fields that the mask names. Raises InvalidArgument `UPDATE_MASK_INVALID`, and as the fields' checks."""
    paths = set(request.update_mask.paths)
    if not paths or paths - _CHANGEABLE:
        raise InvalidArgument("UPDATE_MASK_INVALID", "Name one or both of name and secret.", field="update_mask")
    return CredentialChange(
        name=checked_credential_name(request.name) if "name" in paths else None,
        secret=secret(request.secret, "secret") if "secret" in paths else None,
    )
