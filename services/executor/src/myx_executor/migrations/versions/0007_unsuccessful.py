"""An index of the commands and deployments that ended without success.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NAME = "ix_command_unsuccessful"
_WHERE = "status in ('failed', 'timeout', 'cancelled', 'lost', 'unknown', 'skipped')"


def upgrade() -> None:
    """Makes it; commands that are written meanwhile wait."""
    op.create_index(_NAME, "command", ["id"], schema="executor", postgresql_where=sa.text(_WHERE))


def downgrade() -> None:
    """Takes it away."""
    op.drop_index(_NAME, "command", schema="executor")
