"""calls and messages.

Old tables only get columns added, never made anew: see `tables.py`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0003_calls_and_messages'
down_revision = '0002'
branch_labels = None
depends_on = None

_IS_TOWN_HALL = "kind = 'town_hall' AND state IN ('opening', 'open', 'failed')"
_ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    op.create_table('call_members',
    sa.Column('id', _ID, autoincrement=True, nullable=False),
    sa.Column('room_id', _ID, nullable=False),
    sa.Column('connection_id', _ID, nullable=False),
    sa.Column('since', sa.BigInteger(), nullable=False),
    sa.Column('until', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['connection_id'], ['client_connections.id'], name=op.f('fk_call_members_connection_id_client_connections'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['room_id'], ['rooms.id'], name=op.f('fk_call_members_room_id_rooms'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_call_members'))
    )
    op.create_index('ix_call_members_room_id', 'call_members', ['room_id'], unique=False)
    op.create_index('uq_call_members_now', 'call_members', ['connection_id'], unique=True, sqlite_where=sa.text('until IS NULL'), postgresql_where=sa.text('until IS NULL'))
    op.create_table('room_holds',
    sa.Column('room_id', _ID, nullable=False),
    sa.Column('holder', sa.String(length=64), nullable=False),
    sa.Column('user_id', _ID, nullable=False),
    sa.Column('actor', sa.String(length=255), nullable=False),
    sa.Column('audio', sa.Boolean(), nullable=False),
    sa.Column('video', sa.Boolean(), nullable=False),
    sa.Column('chat', sa.Boolean(), nullable=False),
    sa.Column('since', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['room_id'], ['rooms.id'], name=op.f('fk_room_holds_room_id_rooms'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('room_id', 'holder', name=op.f('pk_room_holds'))
    )
    op.create_index('ix_room_holds_expires_at', 'room_holds', ['expires_at'], unique=False)
    op.create_table('messages',
    sa.Column('id', _ID, autoincrement=True, nullable=False),
    sa.Column('exam_id', _ID, nullable=False),
    sa.Column('at', sa.BigInteger(), nullable=False),
    sa.Column('user_id', _ID, nullable=True),
    sa.Column('actor', sa.String(length=255), nullable=False),
    sa.Column('from_connection_id', _ID, nullable=True),
    sa.Column('scope', sa.String(length=16), nullable=False),
    sa.Column('room_id', _ID, nullable=True),
    sa.Column('text', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['exam_id'], ['exams.id'], name=op.f('fk_messages_exam_id_exams'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['from_connection_id'], ['client_connections.id'], name=op.f('fk_messages_from_connection_id_client_connections'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_messages'))
    )
    op.create_index('ix_messages_exam_id', 'messages', ['exam_id', 'id'], unique=False)
    op.create_table('message_deliveries',
    sa.Column('message_id', _ID, nullable=False),
    sa.Column('connection_id', _ID, nullable=False),
    sa.Column('delivered_at', sa.BigInteger(), nullable=True),
    sa.Column('read_at', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['connection_id'], ['client_connections.id'], name=op.f('fk_message_deliveries_connection_id_client_connections'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['message_id'], ['messages.id'], name=op.f('fk_message_deliveries_message_id_messages'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('message_id', 'connection_id', name=op.f('pk_message_deliveries'))
    )
    op.create_index('ix_message_deliveries_connection_id', 'message_deliveries', ['connection_id', 'message_id'], unique=False)
    op.add_column('rooms', sa.Column('opened_by', _ID, nullable=True))
    op.add_column('rooms', sa.Column('opened_by_name', sa.String(length=255), nullable=True))
    op.create_index('uq_rooms_town_hall', 'rooms', ['exam_id'], unique=True, sqlite_where=sa.text(_IS_TOWN_HALL), postgresql_where=sa.text(_IS_TOWN_HALL))
    op.add_column('instructions', sa.Column('revision', sa.Integer(), nullable=True))
    op.add_column('desired_places', sa.Column('is_beyond', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.add_column('desired_places', sa.Column('room_revision', sa.Integer(), server_default='0', nullable=False))
    # Until now every revision was another room, and every join led to the newest.
    op.execute('UPDATE desired_places SET room_revision = revision')
    op.execute(
        "UPDATE instructions SET revision = (SELECT desired_places.revision FROM desired_places "
        "WHERE desired_places.connection_id = instructions.connection_id) WHERE type = 'SEB_PROCTORING' AND done_at IS NULL"
    )


def downgrade() -> None:
    op.drop_column('desired_places', 'room_revision')
    op.drop_column('desired_places', 'is_beyond')
    op.drop_column('instructions', 'revision')
    op.drop_index('uq_rooms_town_hall', table_name='rooms')
    op.drop_column('rooms', 'opened_by_name')
    op.drop_column('rooms', 'opened_by')
    op.drop_index('ix_message_deliveries_connection_id', table_name='message_deliveries')
    op.drop_table('message_deliveries')
    op.drop_index('ix_messages_exam_id', table_name='messages')
    op.drop_table('messages')
    op.drop_index('ix_room_holds_expires_at', table_name='room_holds')
    op.drop_table('room_holds')
    op.drop_index('uq_call_members_now', table_name='call_members')
    op.drop_index('ix_call_members_room_id', table_name='call_members')
    op.drop_table('call_members')
