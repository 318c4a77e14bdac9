"""The replicas that share the fleet."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SCHEMA = "heartbeat"
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """From nothing."""
    op.create_table(
        "member",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("joined_at", _INSTANT, nullable=False),
        sa.Column("lease_until", _INSTANT, nullable=False),
        sa.Column("agents", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_member"),
        schema=_SCHEMA,
    )


def downgrade() -> None:
    """To nothing."""
    op.drop_table("member", schema=_SCHEMA)
