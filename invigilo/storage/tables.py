"""Every table, in one place, as SQLAlchemy Core. Migrations bring a database here; nothing else creates tables.

Times are integers: milliseconds since the Unix epoch, UTC. One unit everywhere, exact on SQLite and PostgreSQL alike,
and what the hot path already has in its hand. What grants something is stored only as its SHA-256 (`*_hash`); what must
be shown or sent again is stored encrypted (`*_encrypted`).
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up by itself only on INTEGER
Ms = BigInteger


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True, autoincrement=True)


def _ref(name: str, target: str, *, nullable: bool = False, ondelete: str = "CASCADE") -> Column[int]:
    return Column(name, Id, ForeignKey(target, ondelete=ondelete), nullable=nullable)


installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key_check", Text, nullable=False),
    Column("secret_key", Text),
    Column("created_at", Ms, nullable=False),
    CheckConstraint("id = 1", name="only_one"),
)

institutions = Table(
    "institutions",
    metadata,
    _id(),
    Column("name", String(255), nullable=False, unique=True),
    Column("created_at", Ms, nullable=False),
)

users = Table(
    "users",
    metadata,
    _id(),
    _ref("institution_id", "institutions.id", nullable=True),
    Column("username", String(64), nullable=False, unique=True),
    Column("display_name", String(255), nullable=False),
    Column("role", String(32), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("language", String(8), nullable=False, server_default="auto"),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", Ms, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    _ref("user_id", "users.id"),
    Column("created_at", Ms, nullable=False),
    Column("expires_at", Ms, nullable=False),
)

sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    _ref("user_id", "users.id"),
    Column("path", Text, nullable=False),
    Column("expires_at", Ms, nullable=False),
)

exams = Table(
    "exams",
    metadata,
    _id(),
    _ref("institution_id", "institutions.id"),
    Column("name", String(255), nullable=False),
    Column("starts_at", Ms, nullable=False),
    Column("ends_at", Ms, nullable=False),
    Column("ended_at", Ms),
    Column("url", Text, nullable=False),
    Column("salt", String(32), nullable=False),
    Column("browser_exam_key", String(64)),
    Column("proctoring_enabled", Boolean, nullable=False, server_default=text("false")),
    Column("service", String(32), nullable=False, server_default="builtin"),
    Column("collecting_room_size", Integer),
    Column("join_by", String(16), nullable=False, server_default="page"),
    Column("settings", LargeBinary),
    Column("config_key", String(64)),
    Column("created_at", Ms, nullable=False),
    UniqueConstraint("institution_id", "name", name="uq_exams_institution_name"),
    CheckConstraint("collecting_room_size IS NULL OR collecting_room_size > 0", name="room_size_positive"),
    CheckConstraint("ends_at > starts_at", name="ends_after_start"),
)

exam_supporters = Table(
    "exam_supporters",
    metadata,
    Column("exam_id", Id, ForeignKey("exams.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
)

connection_configurations = Table(
    "connection_configurations",
    metadata,
    _id(),
    _ref("institution_id", "institutions.id"),
    Column("name", String(255), nullable=False),
    Column("client_id", String(255), nullable=False, unique=True),
    Column("client_secret_encrypted", Text, nullable=False),
    Column("ping_interval_ms", Integer, nullable=False, server_default="1000"),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", Ms, nullable=False),
    UniqueConstraint("institution_id", "name", name="uq_connection_configurations_institution_name"),
)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    _ref("configuration_id", "connection_configurations.id"),
    Column("expires_at", Ms, nullable=False, index=True),
)

client_connections = Table(
    "client_connections",
    metadata,
    _id(),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("entry_key_hash", String(64), nullable=False, unique=True),
    _ref("institution_id", "institutions.id"),
    _ref("configuration_id", "connection_configurations.id"),
    _ref("exam_id", "exams.id", nullable=True),
    Column("state", String(16), nullable=False),
    Column("user_session_id", Text),
    Column("account_name", Text),
    Column("machine_name", Text),
    Column("os_name", Text),
    Column("seb_version", Text),
    Column("address", Text),
    Column("flags", JSON, nullable=False),
    Column("created_at", Ms, nullable=False),
    Column("config_downloaded_at", Ms),
    Column("established_at", Ms),
    Column("closed_at", Ms),
    Column("last_ping", Ms),
    # The same candidate is back on another connection since `replaced_at`: this one is history, unless it pings again.
    Column("replaced_by", Id),
    Column("replaced_at", Ms),
    Column("error_count", Integer, nullable=False, server_default="0"),
    Column("warning_count", Integer, nullable=False, server_default="0"),
    Column("info_count", Integer, nullable=False, server_default="0"),
    Column("battery", Float),
    Column("wlan", Float),
    Column("wlan_connected", Boolean),
    Column("self_check", JSON),
    Index("ix_client_connections_exam_state", "exam_id", "state"),
    Index("ix_client_connections_institution_id", "institution_id"),
    postgresql_with={"fillfactor": "60"},
)

client_events = Table(
    "client_events",
    metadata,
    _id(),
    Column("connection_id", Id, nullable=False),
    Column("type", Integer, nullable=False),
    Column("server_time", Ms, nullable=False),
    Column("client_time", Ms),
    Column("numeric_value", Float),
    Column("text", Text, nullable=False),
    Index("ix_client_events_connection_id_id", "connection_id", "id"),
)

notifications = Table(
    "notifications",
    metadata,
    _id(),
    _ref("connection_id", "client_connections.id"),
    Column("number", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("opened_at", Ms, nullable=False),
    Column("settled_at", Ms),
    Column("settled_by", Id),
    Index(
        "uq_notifications_open",
        "connection_id",
        "number",
        unique=True,
        sqlite_where=text("settled_at IS NULL"),
        postgresql_where=text("settled_at IS NULL"),
    ),
)

instructions = Table(
    "instructions",
    metadata,
    _id(),
    _ref("connection_id", "client_connections.id"),
    Column("type", String(32), nullable=False),
    Column("attributes_encrypted", Text, nullable=False),
    Column("created_at", Ms, nullable=False),
    Column("not_before", Ms, nullable=False),
    Column("sent_at", Ms),
    Column("done_at", Ms),
    Column("outcome", String(16)),
    Index(
        "ix_instructions_open",
        "connection_id",
        sqlite_where=text("done_at IS NULL"),
        postgresql_where=text("done_at IS NULL"),
    ),
)

rooms = Table(
    "rooms",
    metadata,
    _id(),
    _ref("exam_id", "exams.id"),
    Column("kind", String(16), nullable=False),
    Column("number", Integer, nullable=False),
    Column("name", String(64), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("retry_at", Ms),
    Column("created_at", Ms, nullable=False),
    Column("closed_at", Ms),
    UniqueConstraint("exam_id", "kind", "number", name="uq_rooms_exam_kind_number"),
)

room_members = Table(
    "room_members",
    metadata,
    _id(),
    _ref("room_id", "rooms.id"),
    _ref("connection_id", "client_connections.id"),
    Column("since", Ms, nullable=False),
    Column("until", Ms),
    # Nobody is in two rooms: the database says so, not a convention.
    Index(
        "uq_room_members_now",
        "connection_id",
        unique=True,
        sqlite_where=text("until IS NULL"),
        postgresql_where=text("until IS NULL"),
    ),
    Index("ix_room_members_room_id", "room_id"),
)

desired_places = Table(
    "desired_places",
    metadata,
    Column(
        "connection_id",
        Id,
        ForeignKey("client_connections.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    _ref("room_id", "rooms.id", nullable=True),
    Column("receive_audio", Boolean, nullable=False, server_default=text("false")),
    Column("receive_video", Boolean, nullable=False, server_default=text("false")),
    Column("chat", Boolean, nullable=False, server_default=text("false")),
    Column("revision", Integer, nullable=False),
    Column("confirmed_revision", Integer, nullable=False, server_default="0"),
    Column("changed_at", Ms, nullable=False),
)

activity = Table(
    "activity",
    metadata,
    _id(),
    Column("at", Ms, nullable=False),
    Column("institution_id", Id),
    Column("user_id", Id),
    Column("actor", String(255), nullable=False),
    Column("deed", String(64), nullable=False),
    Column("exam_id", Id),
    Column("connection_id", Id),
    Column("room_id", Id),
    Column("detail", JSON, nullable=False),
    Index("ix_activity_exam_id", "exam_id", "id"),
)
