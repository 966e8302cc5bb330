"""exam administration.

Old tables only get columns added, never made anew: see `tables.py`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('exam_configurations',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('institution_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.Text(), server_default=sa.text("''"), nullable=False),
    sa.Column('is_template', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('template_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('draft', sa.JSON(), nullable=False),
    sa.Column('draft_revision', sa.Integer(), server_default='0', nullable=False),
    sa.Column('published_version', sa.Integer(), nullable=True),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('changed_at', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['institution_id'], ['institutions.id'], name=op.f('fk_exam_configurations_institution_id_institutions'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['template_id'], ['exam_configurations.id'], name=op.f('fk_exam_configurations_template_id_exam_configurations'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_exam_configurations')),
    sa.UniqueConstraint('institution_id', 'name', name='uq_exam_configurations_institution_name')
    )
    op.create_table('exam_templates',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('institution_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.Text(), server_default=sa.text("''"), nullable=False),
    sa.Column('configuration_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('quit_password_encrypted', sa.Text(), nullable=True),
    sa.Column('proctoring_enabled', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('service', sa.String(length=32), server_default='builtin', nullable=False),
    sa.Column('service_definition_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('collecting_room_size', sa.Integer(), nullable=True),
    sa.Column('join_by', sa.String(length=16), server_default='page', nullable=False),
    sa.Column('features', sa.JSON(), server_default='["town_hall", "one_to_one", "broadcast", "chat"]', nullable=False),
    sa.Column('revision', sa.Integer(), server_default='0', nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['institution_id'], ['institutions.id'], name=op.f('fk_exam_templates_institution_id_institutions'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_exam_templates')),
    sa.UniqueConstraint('institution_id', 'name', name='uq_exam_templates_institution_name')
    )
    op.create_table('service_definitions',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('institution_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('service', sa.String(length=32), nullable=False),
    sa.Column('values', sa.JSON(), nullable=False),
    sa.Column('secrets_encrypted', sa.JSON(), nullable=False),
    sa.Column('proof', sa.JSON(), nullable=True),
    sa.Column('proved_at', sa.BigInteger(), nullable=True),
    sa.Column('is_proven', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('revision', sa.Integer(), server_default='0', nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['institution_id'], ['institutions.id'], name=op.f('fk_service_definitions_institution_id_institutions'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_service_definitions')),
    sa.UniqueConstraint('institution_id', 'name', name='uq_service_definitions_institution_name')
    )
    op.create_table('api_tokens',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('scopes', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.Column('last_used_at', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_api_tokens_user_id_users'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_tokens')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_api_tokens_token_hash'))
    )
    op.create_index('ix_api_tokens_user_id', 'api_tokens', ['user_id'], unique=False)

    op.create_table('candidates',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('exam_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('user_id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('group_name', sa.String(length=255), server_default=sa.text("''"), nullable=False),
    sa.Column('extra_minutes', sa.Integer(), server_default='0', nullable=False),
    sa.CheckConstraint('extra_minutes >= 0', name=op.f('ck_candidates_extra_not_negative')),
    sa.ForeignKeyConstraint(['exam_id'], ['exams.id'], name=op.f('fk_candidates_exam_id_exams'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_candidates')),
    sa.UniqueConstraint('exam_id', 'user_id', name='uq_candidates_exam_user')
    )
    op.create_table('configuration_changes',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('configuration_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at', sa.BigInteger(), nullable=False),
    sa.Column('user_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('actor', sa.String(length=255), nullable=False),
    sa.Column('path', sa.String(length=255), nullable=False),
    sa.Column('before', sa.JSON(), nullable=True),
    sa.Column('after', sa.JSON(), nullable=True),
    sa.Column('draft_revision', sa.Integer(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=True),
    sa.ForeignKeyConstraint(['configuration_id'], ['exam_configurations.id'], name=op.f('fk_configuration_changes_configuration_id_exam_configurations'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_configuration_changes'))
    )
    op.create_index('ix_configuration_changes_configuration_id', 'configuration_changes', ['configuration_id', 'id'], unique=False)

    op.create_table('configuration_versions',
    sa.Column('configuration_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('number', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('values', sa.JSON(), nullable=False),
    sa.Column('settings', sa.LargeBinary(), nullable=False),
    sa.Column('config_key', sa.String(length=64), nullable=False),
    sa.Column('note', sa.Text(), server_default=sa.text("''"), nullable=False),
    sa.Column('published_at', sa.BigInteger(), nullable=False),
    sa.Column('published_by', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['configuration_id'], ['exam_configurations.id'], name=op.f('fk_configuration_versions_configuration_id_exam_configurations'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('configuration_id', 'number', name=op.f('pk_configuration_versions'))
    )
    op.create_table('connection_configuration_exams',
    sa.Column('configuration_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('exam_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.ForeignKeyConstraint(['configuration_id'], ['connection_configurations.id'], name=op.f('fk_connection_configuration_exams_configuration'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['exam_id'], ['exams.id'], name=op.f('fk_connection_configuration_exams_exam_id_exams'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('configuration_id', 'exam_id', name=op.f('pk_connection_configuration_exams'))
    )
    op.create_table('connection_links',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('key_hash', sa.String(length=64), nullable=False),
    sa.Column('configuration_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.Column('created_by', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['configuration_id'], ['connection_configurations.id'], name=op.f('fk_connection_links_configuration_id_connection_configurations'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_connection_links')),
    sa.UniqueConstraint('key_hash', name=op.f('uq_connection_links_key_hash'))
    )
    op.create_table('exam_template_supporters',
    sa.Column('template_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('user_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.ForeignKeyConstraint(['template_id'], ['exam_templates.id'], name=op.f('fk_exam_template_supporters_template_id_exam_templates'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_exam_template_supporters_user_id_users'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('template_id', 'user_id', name=op.f('pk_exam_template_supporters'))
    )
    op.drop_index('ix_activity_exam_id', table_name='activity')
    op.create_index('ix_activity_exam_id', 'activity', ['exam_id', 'at', 'id'], unique=False)
    op.create_index('ix_activity_at', 'activity', ['at', 'id'], unique=False)
    op.create_index('ix_activity_institution_id', 'activity', ['institution_id', 'at', 'id'], unique=False)

    op.add_column('connection_configurations', sa.Column('purpose', sa.String(length=16), server_default='start', nullable=False))
    op.add_column('connection_configurations', sa.Column('encryption', sa.String(length=16), server_default='none', nullable=False))
    op.add_column('connection_configurations', sa.Column('password_encrypted', sa.Text(), nullable=True))
    op.add_column('connection_configurations', sa.Column('certificate', sa.Text(), nullable=True))
    op.add_column('connection_configurations', sa.Column('quit_password_hash', sa.String(length=64), server_default=sa.text("''"), nullable=False))
    op.add_column('connection_configurations', sa.Column('fallback_url', sa.Text(), nullable=True))
    op.add_column('connection_configurations', sa.Column('fallback_timeout_ms', sa.Integer(), server_default='30000', nullable=False))
    op.add_column('connection_configurations', sa.Column('fallback_attempts', sa.Integer(), server_default='5', nullable=False))
    op.add_column('connection_configurations', sa.Column('fallback_interval_ms', sa.Integer(), server_default='2000', nullable=False))
    op.add_column('connection_configurations', sa.Column('fallback_password_hash', sa.String(length=64), server_default=sa.text("''"), nullable=False))
    op.add_column('connection_configurations', sa.Column('is_limited', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.add_column('connection_configurations', sa.Column('handed_out_at', sa.BigInteger(), nullable=True))
    op.add_column('connection_configurations', sa.Column('revoked_at', sa.BigInteger(), nullable=True))
    op.add_column('connection_configurations', sa.Column('revision', sa.Integer(), server_default='0', nullable=False))

    op.add_column('exams', sa.Column('description', sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column('exams', sa.Column('time_zone', sa.String(length=64), server_default='UTC', nullable=False))
    op.add_column('exams', sa.Column('test_run_since', sa.BigInteger(), nullable=True))
    op.add_column('exams', sa.Column('archived_at', sa.BigInteger(), nullable=True))
    op.add_column('exams', sa.Column('quit_password_encrypted', sa.Text(), nullable=True))
    op.add_column('exams', sa.Column('service_definition_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True))
    op.add_column('exams', sa.Column('features', sa.JSON(), server_default='["town_hall", "one_to_one", "broadcast", "chat"]', nullable=False))
    op.add_column('exams', sa.Column('unproven_accepted_at', sa.BigInteger(), nullable=True))
    op.add_column('exams', sa.Column('unproven_accepted_by', sa.String(length=255), nullable=True))
    op.add_column('exams', sa.Column('configuration_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True))
    op.add_column('exams', sa.Column('configuration_version', sa.Integer(), nullable=True))
    op.add_column('exams', sa.Column('settings_revision', sa.Integer(), server_default='0', nullable=False))
    op.add_column('exams', sa.Column('revision', sa.Integer(), server_default='0', nullable=False))
    op.create_index('ix_exams_archived_at', 'exams', ['archived_at'], unique=False)
    op.create_index('ix_exams_institution_id', 'exams', ['institution_id', 'starts_at'], unique=False)

    op.add_column('installation', sa.Column('directory_revision', sa.BigInteger(), server_default='0', nullable=False))

    op.add_column('institutions', sa.Column('time_zone', sa.String(length=64), server_default='UTC', nullable=False))
    op.add_column('institutions', sa.Column('revision', sa.Integer(), server_default='0', nullable=False))

    op.add_column('users', sa.Column('time_zone', sa.String(length=64), server_default='auto', nullable=False))
    op.add_column('users', sa.Column('must_change_password', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.add_column('users', sa.Column('revision', sa.Integer(), server_default='0', nullable=False))
    op.create_index('ix_users_institution_id', 'users', ['institution_id', 'username'], unique=False)



def downgrade() -> None:
    op.drop_index('ix_users_institution_id', table_name='users')
    op.drop_column('users', 'revision')
    op.drop_column('users', 'must_change_password')
    op.drop_column('users', 'time_zone')

    op.drop_column('institutions', 'revision')
    op.drop_column('institutions', 'time_zone')

    op.drop_column('installation', 'directory_revision')

    op.drop_index('ix_exams_institution_id', table_name='exams')
    op.drop_index('ix_exams_archived_at', table_name='exams')
    op.drop_column('exams', 'revision')
    op.drop_column('exams', 'settings_revision')
    op.drop_column('exams', 'configuration_version')
    op.drop_column('exams', 'configuration_id')
    op.drop_column('exams', 'unproven_accepted_by')
    op.drop_column('exams', 'unproven_accepted_at')
    op.drop_column('exams', 'features')
    op.drop_column('exams', 'service_definition_id')
    op.drop_column('exams', 'quit_password_encrypted')
    op.drop_column('exams', 'archived_at')
    op.drop_column('exams', 'test_run_since')
    op.drop_column('exams', 'time_zone')
    op.drop_column('exams', 'description')

    op.drop_column('connection_configurations', 'revision')
    op.drop_column('connection_configurations', 'revoked_at')
    op.drop_column('connection_configurations', 'handed_out_at')
    op.drop_column('connection_configurations', 'is_limited')
    op.drop_column('connection_configurations', 'fallback_password_hash')
    op.drop_column('connection_configurations', 'fallback_interval_ms')
    op.drop_column('connection_configurations', 'fallback_attempts')
    op.drop_column('connection_configurations', 'fallback_timeout_ms')
    op.drop_column('connection_configurations', 'fallback_url')
    op.drop_column('connection_configurations', 'quit_password_hash')
    op.drop_column('connection_configurations', 'certificate')
    op.drop_column('connection_configurations', 'password_encrypted')
    op.drop_column('connection_configurations', 'encryption')
    op.drop_column('connection_configurations', 'purpose')

    op.drop_index('ix_activity_institution_id', table_name='activity')
    op.drop_index('ix_activity_at', table_name='activity')
    op.drop_index('ix_activity_exam_id', table_name='activity')
    op.create_index('ix_activity_exam_id', 'activity', ['exam_id', 'id'], unique=False)

    op.drop_table('exam_template_supporters')
    op.drop_table('connection_links')
    op.drop_table('connection_configuration_exams')
    op.drop_table('configuration_versions')
    op.drop_index('ix_configuration_changes_configuration_id', table_name='configuration_changes')

    op.drop_table('configuration_changes')
    op.drop_table('candidates')
    op.drop_index('ix_api_tokens_user_id', table_name='api_tokens')

    op.drop_table('api_tokens')
    op.drop_table('service_definitions')
    op.drop_table('exam_templates')
    op.drop_table('exam_configurations')
