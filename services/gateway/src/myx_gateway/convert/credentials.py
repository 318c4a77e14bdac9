"""Credentials; their secrets never come this way."""

from myx.registry.v1 import credential_pb2
from myx_gateway.convert.wire import moment_of
from myx_gateway.schemas.credentials import Credential, CredentialType

_TYPES = {
    credential_pb2.CREDENTIAL_TYPE_PASSWORD: CredentialType.PASSWORD,
    credential_pb2.CREDENTIAL_TYPE_PRIVATE_KEY: CredentialType.PRIVATE_KEY,
}


def credential(message: credential_pb2.Credential) -> Credential:
    """A credential without its secrets."""
    return Credential(
        id=message.id,
        name=message.name,
        type=_TYPES.get(message.type, CredentialType.UNKNOWN),
        user=message.user,
        has_passphrase=message.has_passphrase,
        has_sudo_password=message.has_sudo_password,
        public_key_fingerprint=message.public_key_fingerprint,
        used_by=list(message.used_by),
        used_by_count=message.used_by_count,
        created_at=moment_of(message, "created_at"),
        updated_at=moment_of(message, "updated_at"),
        etag=message.etag,
    )
