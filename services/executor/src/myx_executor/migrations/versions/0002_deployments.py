"""Deployments, the progress of their plays, pushed projects and artifacts.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SCHEMA = "executor"
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Adds the kind of a command's row and the tables beside it."""
    op.add_column("command", sa.Column("kind", sa.Text, nullable=False, server_default="command"), schema=_SCHEMA)
    op.create_check_constraint("ck_command_kind", "command", "kind in ('command', 'deployment')", schema=_SCHEMA)
    _create_deployment()
    op.create_table(
        "play_event",
        sa.Column("deployment_id", UUID(as_uuid=True), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("event", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("deployment_id", "seq", name="pk_play_event"),
        schema=_SCHEMA,
    )
    _create_files()


def _create_deployment() -> None:
    op.create_table(
        "deployment",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("server_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("method_used", sa.Text, nullable=False, server_default=""),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("playbook", sa.Text, nullable=False),
        sa.Column("project_version", sa.Text, nullable=False, server_default=""),
        sa.Column("project_digest", sa.Text, nullable=False, server_default=""),
        sa.Column("extra_vars", JSONB, nullable=False),
        sa.Column("secret_var_names", ARRAY(sa.Text), nullable=False),
        sa.Column("check_mode", sa.Boolean, nullable=False),
        sa.Column("diff", sa.Boolean, nullable=False),
        sa.Column("tags", ARRAY(sa.Text), nullable=False),
        sa.Column("skip_tags", ARRAY(sa.Text), nullable=False),
        sa.Column("host_limit", sa.Text, nullable=False),
        sa.Column("force", sa.Boolean, nullable=False),
        sa.Column("new_port", sa.Boolean, nullable=False),
        sa.Column("new_path", sa.Boolean, nullable=False),
        sa.Column("artifact_sha256", sa.Text, nullable=False),
        sa.Column("retry_of", UUID(as_uuid=True), nullable=True),
        sa.Column("cure", sa.Text, nullable=False, server_default=""),
        sa.Column("steps", JSONB, nullable=False, server_default="[]"),
        sa.Column("recap", JSONB(none_as_null=True), nullable=True),
        sa.Column("details", JSONB, nullable=False, server_default="{}"),
        sa.Column("state", JSONB, nullable=False, server_default="{}"),
        sa.PrimaryKeyConstraint("id", name="pk_deployment"),
        schema=_SCHEMA,
    )
    op.create_index("ix_deployment_server", "deployment", ["server_id", "id"], schema=_SCHEMA)
    op.create_index("ix_deployment_kind", "deployment", ["kind", "id"], schema=_SCHEMA)


def _create_files() -> None:
    op.create_table(
        "project_version",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("playbooks", ARRAY(sa.Text), nullable=False),
        sa.Column("blob_id", UUID(as_uuid=True), nullable=False),
        sa.Column("pushed_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("pushed_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name="pk_project_version"),
        schema=_SCHEMA,
    )
    op.create_table(
        "artifact",
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("blob_id", UUID(as_uuid=True), nullable=False),
        sa.Column("pushed_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("pushed_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_artifact"),
        schema=_SCHEMA,
    )
    op.create_table(
        "blob_chunk",
        sa.Column("blob_id", UUID(as_uuid=True), nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("stored_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("blob_id", "n", name="pk_blob_chunk"),
        schema=_SCHEMA,
    )
    # Archives and binaries are compressed already.
    op.execute(f"alter table {_SCHEMA}.blob_chunk alter column data set storage external")


def downgrade() -> None:
    """Drops the tables and every deployment with them."""
    op.execute(
        f"delete from {_SCHEMA}.command_log using {_SCHEMA}.deployment where command_id = deployment.id"  # noqa: S608
    )
    op.execute(f"delete from {_SCHEMA}.command where kind = 'deployment'")  # noqa: S608
    for table in ("blob_chunk", "artifact", "project_version", "play_event", "deployment"):
        op.drop_table(table, schema=_SCHEMA)
    op.drop_constraint("ck_command_kind", "command", schema=_SCHEMA)
    op.drop_column("command", "kind", schema=_SCHEMA)
