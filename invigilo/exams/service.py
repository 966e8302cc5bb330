"""Making, changing and ending exams: load, decide, save, and record, each deed in one transaction.

The database decides here, not the directory, which is seconds old and knows no archived exams. Every deed locks the exam's
row first, so two people at once are one after the other; a form carries the revision it was made from besides.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError

from invigilo import fields
from invigilo.accounts.model import Account, Kind, Right, Role
from invigilo.accounts.permissions import access, access_exam, institution_of, require_exams
from invigilo.activity.service import record
from invigilo.clock import Clock, to_ms
from invigilo.errors import CHANGED_MEANWHILE, Invalid, NotFound, Problem, Refused
from invigilo.exams import readiness, rules, served
from invigilo.exams.directory import directory_changed
from invigilo.exams.model import (
    ConfigurationChoice,
    Exam,
    ExamLine,
    ExamState,
    ExamWish,
    Holdings,
    ProctoringSettings,
    Supporter,
    Template,
)
from invigilo.exams.rules import Deed
from invigilo.sebconfig.exam_settings import KeyChange, Platform
from invigilo.sebconfig.values import Values
from invigilo.secrets_box import SecretBox
from invigilo.storage.queries import exam_office as queries
from invigilo.storage.queries import exams as exam_queries
from invigilo.storage.work import Work, WorkFactory


@dataclass(frozen=True, slots=True)
class Offers:
    """What a form for an exam lets one choose from."""

    supporters: list[Supporter]
    configurations: list[ConfigurationChoice]
    templates: list[tuple[int, str]]
    time_zone: str
    """The institution's."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything the page of one exam shows."""

    exam: Exam
    state: ExamState
    deeds: frozenset[Deed]
    supporters: list[Supporter]
    configuration: ConfigurationChoice | None
    findings: list[readiness.Finding]
    changes: list[KeyChange]
    """The keys clients get otherwise than edited."""
    config_keys: Mapping[Platform | None, str]
    """What clients compute; one for all (None), or by platform where they differ."""
    candidates: int
    connected: int
    """Of the roster, how many are connected now."""


