"""event search.

What stands in every 4,096 events is written down once, a second or so for a million of them. Their words are not indexed
here, which would keep the server from starting for minutes: it does that by itself while it serves.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0005_event_search'
down_revision = '0004_the_monitoring_desk'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('event_blocks',
    sa.Column('block', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=False, nullable=False),
    sa.Column('first_time', sa.BigInteger(), nullable=False),
    sa.Column('last_time', sa.BigInteger(), nullable=False),
    sa.Column('types', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('block', name=op.f('pk_event_blocks'))
    )
    op.create_table('event_index',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('low', sa.BigInteger(), nullable=False),
    sa.Column('high', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('id = 1', name=op.f('ck_event_index_only_one')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_event_index'))
    )
    bits = ' + '.join(f'max(CASE WHEN type = {n} THEN {1 << n} ELSE 0 END)' for n in range(8))
    op.execute(
        'INSERT INTO event_blocks (block, first_time, last_time, types) '
        f'SELECT id / 4096, min(server_time), max(server_time), {bits} FROM client_events GROUP BY 1'
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == 'sqlite':
        op.execute('DROP TABLE IF EXISTS event_search')
    else:
        op.execute('DROP INDEX IF EXISTS ix_client_events_words')
    op.drop_table('event_index')
    op.drop_table('event_blocks')
