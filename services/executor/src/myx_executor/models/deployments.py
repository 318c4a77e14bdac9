"""Deployments and the progress of their plays."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from myx_executor.models.base import metadata

deployment = sa.Table(
    "deployment",
    metadata,
    # That of the row in `command`; secret variables are sealed there until the deployment is final.
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
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
    # What callers see of the kind's own facts.
    sa.Column("details", JSONB, nullable=False, server_default="{}"),
    # What the next owner needs to go on; never shown, never secret.
    sa.Column("state", JSONB, nullable=False, server_default="{}"),
)
sa.Index("ix_deployment_server", deployment.c.server_id, deployment.c.id)
sa.Index("ix_deployment_kind", deployment.c.kind, deployment.c.id)

play_event = sa.Table(
    "play_event",
    metadata,
    sa.Column("deployment_id", UUID(as_uuid=True), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("event", JSONB, nullable=False),
)