class Exams:
    """The exam office's deeds."""

    def __init__(self, *, work: WorkFactory, reading: WorkFactory, box: SecretBox, clock: Clock) -> None:
        self._work = work
        self._reading = reading
        self._box = box
        self._clock = clock

    # --- reading ---

    async def page(
        self,
        by: Account,
        *,
        search: str = "",
        state: ExamState | None = None,
        institution_id: int | None = None,
        sort: str = "state",
        is_descending: bool = False,
        offset: int = 0,
        limit: int = 50,
    ) -> tuple[list[ExamLine], int]:
        """Those this person may see: of their institution, supporters only their own."""
        require_exams(by, Right.SEE)
        async with self._reading() as w:
            return await queries.exam_page(
                w.db,
                now=self._clock.now_ms(),
                institution_id=institution_id if by.role is Role.SERVER_ADMIN else institution_of(by),
                supporter_id=by.id if by.role is Role.EXAM_SUPPORTER else None,
                search=search,
                state=state,
                sort=sort,
                is_descending=is_descending,
                offset=offset,
                limit=limit,
            )

    async def get(self, exam_id: int, by: Account, right: Right = Right.SEE) -> Exam:
        """One exam, archived ones too. Raises NotFound, NotAllowed."""
        async with self._reading() as w:
            return access_exam(by, await exam_queries.exam_by_id(w.db, exam_id), right)

    async def overview(self, exam_id: int, by: Account, *, gives_camera: bool) -> Overview:
        """One exam with all that is ready and missing; `gives_camera` is whether our address lets browsers film."""
        now = self._clock.now()
        async with self._reading() as w:
            exam = access_exam(by, await exam_queries.exam_by_id(w.db, exam_id), Right.SEE)
            people = await queries.people_named(w.db, exam.supporters)
            offered = {one.id for one in await queries.supporters_offered(w.db, exam.institution_id)}
            configuration = await self._choice(w, exam.configuration_id)
            edited = await served.values_of(w, exam.configuration_id, exam.configuration_version)
            file = await queries.served_file(w.db, exam.id)
            files, handed_out = await queries.connection_files(w.db, exam.id, exam.institution_id)
            definition_id = exam.proctoring.definition_id
            is_proven = definition_id is not None and await queries.is_definition_proven(w.db, definition_id)
            roster = await queries.roster_of(w.db, exam.id)
            connected = await queries.connected_users(w.db, exam.id)
        config_keys = _config_keys(exam, None if file is None else file[0])
        changes = served.changes_for_page(edited, exam.proctoring)
        facts = readiness.Facts(
            exam=exam,
            state=exam.state_at(now),
            now=now,
            active_supporters=len(exam.supporters & offered),
            configuration=configuration,
            camera_problems=served.camera_problems_of(None if file is None else file[0], exam.proctoring),
            changed_keys=len(changes),
            is_service_proven=is_proven,
            connection_files=files,
            handed_out=handed_out,
            gives_camera=gives_camera,
            candidates=len(roster),
        )
        return Overview(
            exam=exam,
            state=facts.state,
            deeds=rules.possible_deeds(exam, now),
            supporters=people,
            configuration=configuration,
            findings=readiness.findings(facts),
            changes=changes,
            config_keys=config_keys,
            candidates=len(roster),
            connected=len(connected & roster.keys()),
        )

    async def offers(self, institution_id: int) -> Offers:
        """What may be chosen for an exam of this institution. Who asks was checked before."""
        async with self._reading() as w:
            return Offers(
                await queries.supporters_offered(w.db, institution_id),
                await queries.configurations_offered(w.db, institution_id),
                await queries.templates_offered(w.db, institution_id),
                await queries.time_zone_of(w.db, institution_id),
            )

    async def changes_for(
        self,
        exam_id: int,
        by: Account,
        *,
        configuration_id: int | None,
        proctoring: ProctoringSettings | None = None,
    ) -> list[KeyChange]:
        """The keys clients would get otherwise than edited, with this configuration and these proctoring settings.

        Raises NotFound, NotAllowed, Invalid.
        """
        async with self._reading() as w:
            exam = access_exam(by, await exam_queries.exam_by_id(w.db, exam_id), Right.SEE)
            choice = await self._assignable(w, configuration_id, exam.institution_id)
            version = None if choice is None else choice.published_version
            if configuration_id == exam.configuration_id:
                version = exam.configuration_version
            edited = await served.values_of(w, configuration_id, version)
        return served.changes_for_page(edited, proctoring or exam.proctoring)

    async def holdings(self, exam_id: int, by: Account) -> tuple[Exam, Holdings]:
        """An exam, and what would go with it. Raises NotFound, NotAllowed."""
        async with self._reading() as w:
            exam = access_exam(by, await exam_queries.exam_by_id(w.db, exam_id), Right.CHANGE)
            return exam, await queries.holdings_of(w.db, exam_id)

    # --- making and changing ---

    async def create(self, wish: ExamWish, by: Account, *, template_id: int | None = None) -> Exam:
        """A new exam of this person's institution; what the template says of proctoring is copied. Raises Invalid."""
        require_exams(by, Right.CHANGE)
        assert by.institution_id is not None
        async with self._work() as w:
            template = None
            if template_id is not None:
                found = await queries.template_by_id(w.db, template_id)
                template = access(by, Kind.TEMPLATE, found, Right.SEE)
            return await self.create_in(w, wish, by=by, institution_id=by.institution_id, template=template)

    async def create_in(
        self,
        w: Work,
        wish: ExamWish,
        *,
        by: Account | None,
        institution_id: int,
        template: Template | None = None,
    ) -> Exam:
        """The same inside an open transaction. Raises Invalid."""
        found = rules.problems(wish)
        found += await self._problems_with_others(w, wish, institution_id, exam=None, template=template)
        if found:
            raise Invalid(*found)
        configuration_id = wish.configuration_id
        choice = await self._choice(w, configuration_id)
        if choice is not None and choice.is_template:
            choice = await self._own_configuration(w, choice, wish.name, by)
            configuration_id = choice.id
        password = wish.quit_password
        if password is None and template is not None:
            sealed = await queries.template_quit_password(w.db, template.id)
            password = None if sealed is None else self._box.decrypt(sealed)
        now = self._clock.now()
        columns = {
            **_columns(wish),
            **({} if template is None else proctoring_columns(template.proctoring)),
            "institution_id": institution_id,
            "salt": secrets.token_hex(8),
            "configuration_id": configuration_id,
            "configuration_version": None if choice is None else choice.published_version,
            "quit_password_encrypted": self._box.encrypt(password) if password else None,
            "created_at": to_ms(now),
        }
        try:
            exam_id = await queries.add_exam(w.db, **columns)
        except IntegrityError as error:
            raise Invalid(_name_taken(wish.name)) from error
        await queries.set_supporters(w.db, exam_id, wish.supporters)
        exam = await self._serve(w, exam_id)
        detail: dict[str, Any] = {"name": exam.name}
        if template is not None:
            detail["template"] = template.name
        await self._done(w, exam, by, "exam_created", **detail)
        return exam

    async def change(self, exam_id: int, wish: ExamWish, by: Account, *, revision: int | None) -> Exam:
        """Everything the form says. Raises NotFound, NotAllowed, Invalid, and Refused when changed meanwhile."""
        async with self._work() as w:
            exam = await self._locked(w, exam_id, by)
            return await self.change_in(w, exam, wish, by=by, revision=revision)

    async def change_in(
        self, w: Work, exam: Exam, wish: ExamWish, *, by: Account | None, revision: int | None
    ) -> Exam:
        """The same of an exam that is locked inside an open transaction; without a revision the last one wins."""
        now = self._clock.now()
        if exam.archived_at is not None:
            raise Refused("exam_archived", "An archived exam stays as it is. Take it back first.")
        if revision is not None and revision != exam.revision:
            raise _changed_meanwhile()
        found = rules.problems(wish) + rules.change_problems(exam, wish, now)
        found += await self._problems_with_others(w, wish, exam.institution_id, exam=exam)
        if found:
            raise Invalid(*found)
        columns = _columns(wish)
        if wish.configuration_id != exam.configuration_id:
            choice = await self._choice(w, wish.configuration_id)
            columns["configuration_version"] = None if choice is None else choice.published_version
        before = await queries.quit_password_of(w.db, exam.id)
        password = self._clear(before)
        if wish.quit_password is not None and wish.quit_password != (password or ""):
            columns["quit_password_encrypted"] = (
                self._box.encrypt(wish.quit_password) if wish.quit_password else None
            )
        changed = _changed(exam, wish, is_password_new="quit_password_encrypted" in columns)
        if not changed:
            return exam
        try:
            await queries.update_exam(w.db, exam.id, **columns)
        except IntegrityError as error:
            raise Invalid(_name_taken(wish.name)) from error
        if wish.supporters != exam.supporters:
            await queries.set_supporters(w.db, exam.id, wish.supporters)
        after = await self._serve(w, exam.id)
        await self._done(w, after, by, "exam_changed", name=after.name, changed=changed)
        return after

    async def copy(
        self, exam_id: int, by: Account, *, name: str, starts_at: datetime, with_roster: bool = False
    ) -> Exam:
        """A new exam like this one, as long, at another time. Raises NotFound, NotAllowed, Invalid."""
        async with self._work() as w:
            exam = access_exam(by, await exam_queries.exam_by_id(w.db, exam_id), Right.CHANGE)
            begins, ends = rules.copied_times(exam, starts_at)  # raises Invalid
            offered = {one.id for one in await queries.supporters_offered(w.db, exam.institution_id)}
            wish = ExamWish(
                name=name,
                starts_at=begins,
                ends_at=ends,
                time_zone=exam.time_zone,
                url=exam.url,
                description=exam.description,
                supporters=exam.supporters & offered,  # who left meanwhile supervises no new exam
                configuration_id=exam.configuration_id,
                browser_exam_key=exam.browser_exam_key,
                quit_password=self._clear(await queries.quit_password_of(w.db, exam.id)),
            )
            made = await self.create_in(w, wish, by=by, institution_id=exam.institution_id)
            await queries.update_exam(w.db, made.id, **proctoring_columns(exam.proctoring))
            if with_roster:
                await queries.copy_roster(w.db, exam.id, made.id)
            return await self._serve(w, made.id)

    # --- deeds ---

    async def do(self, exam_id: int, deed: Deed, by: Account) -> Exam:
        """End, test run, reopen, archive, take back. Raises NotFound, NotAllowed, Refused."""
        now = self._clock.now()
        async with self._work() as w:
            exam = await self._locked(w, exam_id, by)
            held = await queries.holdings_of(w.db, exam.id) if deed is Deed.ARCHIVE else None
            rules.check_deed(exam, deed, now, held)
            columns = _DEEDS[deed]
            changes = {name: to_ms(now) if is_set else None for name, is_set in columns.items()}
            await queries.update_exam(w.db, exam.id, **changes)
            after = await self._read(w, exam.id)
            await self._done(w, after, by, f"exam_{_RECORDED[deed]}", name=exam.name)
            return after

    async def delete(self, exam_id: int, by: Account) -> Holdings:
        """The exam and everything that hangs on it; returns what that was. Raises NotFound, NotAllowed, Refused.

        Events go first, some at a time: a crash leaves an exam with fewer events, to be deleted again.
        """
        exam, holdings = await self.holdings(exam_id, by)
        rules.check_deed(exam, Deed.DELETE, self._clock.now(), holdings)
        while True:
            async with self._work() as w:
                exam = await self._locked(w, exam_id, by)
                now_held = await queries.holdings_of(w.db, exam_id)
                rules.check_deed(exam, Deed.DELETE, self._clock.now(), now_held)
                if await queries.delete_some_events(w.db, exam_id) == 0:
                    await queries.delete_exam(w.db, exam_id)
                    await self._done(
                        w, exam, by, "exam_deleted", name=exam.name, **dataclasses.asdict(holdings)
                    )
                    return holdings

    async def reveal_quit_password(self, exam_id: int, by: Account) -> str:
        """For exam administrators and the exam's supporters; the record says who looked. Raises NotFound, NotAllowed."""
        async with self._work() as w:
            exam = access_exam(by, await exam_queries.exam_by_id(w.db, exam_id), Right.PROCTOR)
            sealed = await queries.quit_password_of(w.db, exam.id)
            if sealed is None:
                raise NotFound("This exam has no quit password.", key="no_quit_password")
            await self._record(w, exam, by, "quit_password_revealed", name=exam.name)
            return self._box.decrypt(sealed)

    async def use_version(self, exam_id: int, version: int, by: Account) -> Exam:
        """Give clients this version of the assigned configuration from now on.

        Raises NotFound, NotAllowed, Invalid, Refused.
        """
        async with self._work() as w:
            exam = await self._locked(w, exam_id, by)
            if exam.archived_at is not None:
                raise Refused("exam_archived", "An archived exam stays as it is. Take it back first.")
            has_it = (
                exam.configuration_id is not None
                and await queries.version_values(w.db, exam.configuration_id, version) is not None
            )
            if not has_it:
                words = "There is no such version of the exam's configuration. Choose a published one."
                raise Invalid(Problem("version", "no_version", words))
            await self._use(w, exam, version, by)
            return await self._read(w, exam_id)

    # --- what other subjects set off ---

    async def configuration_published(self, w: Work, configuration_id: int, version: int) -> None:
        """Exams still to come follow a new version at once; those under way wait until somebody says so."""
        now = self._clock.now()
        for exam_id in await queries.exams_with_configuration(w.db, configuration_id):
            await queries.lock_exam(w.db, exam_id)
            exam = await exam_queries.exam_by_id(w.db, exam_id)
            if exam is not None and exam.state_at(now) is ExamState.UPCOMING:
                await self._use(w, exam, version, None)

    async def proctoring_changed(self, w: Work, exam_id: int) -> Exam:
        """In the transaction that changes how an exam is proctored: what clients load follows. Raises NotFound."""
        exam = await self._serve(w, exam_id)
        await directory_changed(w)
        return exam

    # --- steps ---

    async def _use(self, w: Work, exam: Exam, version: int, by: Account | None) -> None:
        if version == exam.configuration_version:
            return
        await queries.update_exam(w.db, exam.id, configuration_version=version)
        after = await self._serve(w, exam.id)
        await self._done(w, after, by, "exam_configuration_version_used", name=exam.name, version=version)

    async def _locked(self, w: Work, exam_id: int, by: Account) -> Exam:
        await queries.lock_exam(w.db, exam_id)
        return access_exam(by, await exam_queries.exam_by_id(w.db, exam_id), Right.CHANGE)

    async def _read(self, w: Work, exam_id: int) -> Exam:
        exam = await exam_queries.exam_by_id(w.db, exam_id)
        if exam is None:
            raise NotFound("There is no such exam.", key="exam_gone")
        return exam

    async def _serve(self, w: Work, exam_id: int) -> Exam:
        """Compute what clients load anew; the exam as it is then."""
        exam = await self._read(w, exam_id)
        password = self._clear(await queries.quit_password_of(w.db, exam_id))
        if await served.serve_again(w, exam, password):
            return await self._read(w, exam_id)
        return exam

    def _clear(self, sealed: str | None) -> str | None:
        return None if sealed is None else self._box.decrypt(sealed)

    async def _choice(self, w: Work, configuration_id: int | None) -> ConfigurationChoice | None:
        if configuration_id is None:
            return None
        return await queries.configuration_choice(w.db, configuration_id)

    async def _assignable(
        self, w: Work, configuration_id: int | None, institution_id: int
    ) -> ConfigurationChoice | None:
        choice = await self._choice(w, configuration_id)
        found = rules.configuration_problems(choice, wished=configuration_id, institution_id=institution_id)
        if found:
            raise Invalid(*found)
        return choice

    async def _problems_with_others(
        self,
        w: Work,
        wish: ExamWish,
        institution_id: int,
        *,
        exam: Exam | None,
        template: Template | None = None,
    ) -> list[Problem]:
        """What is wrong with a wish beside everything else there is; what an exam already has stays allowed."""
        found: list[Problem] = []
        but = None if exam is None else exam.id
        is_name_fit = fields.text("name", wish.name) is None  # what is not could not even be asked for
        if is_name_fit and await queries.is_exam_name_taken(w.db, institution_id, wish.name.strip(), but=but):
            found.append(_name_taken(wish.name))
        offered = {one.id for one in await queries.supporters_offered(w.db, institution_id)}
        found += rules.supporter_problems(
            wish.supporters, offered | (frozenset() if exam is None else exam.supporters)
        )
        if exam is None or wish.configuration_id != exam.configuration_id:
            found += rules.configuration_problems(
                await self._choice(w, wish.configuration_id),
                wished=wish.configuration_id,
                institution_id=institution_id,
                template_allowed=template is not None and wish.configuration_id == template.configuration_id,
            )
        return found

    async def _own_configuration(
        self, w: Work, of: ConfigurationChoice, name: str, by: Account | None
    ) -> ConfigurationChoice:
        """A configuration for one exam, made from a configuration template and published as it stands there."""
        edited: Values | None = await served.values_of(w, of.id, of.published_version)
        if edited is None:
            edited = await queries.draft_values(w.db, of.id)
        now = to_ms(self._clock.now())
        made, settings, key = served.new_configuration(edited)
        own_name = _free_name(name.strip(), await queries.configuration_names(w.db, of.institution_id))
        configuration_id = await queries.add_published_configuration(
            w.db,
            configuration={
                "institution_id": of.institution_id,
                "name": own_name,
                "template_id": of.id,
                "draft": made,
                "published_version": 1,
                "created_at": now,
                "changed_at": now,
            },
            version={
                "values": made,
                "settings": settings,
                "config_key": key,
                "published_at": now,
                "published_by": "server" if by is None else by.username,
            },
        )
        await record(
            w,
            at=self._clock.now(),
            actor=by,
            deed="configuration_created",
            institution_id=of.institution_id,
            detail={"name": own_name, "template": of.name},
        )
        return ConfigurationChoice(configuration_id, of.institution_id, own_name, False, 1)

    async def _done(self, w: Work, exam: Exam, by: Account | None, deed: str, **detail: Any) -> None:
        await self._record(w, exam, by, deed, **detail)
        await directory_changed(w)

    async def _record(self, w: Work, exam: Exam, by: Account | None, deed: str, **detail: Any) -> None:
        await record(
            w,
            at=self._clock.now(),
            actor=by,
            deed=deed,
            institution_id=exam.institution_id,
            exam_id=exam.id,
            detail=detail,
        )


