"""Bringing what exists to what is declared, in one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.accounts import passwords
from invigilo.accounts.model import Right
from invigilo.activity.service import record
from invigilo.clock import Clock, to_ms
from invigilo.configurations.model import ConfigurationWish, Draft
from invigilo.configurations.service import Configurations
from invigilo.declared.reading import (
    NO_LIMIT,
    DeclaredConfiguration,
    DeclaredConnection,
    DeclaredExam,
    DeclaredInstitution,
    DeclaredService,
    DeclaredUser,
    read_declared,
    read_file,
)
from invigilo.errors import BadInput, Invalid, Refused
from invigilo.exams.directory import directory_changed
from invigilo.exams.model import JoinBy, ProctoringSettings, Service
from invigilo.exams.service import Exams
from invigilo.proctoring import rules
from invigilo.proctoring.definitions import ServiceDefinitions
from invigilo.proctoring.model import (
    DefinitionWish,
    Holder,
    HolderKind,
    RoomUse,
    ServiceDefinition,
    SettingsWish,
)
from invigilo.providers.registry import offer
from invigilo.secrets_box import SecretBox
from invigilo.storage.opening import Storage
from invigilo.storage.queries import proctoring as proctoring_queries
from invigilo.storage.queries import services as service_queries
from invigilo.storage.queries.accounts import end_sessions_of
from invigilo.storage.tables import (
    connection_configurations,
    exam_configurations,
    exam_supporters,
    exams,
    institutions,
    users,
)
from invigilo.storage.work import Work


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that was created or changed."""

    kind: str
    name: str
    deed: str
    """`created` or `changed`."""
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.deed} {self.kind} {self.name!r}" + (
            f": {', '.join(self.details)}" if self.details else ""
        )


@dataclass(slots=True)
class Report:
    """What applying did; `unchanged` counts the things that already were as declared."""

    changes: list[Change] = field(default_factory=list[Change])
    unchanged: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "changes": [
                {"kind": c.kind, "name": c.name, "deed": c.deed, "details": list(c.details)}
                for c in self.changes
            ],
            "unchanged": self.unchanged,
        }


async def apply_text(text: str, storage: Storage, clock: Clock, *, folder: Path = Path()) -> Report:
    """Read and apply. Raises BadInput; nothing is half applied. Files of secrets are looked for in `folder`."""
    declared = read_declared(text, folder=folder)
    report = Report()
    async with storage.work() as w:
        applier = _Applier(w, storage, clock, report)
        for user in declared.users:
            await applier.user(user, None)
        for institution in declared.institutions:
            await applier.institution(institution)
        await directory_changed(w)
    return report


async def apply_file(path: Path, storage: Storage, clock: Clock) -> Report:
    return await apply_text(read_file(path), storage, clock, folder=path.parent)


