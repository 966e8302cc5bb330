"""the monitoring desk: notes, duties, thresholds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0004_the_monitoring_desk'
down_revision = '0003_calls_and_messages'
branch_labels = None
depends_on = None


def _id_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    op.create_table('notes',
    sa.Column('id', _id_type(), autoincrement=True, nullable=False),
    sa.Column('exam_id', _id_type(), nullable=False),
    sa.Column('connection_id', _id_type(), nullable=False),
    sa.Column('candidate', sa.Text(), server_default=sa.text("''"), nullable=False),
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('category', sa.String(length=32), nullable=False),
    sa.Column('is_incident', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('happened_at', sa.BigInteger(), nullable=False),
    sa.Column('text', sa.Text(), server_default=sa.text("''"), nullable=False),
    sa.Column('author_id', _id_type(), nullable=True),
    sa.Column('author', sa.String(length=255), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('changed_at', sa.BigInteger(), nullable=True),
    sa.Column('changed_by', sa.String(length=255), nullable=True),
    sa.Column('taken_back_at', sa.BigInteger(), nullable=True),
    sa.Column('taken_back_by', sa.String(length=255), nullable=True),
    sa.Column('revision', sa.Integer(), server_default='0', nullable=False),
    sa.ForeignKeyConstraint(['connection_id'], ['client_connections.id'], name=op.f('fk_notes_connection_id_client_connections'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['exam_id'], ['exams.id'], name=op.f('fk_notes_exam_id_exams'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notes')),
    sa.UniqueConstraint('exam_id', 'key', name='uq_notes_exam_key')
    )
    op.create_index('ix_notes_connection_id', 'notes', ['connection_id'], unique=False)
    op.create_index('ix_notes_exam_id', 'notes', ['exam_id', 'happened_at', 'id'], unique=False)

    op.create_table('duties',
    sa.Column('room_id', _id_type(), autoincrement=False, nullable=False),
    sa.Column('user_id', _id_type(), nullable=False),
    sa.Column('since', sa.BigInteger(), nullable=False),
    sa.Column('given_by', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['room_id'], ['rooms.id'], name=op.f('fk_duties_room_id_rooms'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_duties_user_id_users'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('room_id', name=op.f('pk_duties'))
    )
    op.create_index('ix_duties_user_id', 'duties', ['user_id'], unique=False)

    op.create_table('desk_settings',
    sa.Column('exam_id', _id_type(), autoincrement=False, nullable=False),
    sa.Column('thresholds', sa.JSON(), nullable=False),
    sa.Column('revision', sa.Integer(), server_default='0', nullable=False),
    sa.ForeignKeyConstraint(['exam_id'], ['exams.id'], name=op.f('fk_desk_settings_exam_id_exams'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('exam_id', name=op.f('pk_desk_settings'))
    )


def downgrade() -> None:
    op.drop_table('desk_settings')
    op.drop_index('ix_duties_user_id', table_name='duties')
    op.drop_table('duties')
    op.drop_index('ix_notes_exam_id', table_name='notes')
    op.drop_index('ix_notes_connection_id', table_name='notes')
    op.drop_table('notes')