_DEEDS: dict[Deed, dict[str, bool]] = {
    Deed.END: {"ended_at": True},
    Deed.START_TEST_RUN: {"test_run_since": True},
    Deed.STOP_TEST_RUN: {"test_run_since": False},
    Deed.REOPEN: {"ended_at": False},
    Deed.ARCHIVE: {"archived_at": True},
    Deed.TAKE_BACK: {"archived_at": False},
}
"""Deed → which moments it sets to now, and which it takes away."""

_RECORDED = {
    Deed.END: "ended",
    Deed.START_TEST_RUN: "test_run_started",
    Deed.STOP_TEST_RUN: "test_run_stopped",
    Deed.REOPEN: "reopened",
    Deed.ARCHIVE: "archived",
    Deed.TAKE_BACK: "taken_back",
}


def proctoring_columns(proctoring: ProctoringSettings) -> dict[str, Any]:
    """As an exam's row, or a template's, holds them."""
    return {
        "proctoring_enabled": proctoring.enabled,
        "service": proctoring.service.value,
        "service_definition_id": proctoring.definition_id,
        "collecting_room_size": proctoring.collecting_room_size,
        "join_by": proctoring.join_by.value,
        "features": sorted(one.value for one in proctoring.features),
    }


def _columns(wish: ExamWish) -> dict[str, Any]:
    return {
        "name": wish.name.strip(),
        "description": wish.description.strip(),
        "time_zone": wish.time_zone,
        "starts_at": to_ms(wish.starts_at),
        "ends_at": to_ms(wish.ends_at),
        "url": wish.url,
        "browser_exam_key": wish.browser_exam_key,
        "configuration_id": wish.configuration_id,
    }