class _Applier:
    def __init__(self, w: Work, storage: Storage, clock: Clock, report: Report) -> None:
        self._w = w
        self._db: AsyncConnection = w.db
        self._box: SecretBox = storage.box
        self._clock = clock
        self._report = report
        self._exams = Exams(work=storage.work, reading=storage.reading, box=storage.box, clock=clock)
        self._configurations = Configurations(work=storage.work, reading=storage.reading, clock=clock)
        self._configurations.when_published = self._exams.configuration_published
        self._services = ServiceDefinitions(
            work=storage.work, reading=storage.reading, box=storage.box, clock=clock, offer=offer(clock)
        )

    async def institution(self, wish: DeclaredInstitution) -> None:
        row = (
            await self._db.execute(select(institutions).where(institutions.c.name == wish.name))
        ).one_or_none()
        if row is None:
            query = insert(institutions).values(name=wish.name, created_at=self._clock.now_ms())
            institution_id = int((await self._db.execute(query.returning(institutions.c.id))).scalar_one())
            await self._note(institution_id, "institution", wish.name, "created")
        else:
            institution_id = row.id
            self._report.unchanged += 1
        for user in wish.users:
            await self.user(user, institution_id)
        for configuration in wish.configurations:
            await self._configuration(configuration, institution_id)
        for service in wish.services:
            await self._service(service, institution_id)
        for exam in wish.exams:
            await self._exam(exam, institution_id)
        for connection in wish.connections:
            await self._connection(connection, institution_id)

    async def user(self, wish: DeclaredUser, institution_id: int | None) -> None:
        row = (await self._db.execute(select(users).where(users.c.username == wish.username))).one_or_none()
        values: dict[str, Any] = {
            "role": wish.role.value,
            **_said(display_name=wish.name, language=wish.language, is_active=wish.is_active),
        }
        if row is None:
            if wish.password is None:
                raise BadInput(f"User {wish.username!r} is new and needs a password.")
            values = {"display_name": wish.username, **values}
            values |= {"username": wish.username, "institution_id": institution_id}
            values |= {
                "password_hash": passwords.hash_password(wish.password),
                "created_at": self._clock.now_ms(),
            }
            await self._db.execute(insert(users).values(**values))
            await self._note(institution_id, "user", wish.username, "created")
            return
        if row.institution_id != institution_id:
            raise BadInput(
                f"User name {wish.username!r} is taken in another institution. Choose another one."
            )
        details = _differences(row, values)
        if wish.password is not None and not passwords.verify(row.password_hash, wish.password):
            values["password_hash"] = passwords.hash_password(wish.password)
            details.append("password")
            await end_sessions_of(self._db, row.id)
        await self._change(users, row.id, values, institution_id, "user", wish.username, details)

    async def _configuration(self, wish: DeclaredConfiguration, institution_id: int) -> None:
        """Made, edited and published through the editor's own rules. A draft somebody else has open is not published."""
        row = await self._configuration_called(wish.name, institution_id)
        about = ConfigurationWish(wish.name, wish.description or "", is_template=bool(wish.is_template))
        if row is None:
            made = await self._configurations.create_in(
                self._w, about, by=None, institution_id=institution_id
            )
            configuration_id, is_open = made.id, False
            self._report.changes.append(Change("configuration", wish.name, "created"))
        else:
            configuration_id = row.id
            is_open = (await self._draft(configuration_id)).has_changes
        try:
            draft = await self._configurations.change_in(self._w, configuration_id, wish.settings, by=None)
            details = [] if row is None else await self._described(row, wish)
            if draft.has_changes and not is_open:
                version = await self._configurations.publish_in(self._w, draft.configuration, by=None)
                details.append(f"version {version.number}")
        except (BadInput, Refused) as error:
            field = getattr(error, "field", None)
            at = f".settings.{field}" if field else ""
            raise BadInput(f"{wish.place}{at}: {error.message}") from error
        if draft.has_changes and is_open:
            details.append(
                "left as a draft, because its draft was not published before; publish it in the editor"
            )
        if row is not None and details:
            self._report.changes.append(Change("configuration", wish.name, "changed", tuple(details)))
        elif row is not None:
            self._report.unchanged += 1

    async def _draft(self, configuration_id: int) -> Draft:
        found = await self._configurations.get_in(self._w, configuration_id, None, Right.SEE)
        return await self._configurations.draft_in(self._w, found)

    async def _described(self, row: Any, wish: DeclaredConfiguration) -> list[str]:
        said = _said(description=wish.description, is_template=wish.is_template)
        details = _differences(row, said)
        if details:
            table = exam_configurations
            await self._db.execute(update(table).where(table.c.id == row.id).values(**said))
        return details

    async def _configuration_called(self, name: str, institution_id: int) -> Any:
        table = exam_configurations
        query = select(table).where(table.c.institution_id == institution_id, table.c.name == name)
        return (await self._db.execute(query)).one_or_none()

    async def _service(self, wish: DeclaredService, institution_id: int) -> None:
        """Entered and changed by the rules of its page; a change leaves it to be tested again."""
        found = await self._definition_called(wish.name, institution_id)
        about = DefinitionWish(wish.name, wish.values)
        if found is not None and found.service is not wish.service:
            raise BadInput(
                f"{wish.place}.service: “{wish.name}” is {found.service.value} already. Choose another name."
            )
        try:
            if found is None:
                await self._services.create_in(self._w, institution_id, wish.service, about, by=None)
                untested = ("test it before exams use it",)
                self._report.changes.append(Change("service", wish.name, "created", untested))
                return
            after = await self._services.change_in(self._w, found.id, about, by=None)
        except Invalid as error:
            listed = [f"{wish.place}.{problem.field}: {problem.message}" for problem in error.problems]
            raise BadInput("\n  ".join(listed)) from error
        except (BadInput, Refused) as error:
            raise BadInput(f"{wish.place}: {error.message}") from error
        if after.revision == found.revision:
            self._report.unchanged += 1
        else:
            untested = ("test it again",)
            self._report.changes.append(Change("service", wish.name, "changed", untested))

    async def _definition_called(self, name: str, institution_id: int) -> ServiceDefinition | None:
        definitions = await service_queries.of_institution(self._db, institution_id)
        return next((one for one in definitions if one.name == name), None)

    async def _proctored(
        self, wish: DeclaredExam, institution_id: int, values: Mapping[str, Any], exam_id: int | None
    ) -> dict[str, Any]:
        """The columns that follow from how an exam is proctored, by the rules of the dialog.

        Raises BadInput: no such definition, not tested, in use by rooms that are there.
        """
        holder, use = _new_holder(wish, institution_id), RoomUse()
        if exam_id is not None:
            stored = await proctoring_queries.holder(self._db, HolderKind.EXAM, exam_id, lock=True)
            assert stored is not None
            holder, use = stored, await proctoring_queries.room_use(self._db, exam_id)
        now = holder.settings
        service = Service(values.get("service", now.service.value))
        definition_id = now.definition_id if service is now.service else None
        if wish.definition is not None:
            named = await self._definition_called(wish.definition, institution_id)
            if named is None:
                raise BadInput(
                    f"{wish.place}.proctoring.definition: there is no service {wish.definition!r} in this institution."
                    " Declare it as [[institution.service]]."
                )
            definition_id = named.id
        size = values.get("collecting_room_size", now.collecting_room_size)
        wanted = SettingsWish(
            enabled=values.get("proctoring_enabled", now.enabled),
            service=service,
            definition_id=definition_id,
            has_size_limit=size is not None,
            collecting_room_size=size,
            join_by=JoinBy(values.get("join_by", now.join_by.value)),
            accept_unproven=wish.accept_unproven,
        )
        definition = (
            None if definition_id is None else await service_queries.by_id(self._db, definition_id, lock=True)
        )
        try:
            rules.may_save(wanted, holder, use)
        except Refused as error:
            raise BadInput(f"{wish.place}.proctoring: {error.message}") from error
        problems = rules.settings_problems(wanted, holder, definition, self._services.choices)
        problems = [one for one in problems if one.field != "join_by"]  # the wall says who cannot join so
        if problems:
            listed = [f"{wish.place}.proctoring.{one.field}: {one.message}" for one in problems]
            raise BadInput("\n  ".join(listed))
        found: dict[str, Any] = {"service_definition_id": definition_id}
        if rules.is_accepted_now(wanted, holder, definition):
            found |= {"unproven_accepted_at": self._clock.now_ms(), "unproven_accepted_by": "server"}
        elif not rules.stays_on(wanted, holder):
            found |= {"unproven_accepted_at": None, "unproven_accepted_by": None}
        return found

    async def _assigned(self, wish: DeclaredExam, institution_id: int) -> dict[str, Any]:
        """The columns of an exam that name its configuration, if the file says one."""
        if wish.configuration is None:
            return {}
        row = await self._configuration_called(wish.configuration, institution_id)
        if row is None or row.is_template or row.published_version is None:
            raise BadInput(
                f"{wish.place}.configuration: there is no published configuration {wish.configuration!r} in this"
                " institution. Declare it as [[institution.configuration]], or publish it in the editor."
            )
        return {"configuration_id": row.id}

    async def _exam(self, wish: DeclaredExam, institution_id: int) -> None:
        values = {k: _stored(v) for k, v in wish.values.items()}
        values |= await self._assigned(wish, institution_id)
        query = select(
            *[c for c in exams.c if c.name != "settings"], exams.c.settings.is_(None).label("lacks_settings")
        )
        query = query.where(exams.c.institution_id == institution_id, exams.c.name == values["name"])
        row = (await self._db.execute(query)).one_or_none()
        if row is None:
            values = wish.if_new | values
            values |= await self._proctored(wish, institution_id, values, None)
            values |= {
                "institution_id": institution_id,
                "salt": secrets.token_hex(8),
                "created_at": self._clock.now_ms(),
            }
            if wish.quit_password is not None:
                values["quit_password_encrypted"] = self._box.encrypt(wish.quit_password)
            exam_id = int(
                (await self._db.execute(insert(exams).values(**values).returning(exams.c.id))).scalar_one()
            )
            await self._supporters(exam_id, institution_id, wish)
            await self._follow_configuration(exam_id)
            await self._note(institution_id, "exam", values["name"], "created", exam_id=exam_id)
            return
        if wish.says_proctoring:
            values |= await self._proctored(wish, institution_id, values, row.id)
        details = _differences(row, values)
        sealed = row.quit_password_encrypted
        if wish.quit_password is not None and (
            sealed is None or self._box.decrypt(sealed) != wish.quit_password
        ):
            values["quit_password_encrypted"] = self._box.encrypt(wish.quit_password)
            details.append("quit password")
        details += await self._supporters(row.id, institution_id, wish)
        await self._change(
            exams, row.id, values, institution_id, "exam", values["name"], details, exam_id=row.id
        )
        if values.get("configuration_id", row.configuration_id) != row.configuration_id:
            await self._follow_configuration(row.id)
        elif details or row.lacks_settings:
            await self._exams.proctoring_changed(self._w, row.id)

    async def _follow_configuration(self, exam_id: int) -> None:
        """An exam that was assigned another configuration gets its newest version, and clients what follows from it."""
        table = exam_configurations
        newest = (
            select(table.c.published_version).where(table.c.id == exams.c.configuration_id).scalar_subquery()
        )
        await self._db.execute(
            update(exams).where(exams.c.id == exam_id).values(configuration_version=newest)
        )
        await self._exams.proctoring_changed(self._w, exam_id)

    async def _supporters(self, exam_id: int, institution_id: int, wish: DeclaredExam) -> list[str]:
        query = select(users.c.id, users.c.username).where(users.c.institution_id == institution_id)
        if wish.supporters is None:
            return []
        ids = {row.username: row.id for row in await self._db.execute(query)}
        unknown = [name for name in wish.supporters if name not in ids]
        if unknown:
            raise BadInput(f"{wish.place}.supporters: there is no user {unknown[0]!r} in this institution.")
        table = exam_supporters
        now = set(
            (await self._db.execute(select(table.c.user_id).where(table.c.exam_id == exam_id))).scalars()
        )
        wanted = {ids[name] for name in wish.supporters}
        if now == wanted:
            return []
        await self._db.execute(delete(table).where(table.c.exam_id == exam_id))
        if wanted:
            await self._db.execute(
                insert(table), [{"exam_id": exam_id, "user_id": user_id} for user_id in wanted]
            )
        return ["supporters"]

    async def _connection(self, wish: DeclaredConnection, institution_id: int) -> None:
        table = connection_configurations
        row = (await self._db.execute(select(table).where(table.c.client_id == wish.client_id))).one_or_none()
        values: dict[str, Any] = {
            "name": wish.name,
            **_said(ping_interval_ms=wish.ping_interval_ms, is_active=wish.is_active),
        }
        if row is None:
            secret = wish.client_secret or secrets.token_urlsafe(24)
            values |= {
                "institution_id": institution_id,
                "client_id": wish.client_id,
                "client_secret_encrypted": self._box.encrypt(secret),
                "created_at": self._clock.now_ms(),
            }
            await self._db.execute(insert(table).values(**values))
            made = () if wish.client_secret else ("client secret made; it is in the connection file",)
            await self._note(institution_id, "connection", wish.name, "created", details=made)
            return
        if row.institution_id != institution_id:
            raise BadInput(
                f"Client id {wish.client_id!r} is taken in another institution. Choose another one."
            )
        details = _differences(row, values)
        if wish.client_secret and self._box.decrypt(row.client_secret_encrypted) != wish.client_secret:
            values["client_secret_encrypted"] = self._box.encrypt(wish.client_secret)
            details.append("client secret")
        await self._change(table, row.id, values, institution_id, "connection", wish.name, details)

    async def _change(
        self,
        table: Any,
        row_id: int,
        values: dict[str, Any],
        institution_id: int | None,
        kind: str,
        name: str,
        details: list[str],
        *,
        exam_id: int | None = None,
    ) -> None:
        if not details:
            self._report.unchanged += 1
            return
        query = update(table).where(table.c.id == row_id)
        await self._db.execute(query.values(**values, revision=table.c.revision + 1))
        await self._note(institution_id, kind, name, "changed", details=tuple(details), exam_id=exam_id)

    async def _note(
        self,
        institution_id: int | None,
        kind: str,
        name: str,
        deed: str,
        *,
        details: tuple[str, ...] = (),
        exam_id: int | None = None,
    ) -> None:
        self._report.changes.append(Change(kind, name, deed, details))
        await record(
            self._w,
            at=self._clock.now(),
            actor=None,
            deed=f"{kind}_{deed}",
            institution_id=institution_id,
            exam_id=exam_id,
            detail={"name": name, "changes": list(details)},
        )


