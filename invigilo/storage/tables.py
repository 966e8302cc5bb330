"""Every table, in one place, as SQLAlchemy Core. Migrations bring a database here; nothing else creates tables.

Times are integers: milliseconds since the Unix epoch, UTC. One unit everywhere, exact on SQLite and PostgreSQL alike,
and what the hot path already has in its hand. What grants something is stored only as its SHA-256 (`*_hash`); what must
be shown or sent again is stored encrypted (`*_encrypted`).

Columns that joined an old table later refer to others without a foreign key: SQLite would need the old table made anew for
it, and dropping the old one would take along, by cascade, what hangs on it. The services refuse to delete what is in use.
"""

from __future__ import annotations

from typing import Any

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
    # Counts up with every change of what the directory holds: a node reads everything again only when it differs.
    Column("directory_revision", BigInteger, nullable=False, server_default="0"),
    Column("created_at", Ms, nullable=False),
    # Marks what this installation makes at a meeting service, so that another one's is never swept away.
    Column("instance", String(16)),
    CheckConstraint("id = 1", name="only_one"),
)

institutions = Table(
    "institutions",
    metadata,
    _id(),
    Column("name", String(255), nullable=False, unique=True),
    Column("time_zone", String(64), nullable=False, server_default="UTC"),
    Column("revision", Integer, nullable=False, server_default="0"),
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
    Column("time_zone", String(64), nullable=False, server_default="auto"),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    # Set when somebody else chose the password: its owner chooses another one at the next sign-in.
    Column("must_change_password", Boolean, nullable=False, server_default=text("false")),
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("created_at", Ms, nullable=False),
    Index("ix_users_institution_id", "institution_id", "username"),
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

api_tokens = Table(
    "api_tokens",
    metadata,
    _id(),
    Column("token_hash", String(64), nullable=False, unique=True),
    _ref("user_id", "users.id"),
    Column("name", String(255), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("created_at", Ms, nullable=False),
    Column("expires_at", Ms, nullable=False),
    Column("last_used_at", Ms),
    Index("ix_api_tokens_user_id", "user_id"),
)

# What clients load for an exam: a draft that is edited, and the numbered versions that were published of it.
exam_configurations = Table(
    "exam_configurations",
    metadata,
    _id(),
    _ref("institution_id", "institutions.id"),
    Column("name", String(255), nullable=False),
    Column("description", Text, nullable=False, server_default=text("''")),
    # A template is edited like any other, assigned to no exam, and what new configurations start from.
    Column("is_template", Boolean, nullable=False, server_default=text("false")),
    _ref("template_id", "exam_configurations.id", nullable=True, ondelete="SET NULL"),
    Column("draft", JSON, nullable=False),
    Column("draft_revision", Integer, nullable=False, server_default="0"),
    Column("published_version", Integer),
    Column("created_at", Ms, nullable=False),
    Column("changed_at", Ms, nullable=False),
    UniqueConstraint("institution_id", "name", name="uq_exam_configurations_institution_name"),
)

configuration_versions = Table(
    "configuration_versions",
    metadata,
    Column(
        "configuration_id", Id, ForeignKey("exam_configurations.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("values", JSON, nullable=False),
    Column("settings", LargeBinary, nullable=False),
    Column("config_key", String(64), nullable=False),
    Column("note", Text, nullable=False, server_default=text("''")),
    Column("published_at", Ms, nullable=False),
    Column("published_by", String(255), nullable=False),
)

configuration_changes = Table(
    "configuration_changes",
    metadata,
    _id(),
    _ref("configuration_id", "exam_configurations.id"),
    Column("at", Ms, nullable=False),
    Column("user_id", Id),
    Column("actor", String(255), nullable=False),
    # Where in the values (`quitURL`, `proxies.HTTPPort`, `permittedProcesses[2].executable`); passwords without value.
    Column("path", String(255), nullable=False),
    Column("before", JSON),
    Column("after", JSON),
    # The draft's revision this change made, and the version it was published in; None while it is a draft.
    Column("draft_revision", Integer, nullable=False),
    Column("version", Integer),
    Index("ix_configuration_changes_configuration_id", "configuration_id", "id"),
)

service_definitions = Table(
    "service_definitions",
    metadata,
    _id(),
    _ref("institution_id", "institutions.id"),
    Column("name", String(255), nullable=False),
    Column("service", String(32), nullable=False),
    Column("values", JSON, nullable=False),
    Column("secrets_encrypted", JSON, nullable=False),
    # The last proof: its steps as the dialog showed them, of these very values and secrets.
    Column("proof", JSON),
    Column("proved_at", Ms),
    Column("is_proven", Boolean, nullable=False, server_default=text("false")),
    # When somebody was last in a meeting with the credentials that nothing else proves; forgotten when they change.
    Column("entered_at", Ms),
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("created_at", Ms, nullable=False),
    UniqueConstraint("institution_id", "name", name="uq_service_definitions_institution_name"),
)

# What each host of a service has had of its day, and why it is left out meanwhile.
meeting_hosts = Table(
    "meeting_hosts",
    metadata,
    Column("definition_id", Id, ForeignKey("service_definitions.id", ondelete="CASCADE"), primary_key=True),
    Column("host", String(128), primary_key=True),
    Column("day", Integer, nullable=False, server_default="0"),
    Column("creations", Integer, nullable=False, server_default="0"),
    Column("blocked_until", Ms, nullable=False, server_default="0"),
    Column("reason", String(64), nullable=False, server_default=text("''")),
)

# A room's meeting at a host. Kept apart from the room: it stays until the meeting is gone, whatever becomes of the room.
meeting_bookings = Table(
    "meeting_bookings",
    metadata,
    _id(),
    _ref("definition_id", "service_definitions.id"),
    Column("room", String(64), nullable=False),
    Column("host", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("meeting_id", String(32), nullable=False, server_default=text("''")),
    Column("passcodes_encrypted", Text),
    Column("waits_for_host", Boolean, nullable=False, server_default=text("false")),
    Column("is_focused", Boolean, nullable=False, server_default=text("true")),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("retry_at", Ms, nullable=False, server_default="0"),
    Column("reason", Text, nullable=False, server_default=text("''")),
    Column("created_at", Ms, nullable=False),
    Index("ix_meeting_bookings_definition_id", "definition_id"),
    # Every open room has exactly one meeting: the database says so.
    Index(
        "uq_meeting_bookings_current",
        "definition_id",
        "room",
        unique=True,
        sqlite_where=text("state IN ('booked', 'creating', 'open')"),
        postgresql_where=text("state IN ('booked', 'creating', 'open')"),
    ),
)


ALL_FEATURES = '["town_hall", "one_to_one", "broadcast", "chat"]'


def _proctoring() -> list[Column[Any]]:
    """How an exam is proctored; a template carries the same, to be copied."""
    return [
        Column("proctoring_enabled", Boolean, nullable=False, server_default=text("false")),
        Column("service", String(32), nullable=False, server_default="builtin"),
        Column("service_definition_id", Id),
        Column("collecting_room_size", Integer),
        Column("join_by", String(16), nullable=False, server_default="page"),
        Column("features", JSON, nullable=False, server_default=ALL_FEATURES),
    ]


exam_templates = Table(
    "exam_templates",
    metadata,
    _id(),
    _ref("institution_id", "institutions.id"),
    Column("name", String(255), nullable=False),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("configuration_id", Id),
    Column("quit_password_encrypted", Text),
    *_proctoring(),
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("created_at", Ms, nullable=False),
    UniqueConstraint("institution_id", "name", name="uq_exam_templates_institution_name"),
)

exam_template_supporters = Table(
    "exam_template_supporters",
    metadata,
    Column("template_id", Id, ForeignKey("exam_templates.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
)

exams = Table(
    "exams",
    metadata,
    _id(),
    _ref("institution_id", "institutions.id"),
    Column("name", String(255), nullable=False),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("time_zone", String(64), nullable=False, server_default="UTC"),
    Column("starts_at", Ms, nullable=False),
    Column("ends_at", Ms, nullable=False),
    Column("test_run_since", Ms),
    Column("ended_at", Ms),
    Column("archived_at", Ms),
    Column("url", Text, nullable=False),
    Column("salt", String(32), nullable=False),
    Column("browser_exam_key", String(64)),
    Column("quit_password_encrypted", Text),
    *_proctoring(),
    # Somebody enabled proctoring although the service is not proven, and said so: when, and who.
    Column("unproven_accepted_at", Ms),
    Column("unproven_accepted_by", String(255)),
    # The assigned configuration and the version of it that clients get; later versions wait for somebody to say so.
    Column("configuration_id", Id),
    Column("configuration_version", Integer),
    # The file clients get, and what is computed from it. `settings_revision` counts up with every other file.
    Column("settings", LargeBinary),
    Column("config_key", String(64)),
    Column("settings_revision", Integer, nullable=False, server_default="0"),
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("created_at", Ms, nullable=False),
    Index("ix_exams_institution_id", "institution_id", "starts_at"),
    Index("ix_exams_archived_at", "archived_at"),
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

candidates = Table(
    "candidates",
    metadata,
    _id(),
    _ref("exam_id", "exams.id"),
    Column("user_id", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("group_name", String(255), nullable=False, server_default=text("''")),
    Column("extra_minutes", Integer, nullable=False, server_default="0"),
    UniqueConstraint("exam_id", "user_id", name="uq_candidates_exam_user"),
    CheckConstraint("extra_minutes >= 0", name="extra_not_negative"),
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
    Column("purpose", String(16), nullable=False, server_default="start"),
    Column("encryption", String(16), nullable=False, server_default="none"),
    Column("password_encrypted", Text),
    Column("certificate", Text),
    Column("quit_password_hash", String(64), nullable=False, server_default=text("''")),
    # Offered by clients that cannot reach us while connecting; no address: no fallback.
    Column("fallback_url", Text),
    Column("fallback_timeout_ms", Integer, nullable=False, server_default="30000"),
    Column("fallback_attempts", Integer, nullable=False, server_default="5"),
    Column("fallback_interval_ms", Integer, nullable=False, server_default="2000"),
    Column("fallback_password_hash", String(64), nullable=False, server_default=text("''")),
    # Only the exams of `connection_configuration_exams` are offered to its clients.
    Column("is_limited", Boolean, nullable=False, server_default=text("false")),
    Column("handed_out_at", Ms),
    Column("revoked_at", Ms),
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("created_at", Ms, nullable=False),
    UniqueConstraint("institution_id", "name", name="uq_connection_configurations_institution_name"),
)

connection_configuration_exams = Table(
    "connection_configuration_exams",
    metadata,
    Column(
        "configuration_id",
        Id,
        ForeignKey(
            "connection_configurations.id",
            ondelete="CASCADE",
            name="fk_connection_configuration_exams_configuration",  # the usual name is too long for PostgreSQL
        ),
        primary_key=True,
    ),
    Column("exam_id", Id, ForeignKey("exams.id", ondelete="CASCADE"), primary_key=True),
)

# An address under which SEB itself fetches a connection file (`sebs://…`): whoever has it has the file.
connection_links = Table(
    "connection_links",
    metadata,
    _id(),
    Column("key_hash", String(64), nullable=False, unique=True),
    _ref("configuration_id", "connection_configurations.id"),
    Column("created_at", Ms, nullable=False),
    Column("expires_at", Ms, nullable=False),
    Column("created_by", String(255), nullable=False),
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

# What stands in every 4,096 ids of events, in a line: a search passes over what cannot fit (`queries/events.py`).
event_blocks = Table(
    "event_blocks",
    metadata,
    Column("block", Id, primary_key=True, autoincrement=False),
    Column("first_time", Ms, nullable=False),
    Column("last_time", Ms, nullable=False),
    # Bit n: there is, or was, an event of type n.
    Column("types", Integer, nullable=False),
)

# SQLite: the events whose words are in the full-text table `event_search`, which is made beside these tables.
event_index = Table(
    "event_index",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("low", BigInteger, nullable=False),
    Column("high", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="only_one"),
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
    # The desired place this is a step towards: once it is confirmed, the client acts on that revision.
    Column("revision", Integer),
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

_IS_TOWN_HALL = "kind = 'town_hall' AND state IN ('opening', 'open', 'failed')"

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
    # Who opened a call, and as who that is shown.
    Column("opened_by", Id),
    Column("opened_by_name", String(255)),
    UniqueConstraint("exam_id", "kind", "number", name="uq_rooms_exam_kind_number"),
    # An exam has one town hall at a time; one that is only still being closed at its service is none any more.
    Index(
        "uq_rooms_town_hall",
        "exam_id",
        unique=True,
        sqlite_where=text(_IS_TOWN_HALL),
        postgresql_where=text(_IS_TOWN_HALL),
    ),
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
    # Its call has more people than the service bears: this one is neither heard nor hears.
    Column("is_beyond", Boolean, nullable=False, server_default=text("false")),
    Column("revision", Integer, nullable=False),
    # The revision by which the room became this one; later ones changed only what is perceived there.
    Column("room_revision", Integer, nullable=False, server_default="0"),
    Column("confirmed_revision", Integer, nullable=False, server_default="0"),
    Column("changed_at", Ms, nullable=False),
)

# Who is called into a break-out room. The home in a collecting room stays theirs meanwhile.
call_members = Table(
    "call_members",
    metadata,
    _id(),
    _ref("room_id", "rooms.id"),
    _ref("connection_id", "client_connections.id"),
    Column("since", Ms, nullable=False),
    Column("until", Ms),
    Index(
        "uq_call_members_now",
        "connection_id",
        unique=True,
        sqlite_where=text("until IS NULL"),
        postgresql_where=text("until IS NULL"),
    ),
    Index("ix_call_members_room_id", "room_id"),
)

# A proctor's page lets a room perceive it. It says so again every few seconds, or the hold ends (`expires_at`).
room_holds = Table(
    "room_holds",
    metadata,
    Column("room_id", Id, ForeignKey("rooms.id", ondelete="CASCADE"), primary_key=True),
    Column("holder", String(64), primary_key=True),
    Column("user_id", Id, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("audio", Boolean, nullable=False),
    Column("video", Boolean, nullable=False),
    Column("chat", Boolean, nullable=False),
    Column("since", Ms, nullable=False),
    Column("expires_at", Ms, nullable=False),
    Index("ix_room_holds_expires_at", "expires_at"),
)

# What proctors write to candidates, and candidates to the proctors of their exam.
messages = Table(
    "messages",
    metadata,
    _id(),
    _ref("exam_id", "exams.id"),
    Column("at", Ms, nullable=False),
    # Who wrote it: a person of ours, or (`from_connection_id`) a candidate.
    Column("user_id", Id),
    Column("actor", String(255), nullable=False),
    _ref("from_connection_id", "client_connections.id", nullable=True),
    # `connections`, `room`, `everybody`; `proctors` from a candidate.
    Column("scope", String(16), nullable=False),
    Column("room_id", Id),
    Column("text", Text, nullable=False),
    Index("ix_messages_exam_id", "exam_id", "id"),
)

message_deliveries = Table(
    "message_deliveries",
    metadata,
    Column("message_id", Id, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("connection_id", Id, ForeignKey("client_connections.id", ondelete="CASCADE"), primary_key=True),
    Column("delivered_at", Ms),
    Column("read_at", Ms),
    Index("ix_message_deliveries_connection_id", "connection_id", "message_id"),
)

# What proctors wrote of candidates. Nothing is deleted: what was a mistake is taken back.
notes = Table(
    "notes",
    metadata,
    _id(),
    _ref("exam_id", "exams.id"),
    _ref("connection_id", "client_connections.id"),
    # The user id the client had then: a note follows the person to the next connection.
    Column("candidate", Text, nullable=False, server_default=text("''")),
    # Made by the page that wrote it: a retry after a broken line writes no second one.
    Column("key", String(64), nullable=False),
    Column("category", String(32), nullable=False),
    Column("is_incident", Boolean, nullable=False, server_default=text("false")),
    Column("happened_at", Ms, nullable=False),
    Column("text", Text, nullable=False, server_default=text("''")),
    Column("author_id", Id),
    Column("author", String(255), nullable=False),
    Column("created_at", Ms, nullable=False),
    Column("changed_at", Ms),
    Column("changed_by", String(255)),
    Column("taken_back_at", Ms),
    Column("taken_back_by", String(255)),
    Column("revision", Integer, nullable=False, server_default="0"),
    UniqueConstraint("exam_id", "key", name="uq_notes_exam_key"),
    Index("ix_notes_exam_id", "exam_id", "happened_at", "id"),
    Index("ix_notes_connection_id", "connection_id"),
)

# Who is responsible for a room; a room without a row is nobody's.
duties = Table(
    "duties",
    metadata,
    Column("room_id", Id, ForeignKey("rooms.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    _ref("user_id", "users.id"),
    Column("since", Ms, nullable=False),
    Column("given_by", String(255), nullable=False),
    Index("ix_duties_user_id", "user_id"),
)

# An exam's own thresholds of indicators; an exam without a row has the defaults.
desk_settings = Table(
    "desk_settings",
    metadata,
    Column("exam_id", Id, ForeignKey("exams.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("thresholds", JSON, nullable=False),
    Column("revision", Integer, nullable=False, server_default="0"),
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
    Index("ix_activity_exam_id", "exam_id", "at", "id"),
    Index("ix_activity_institution_id", "institution_id", "at", "id"),
    Index("ix_activity_at", "at", "id"),
)
