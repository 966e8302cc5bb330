"""entered at: when somebody was last in a meeting with a service's credentials.

Old tables only get columns added, never made anew: see `tables.py`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0007_entered_at'
down_revision = '0006_meeting_hosts'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('service_definitions', sa.Column('entered_at', sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column('service_definitions', 'entered_at')