def _changed(exam: Exam, wish: ExamWish, *, is_password_new: bool) -> list[str]:
    """The names of what is otherwise than before; values are left to who may see them."""
    names = (
        "name", "description", "time_zone", "starts_at", "ends_at", "url", "browser_exam_key",
        "configuration_id", "supporters",
    )  # fmt: skip
    now = dataclasses.replace(wish, name=wish.name.strip(), description=wish.description.strip())
    found = [name for name in names if getattr(exam, name) != getattr(now, name)]
    return [*found, "quit_password"] if is_password_new else found


def _config_keys(exam: Exam, stored: bytes | None) -> dict[Platform | None, str]:
    if stored is None:
        return {}
    if not rules.joins_natively(exam.proctoring):
        return {None: exam.config_key or ""}
    if rules.joins_zoom(exam.proctoring):
        return {None: exam.config_key or "", Platform.WINDOWS: served.for_zoom(stored).config_key}
    return {platform: served.for_platform(stored, platform).config_key for platform in Platform}


def _free_name(wished: str, taken: set[str]) -> str:
    """The name, or the name with the first number that nobody has."""
    numbered = (f"{wished[:240]} ({number})" for number in range(2, len(taken) + 3))
    return next(name for name in (wished, *numbered) if name not in taken)


def _name_taken(name: str) -> Problem:
    return Problem(
        "name",
        "exam_name_taken",
        "There is an exam of this name already. Choose another name.",
        {"name": name},
    )


def _changed_meanwhile() -> Refused:
    return Refused(
        CHANGED_MEANWHILE,
        "Somebody else changed this meanwhile. Nothing was saved: read it again, then repeat your change.",
    )