def _said(**values: Any) -> dict[str, Any]:
    """Only what the file mentions: the rest stays as it is, or as new things are."""
    return {name: value for name, value in values.items() if value is not None}


def _new_holder(wish: DeclaredExam, institution_id: int) -> Holder:
    return Holder(HolderKind.EXAM, 0, institution_id, wish.values["name"], ProctoringSettings(), 0)


def _stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return to_ms(value)
    return value.value if isinstance(value, Service | JoinBy) else value


_SHOWN = {
    "collecting_room_size": "room size",
    "proctoring_enabled": "proctoring",
    "starts_at": "start",
    "ends_at": "end",
    "is_active": "active",
    "display_name": "name",
    "ping_interval_ms": "ping interval",
    "join_by": "join by",
    "browser_exam_key": "Browser Exam Key",
    "configuration_id": "configuration",
    "service_definition_id": "definition",
    "unproven_accepted_at": "used untested",
    "unproven_accepted_by": "by whom",
    "is_template": "template",
}


_UNSHOWN = {
    *("starts_at", "ends_at", "browser_exam_key", "configuration_id", "description", "features"),
    *("service_definition_id", "unproven_accepted_at", "unproven_accepted_by"),
}
"""What says nothing to people as it is stored, or is long: named without its values."""


def _differences(row: Any, values: dict[str, Any]) -> list[str]:
    """What would change, in words; times and keys are named without their values."""
    found: list[str] = []
    for name, value in values.items():
        before = getattr(row, name)
        if before == value:
            continue
        shown = _SHOWN.get(name, name)
        is_plain = name not in _UNSHOWN
        found.append(f"{shown} {_say(before)} → {_say(value)}" if is_plain else shown)
    return found


def _say(value: Any) -> str:
    if value is None:
        return NO_LIMIT
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)
