"""meeting hosts: which host of a meeting service holds which room's meeting.

Old tables only get columns added, never made anew: see `tables.py`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0006_meeting_hosts'
down_revision = '0005_event_search'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('meeting_hosts',
    sa.Column('definition_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('host', sa.String(length=128), nullable=False),
    sa.Column('day', sa.Integer(), server_default='0', nullable=False),
    sa.Column('creations', sa.Integer(), server_default='0', nullable=False),
    sa.Column('blocked_until', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('reason', sa.String(length=64), server_default=sa.text("''"), nullable=False),
    sa.ForeignKeyConstraint(['definition_id'], ['service_definitions.id'], name=op.f('fk_meeting_hosts_definition_id_service_definitions'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('definition_id', 'host', name=op.f('pk_meeting_hosts'))
    )
    op.create_table('meeting_bookings',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('definition_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('room', sa.String(length=64), nullable=False),
    sa.Column('host', sa.String(length=128), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('meeting_id', sa.String(length=32), server_default=sa.text("''"), nullable=False),
    sa.Column('passcodes_encrypted', sa.Text(), nullable=True),
    sa.Column('waits_for_host', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('retry_at', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('reason', sa.Text(), server_default=sa.text("''"), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['definition_id'], ['service_definitions.id'], name=op.f('fk_meeting_bookings_definition_id_service_definitions'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_meeting_bookings'))
    )
    op.create_index('ix_meeting_bookings_definition_id', 'meeting_bookings', ['definition_id'])
    op.create_index('uq_meeting_bookings_current', 'meeting_bookings', ['definition_id', 'room'], unique=True,
        sqlite_where=sa.text("state IN ('booked', 'creating', 'open')"),
        postgresql_where=sa.text("state IN ('booked', 'creating', 'open')"))
    op.add_column('installation', sa.Column('instance', sa.String(length=16), nullable=True))


def downgrade() -> None:
    op.drop_column('installation', 'instance')
    op.drop_index('uq_meeting_bookings_current', table_name='meeting_bookings')
    op.drop_index('ix_meeting_bookings_definition_id', table_name='meeting_bookings')
    op.drop_table('meeting_bookings')
    op.drop_table('meeting_hosts')
