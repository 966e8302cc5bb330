"""The proctoring settings of exams and exam templates: what the dialog shows, saves, tests and resets.

A change is in force on every node within `directory.REFRESH`: whoever places a client reads it from there. Calls to a
meeting service run outside any transaction; rooms that it has not closed yet are named and tried again by the sweep.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from invigilo.accounts.model import Account, Kind, Right
from invigilo.accounts.permissions import access, access_exam, require, rights_in, rights_on
from invigilo.activity.service import record
from invigilo.clock import Clock
from invigilo.errors import BadInput, Invalid, NotFound, Refused
from invigilo.exams.directory import directory_changed
from invigilo.exams.model import JoinBy, ProctoringSettings, Service
from invigilo.proctoring import rules
from invigilo.proctoring.definitions import ServiceDefinitions
from invigilo.proctoring.model import (
    DefinitionWish,
    Holder,
    HolderKind,
    KeyNotice,
    RoomUse,
    ServiceDefinition,
    SettingsWish,
    StuckRoom,
)
from invigilo.proctoring.service import Rooms
from invigilo.providers.proof import Step
from invigilo.sebconfig import catalogue, plist
from invigilo.sebconfig.exam_settings import (
    NATIVE_PLATFORMS,
    PLATFORM_NAMES,
    Platform,
    camera_problems,
    exam_settings,
)
from invigilo.storage.queries import proctoring as queries
from invigilo.storage.queries import services as service_queries
from invigilo.storage.work import Work, WorkFactory


@dataclass(frozen=True, slots=True)
class SettingsView:
    """Everything the dialog shows."""

    holder: Holder
    definition: ServiceDefinition | None
    """The one in use; None for built-in rooms."""
    definitions: tuple[ServiceDefinition, ...]
    """Those that can be chosen; empty for people who may not see them."""
    use: RoomUse
    stuck: tuple[StuckRoom, ...]
    notices: tuple[KeyNotice, ...]
    configuration: str | None
    """Name of the SEB configuration these notices are about; None is the default settings."""
    may_change: bool

    @property
    def is_proven(self) -> bool:
        """Built-in rooms are this server, so there is nothing to prove."""
        if self.holder.settings.service is Service.BUILTIN:
            return True
        return self.definition is not None and self.definition.is_proven


async def _nothing(_w: Work, _holder: Holder) -> None:
    return None


class ProctoringSettingsService:
    """What `/exams/{id}/proctoring` and `/templates/{id}/proctoring` do."""

    def __init__(
        self,
        *,
        work: WorkFactory,
        reading: WorkFactory,
        clock: Clock,
        rooms: Rooms,
        definitions: ServiceDefinitions,
    ) -> None:
        self._work = work
        self._reading = reading
        self._clock = clock
        self._rooms = rooms
        self._definitions = definitions
        self.when_saved: Callable[[Work, Holder], Awaitable[None]] = _nothing
        """Called in the transaction of a save, with the new state: what clients load may depend on it."""

    # --- looking ---

    async def look(self, kind: HolderKind, holder_id: int, by: Account) -> SettingsView:
        """Raises NotFound, NotAllowed."""
        async with self._reading() as w:
            holder = await self._holder(w, kind, holder_id, by, Right.SEE)
            definition = await _definition_of(w, holder, holder.settings.definition_id)
            definitions: list[ServiceDefinition] = []
            if Right.SEE in rights_in(by, Kind.SERVICE):
                definitions = await service_queries.of_institution(w.db, holder.institution_id)
            use, stuck = RoomUse(), list[StuckRoom]()
            if kind is HolderKind.EXAM:
                use, stuck = await queries.room_use(w.db, holder.id), await _stuck(w, holder.id)
            configuration, seb = await _seb_settings(w, holder)
        return SettingsView(
            holder=holder,
            definition=definition,
            definitions=tuple(definitions),
            use=use,
            stuck=tuple(stuck),
            notices=tuple(key_notices(seb, holder.settings)),
            configuration=configuration,
            may_change=_may_change(holder, by),
        )

    async def _holder(
        self,
        w: Work,
        kind: HolderKind,
        holder_id: int,
        by: Account | None,
        right: Right,
        *,
        lock: bool = False,
    ) -> Holder:
        found = await queries.holder(w.db, kind, holder_id, lock=lock)
        if by is None:
            if found is None:
                raise NotFound(f"There is no {kind.value} {holder_id}.", key="no_such_holder")
        elif kind is HolderKind.EXAM:
            access_exam(by, None if found is None else found.exam, right)
        else:
            access(by, Kind.TEMPLATE, found, right)
        assert found is not None
        return found

    # --- changing ---

    async def save(self, kind: HolderKind, holder_id: int, wish: SettingsWish, *, by: Account) -> Holder:
        """Raises NotFound, NotAllowed, Invalid with all problems, and Refused (see `rules.may_save`)."""
        async with self._work() as w:
            saved = await self.save_in(w, kind, holder_id, wish, by=by)
        if wish.close_rooms and not wish.enabled:
            await self._rooms.finish_steps()
        return saved

    async def enter(
        self, kind: HolderKind, holder_id: int, wish: SettingsWish, new: DefinitionWish, *, by: Account
    ) -> ServiceDefinition:
        """Enter a new service together with the settings that choose it; those are to be saved next.

        In a transaction of its own: an untested service is refused a moment later, and nobody should have to type its
        secrets again. Raises what `save` raises, with the problems of both at once.
        """
        require(by, Kind.SERVICE, Right.CHANGE)
        async with self._work() as w:
            holder = await self._holder(w, kind, holder_id, by, Right.CHANGE, lock=True)
            use = await queries.room_use(w.db, holder.id) if kind is HolderKind.EXAM else RoomUse()
            rules.may_save(wish, holder, use)
            taken = await self._definitions.is_name_taken(w, holder.institution_id, new.name)
            problems, _ = self._definitions.checked(wish.service, new, stored=frozenset(), taken=taken)
            chosen = ServiceDefinition(
                0, holder.institution_id, new.name, wish.service, {}, {}, is_proven=True
            )
            with_it = replace(wish, definition_id=0)
            problems += rules.settings_problems(with_it, holder, chosen, self._definitions.choices)
            if problems:
                raise Invalid(*problems)
            return await self._definitions.create_in(w, holder.institution_id, wish.service, new, by=by)

    async def save_in(
        self, w: Work, kind: HolderKind, holder_id: int, wish: SettingsWish, *, by: Account | None
    ) -> Holder:
        """As `save`, for nobody or an operator too; rooms that are to be closed are closed by the next sweep."""
        holder = await self._holder(w, kind, holder_id, by, Right.CHANGE, lock=True)
        use = await queries.room_use(w.db, holder.id) if kind is HolderKind.EXAM else RoomUse()
        rules.may_save(wish, holder, use)
        definition = await _definition_of(w, holder, wish.definition_id, lock=True)
        problems = rules.settings_problems(wish, holder, definition, self._definitions.choices)
        if problems:
            raise Invalid(*problems)
        return await self._store(w, holder, wish, definition, by)

    async def _store(
        self,
        w: Work,
        holder: Holder,
        wish: SettingsWish,
        definition: ServiceDefinition | None,
        by: Account | None,
    ) -> Holder:
        settings = _kept(wish, definition, self._definitions.choices)
        accepted = self._acceptance(holder, wish, definition, by)
        was = (holder.unproven_accepted_at, holder.unproven_accepted_by)
        changes = _changes(holder.settings, settings)
        if not changes and accepted == (None if was[0] is None else was):
            return holder
        await queries.store(w.db, holder, settings, accepted=accepted)
        if holder.kind is HolderKind.EXAM and not settings.enabled:
            await self._rooms.close_rooms_in(w, holder.id)
        await directory_changed(w)
        detail: dict[str, Any] = {"name": holder.name, "changed": changes}
        if definition is not None and settings.enabled:
            detail["definition"] = definition.name
        if accepted is not None and accepted != was:
            detail["unproven_accepted"] = True
        await self._record(w, f"{_DEEDS[holder.kind]}_changed", holder, by, detail)
        after = await queries.holder(w.db, holder.kind, holder.id)
        assert after is not None
        await self.when_saved(w, after)
        return after

    def _acceptance(
        self, holder: Holder, wish: SettingsWish, definition: ServiceDefinition | None, by: Account | None
    ) -> tuple[datetime, str] | None:
        """Who says since when that an unproven service is used; nobody when it is off or proven."""
        if holder.kind is HolderKind.TEMPLATE or not wish.enabled:
            return None
        if definition is None or definition.is_proven:
            return None
        at, who = holder.unproven_accepted_at, holder.unproven_accepted_by
        if rules.stays_on(wish, holder) and at is not None and who is not None:
            return at, who
        if not wish.accept_unproven:
            return None
        return self._clock.now(), "server" if by is None else by.username

    # --- resetting ---

    async def reset(self, exam_id: int, *, by: Account) -> list[StuckRoom]:
        """Close and forget every room of an exam, so that its service may be changed (live-proctoring.md §2.5).

        Returns the rooms that the meeting service did not close; they are tried again until it does. Raises NotFound,
        NotAllowed, and Refused (`archived`, `not_in_use`, `connections_live`).
        """
        async with self._work() as w:
            holder = await self._holder(w, HolderKind.EXAM, exam_id, by, Right.CHANGE, lock=True)
            rules.may_change(holder, None)
            use = await queries.room_use(w.db, exam_id)
            if not use.is_in_use:
                raise Refused("not_in_use", "This exam has no rooms, so there is nothing to reset.")
            rules.may_reset(use)
            await self._rooms.remove_rooms_in(w, exam_id)
            await self._record(w, "rooms_reset", holder, by, {"rooms": use.rooms})
        await self._rooms.finish_steps()
        async with self._reading() as w:
            return await _stuck(w, exam_id)

    # --- testing ---

    async def begin_test(self, kind: HolderKind, holder_id: int, *, by: Account) -> AsyncGenerator[Step]:
        """Test the service that is saved for an exam or a template. Raises NotFound, NotAllowed, Refused, BadInput."""
        async with self._reading() as w:
            holder = await self._holder(w, kind, holder_id, by, Right.CHANGE)
            definition = await _definition_of(w, holder, holder.settings.definition_id)
        if holder.settings.service is Service.BUILTIN:
            return _no_steps()
        if definition is None:
            raise BadInput("Choose a service with its credentials and save, then test.", field="definition")
        return await self._definitions.begin_test(definition.id, by=by)

    async def _record(
        self, w: Work, deed: str, holder: Holder, by: Account | None, detail: Mapping[str, Any]
    ) -> None:
        await record(
            w,
            at=self._clock.now(),
            actor=by,
            deed=deed,
            institution_id=holder.institution_id,
            exam_id=holder.id if holder.kind is HolderKind.EXAM else None,
            detail=dict(detail),
        )


_DEEDS = {HolderKind.EXAM: "proctoring", HolderKind.TEMPLATE: "template_proctoring"}


async def _no_steps() -> AsyncGenerator[Step]:
    """Built-in rooms are this server."""
    for step in ():
        yield step


async def _definition_of(
    w: Work, holder: Holder, definition_id: int | None, *, lock: bool = False
) -> ServiceDefinition | None:
    """A definition of the holder's institution; another institution's does not exist for it."""
    if definition_id is None:
        return None
    found = await service_queries.by_id(w.db, definition_id, lock=lock)
    return found if found is not None and found.institution_id == holder.institution_id else None


async def _stuck(w: Work, exam_id: int) -> list[StuckRoom]:
    removing = await queries.being_removed(w.db, exam_id)
    return [StuckRoom(room.subject, room.reason or "") for room in removing]


def _may_change(holder: Holder, by: Account) -> bool:
    if holder.is_archived:
        return False
    if holder.exam is not None:
        return Right.CHANGE in rights_on(by, holder.exam)
    return Right.CHANGE in rights_in(by, Kind.TEMPLATE)


def _kept(
    wish: SettingsWish, definition: ServiceDefinition | None, choices: rules.Choices
) -> ProctoringSettings:
    """What to store of a wish; while off, what does not fit the service is left out rather than refused."""
    settings = wish.settings
    service = settings.service if settings.service in choices.offered else Service.BUILTIN
    fits = definition is not None and definition.service is service and service in choices.with_definition
    is_native = settings.join_by is JoinBy.NATIVE and service in choices.native
    return ProctoringSettings(
        enabled=settings.enabled,
        service=service,
        collecting_room_size=settings.collecting_room_size,
        join_by=JoinBy.NATIVE if is_native else JoinBy.PAGE,
        features=settings.features,
        definition_id=definition.id if definition is not None and fits else None,
    )


def _changes(before: ProctoringSettings, after: ProctoringSettings) -> dict[str, Any]:
    """What differs, as the record of deeds shows it: name → [before, after]."""

    def plain(settings: ProctoringSettings) -> dict[str, Any]:
        return {
            "enabled": settings.enabled,
            "service": settings.service.value,
            "definition_id": settings.definition_id,
            "collecting_room_size": settings.collecting_room_size,
            "join_by": settings.join_by.value,
            "features": sorted(one.value for one in settings.features),
        }

    old, new = plain(before), plain(after)
    return {name: [old[name], new[name]] for name in old if old[name] != new[name]}


async def _seb_settings(w: Work, holder: Holder) -> tuple[str | None, plist.Settings]:
    found = await queries.seb_settings(w.db, holder.configuration_id, holder.configuration_version)
    if found is None or found[1] is None:
        return (None if found is None else found[0]), exam_settings()
    return found[0], plist.read(found[1])


_JITSI_KEYS = (
    ("jitsiMeetEnable", True, NATIVE_PLATFORMS),
    ("zoomEnable", False, frozenset(Platform)),
)
_ZOOM_KEYS = (
    ("zoomEnable", True, frozenset({Platform.WINDOWS})),
    ("jitsiMeetEnable", False, frozenset(Platform)),
)
"""Switches for clients that join by themselves: key, value, whom it concerns."""


def key_notices(seb: plist.Settings, settings: ProctoringSettings) -> list[KeyNotice]:
    """Where the SEB settings of an exam do not fit how it is proctored (live-proctoring.md §2.8, check 12)."""
    if not settings.enabled:
        return []
    if settings.service is Service.BUILTIN or settings.join_by is JoinBy.PAGE:
        return [
            KeyNotice("set_for_page", one.key, _shown(one.found), _shown(one.needed), _names(one.platforms))
            for one in camera_problems(seb)
        ]
    found: list[KeyNotice] = []
    for key, needed, platforms in _ZOOM_KEYS if settings.service is Service.ZOOM else _JITSI_KEYS:
        stands = seb.get(key)
        effective = catalogue.setting(key).apple_default if stands is None else stands
        if effective is not needed:
            code = "off_for_native" if needed else "ends_session"
            found.append(KeyNotice(code, key, _shown(stands), _shown(needed), _names(platforms)))
    return found


def _names(platforms: frozenset[Platform]) -> tuple[str, ...]:
    return tuple(name for platform, name in PLATFORM_NAMES.items() if platform in platforms)


def _shown(value: plist.PlistValue | None) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
