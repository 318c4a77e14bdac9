"""Where an agent is to move, beside where it is."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SCHEMA = "registry"


def upgrade() -> None:
    """Adds; a registry of the version before goes on working."""
    op.add_column("agent", sa.Column("next_rpc_port", sa.Integer, nullable=True), schema=_SCHEMA)
    op.add_column("agent", sa.Column("sealed_next_rpc_path", sa.LargeBinary, nullable=True), schema=_SCHEMA)
    op.create_unique_constraint(op.f("uq_agent_next_rpc_port"), "agent", ["next_rpc_port"], schema=_SCHEMA)


def downgrade() -> None:
    """Forgets moves under way; the constraint goes with its column."""
    op.drop_column("agent", "sealed_next_rpc_path", schema=_SCHEMA)
    op.drop_column("agent", "next_rpc_port", schema=_SCHEMA)
