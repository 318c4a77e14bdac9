"""Pushed projects and artifacts."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from myx_executor.models.base import metadata

project_version = sa.Table(
    "project_version",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    # SHA-256 of the archive, lower-case hex.
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("playbooks", ARRAY(sa.Text), nullable=False),
    sa.Column("blob_id", UUID(as_uuid=True), nullable=False),
    sa.Column("pushed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("pushed_by", sa.Text, nullable=False),
)

artifact = sa.Table(
    "artifact",
    metadata,
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("blob_id", UUID(as_uuid=True), nullable=False),
    sa.Column("pushed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("pushed_by", sa.Text, nullable=False),
)

# Content of projects and artifacts in pieces of at most 1 MiB. A blob that no row names is an upload that is under way
# or was given up; those are swept.
blob_chunk = sa.Table(
    "blob_chunk",
    metadata,
    sa.Column("blob_id", UUID(as_uuid=True), primary_key=True),
    sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)
