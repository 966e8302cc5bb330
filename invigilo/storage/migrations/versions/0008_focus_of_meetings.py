"""focus of meetings: whether participants of a meeting see hosts only.

Old tables only get columns added, never made anew: see `tables.py`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0008_focus_of_meetings'
down_revision = '0007_entered_at'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        'meeting_bookings', sa.Column('is_focused', sa.Boolean(), server_default=sa.text('true'), nullable=False)
    )


def downgrade() -> None:
    op.drop_column('meeting_bookings', 'is_focused')
