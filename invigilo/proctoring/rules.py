"""Who goes into which collecting room, decided from the state alone (live-proctoring.md §3.2, right column); and what may
be set how, and when (§2.3, §2.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from operator import attrgetter

from invigilo import fields
from invigilo.errors import CHANGED_MEANWHILE, Problem, Refused, Sentence
from invigilo.exams.model import Exam, JoinBy, ProctoringFeature, Service
from invigilo.monitoring.capability import Capability
from invigilo.proctoring.model import (
    NOTHING,
    DefinitionWish,
    Hold,
    Holder,
    HolderKind,
    Perception,
    Place,
    Room,
    RoomKind,
    RoomUse,
    ServiceDefinition,
    SettingsWish,
    Standing,
)

OPEN_RETRY_FIRST = 1_000  # ms
OPEN_RETRY_MOST = 30_000
JOIN_SETTLES = 3_000
"""Ms after a READY client's last step before its native join is due: one that comes before the client listens is
confirmed and lost (seb-client-api.md §4.6)."""


@dataclass(frozen=True, slots=True)
class Returning:
    """An earlier connection of the same candidate that is dead now."""

    connection_id: int
    room_id: int
    holds_place: bool


def choose_collecting_room(
    rooms: Sequence[Room], size: int | None, *, home: int | None = None
) -> Room | None:
    """The room a newly live client joins; None when a new one must be made.

    Rooms fill by number, so a proctor finds room 1 full before room 2 exists. A candidate who was in a room before (`home`)
    returns to it if it has a place. A room that is closing takes nobody, even with places free: its clients are already
    being sent away.
    """
    takes = sorted(
        (r for r in rooms if r.kind is RoomKind.COLLECTING and r.state.takes_members),
        key=attrgetter("number"),
    )
    free = [r for r in takes if size is None or r.member_count < size]
    return next((r for r in free if r.id == home), free[0] if free else None)


def next_number(rooms: Sequence[Room], kind: RoomKind = RoomKind.COLLECTING) -> int:
    """Numbers count up per exam and kind and are never used twice; so closed rooms must be among `rooms`."""
    return max((r.number for r in rooms if r.kind is kind), default=0) + 1


def retry_delay(attempts: int) -> int:
    """Ms until a failed opening is tried again."""
    return min(OPEN_RETRY_FIRST * 2 ** min(attempts - 1, 10), OPEN_RETRY_MOST)


def joins_natively(capability: Capability, join_by: JoinBy, service: Service, *, provider_can: bool) -> bool:
    """Whether this client is called in by instruction rather than by our page."""
    can_join = capability.join_zoom if service is Service.ZOOM else capability.join_jitsi
    return join_by is JoinBy.NATIVE and provider_can and can_join


def takes_place(capability: Capability, join_by: JoinBy, service: Service, *, provider_can: bool) -> bool:
    """Whether a client can take part at all; one that cannot is listed as such and holds no place."""
    return capability.can_camera_page or joins_natively(
        capability, join_by, service, provider_can=provider_can
    )


# --- calls ---


def wanted_room(home: int | None, break_out: int | None, town_hall: int | None) -> int | None:
    """Where somebody should be: called aside first, then with all, then at home. Who has no home is nowhere.

    A call counts from when it is open: until then everybody stays where they are.
    """
    if home is None:
        return None
    return next((room for room in (break_out, town_hall, home) if room is not None), None)


def perceived(holds: Iterable[Hold]) -> Perception:
    """What a room's candidates perceive: whatever any proctor lets them. Who is seen is heard (§3.6)."""
    found = NOTHING
    for hold in holds:
        found |= hold.perceived
    return replace(found, audio=found.audio or found.video)


class Step(StrEnum):
    """What a client that is called in by instruction is told."""

    RESET = "reset"
    """Perceive nothing any more."""
    JOIN = "join"
    PERCEIVE = "perceive"
    """All three of hear, see, write, as they are now."""


def native_steps(before: Standing, after: Place, *, is_open: bool, opened: bool) -> tuple[Step, ...]:
    """What brings such a client from what it was told last to where it should be.

    `is_open`: the new room is open; `opened`: it has just become so, and its members were not called in yet. A reset goes
    before the join only where something was on; after the join follows what is on in the new room, because a join
    makes some clients forget and others remember. Nobody is ever told to leave: the clients that are called in take
    every such instruction for a join (seb-client-api.md §4.6), so a meeting is ended at the service instead.
    """
    is_moved = before.place.room_id != after.room_id
    if not is_moved and not opened:
        return () if before.place == after else (Step.PERCEIVE,)
    steps: list[Step] = []
    if is_moved and (before.place.perceives or before.is_told):
        steps.append(Step.RESET)
    if after.room_id is not None and is_open:
        steps.append(Step.JOIN)
        if after.perceives:
            steps.append(Step.PERCEIVE)
    return tuple(steps)


def next_revisions(before: Standing, after: Place) -> tuple[int, int]:
    """(of the room, of all of it): a join confirms the room, and what is perceived there a step later."""
    if before.place.room_id != after.room_id:
        room = before.revision + 1
        return room, room + (1 if after.perceives else 0)
    return before.room_revision, before.revision + 1


def hearers(there: Sequence[Standing], size: int | None, town_hall: int | None, *, others: int) -> set[int]:
    """Who of those that belong in the town hall hears it: first who does already, then by age, up to its size.

    `others` hear it that are not among `there`.
    """
    ids = [one.connection_id for one in there]
    if size is None:
        return set(ids)
    stay = [one.connection_id for one in there if one.place.room_id == town_hall and not one.place.is_beyond]
    kept = set(stay)
    come = [one for one in ids if one not in kept]
    return set([*stay, *come][: max(0, size - others)])


def may_open(exam: Exam, kind: RoomKind, now: datetime) -> None:
    """Raises Refused: `proctoring_off`, `feature_off`, `exam_not_running`."""
    if not exam.proctoring.enabled:
        raise Refused("proctoring_off", "Live proctoring is switched off for this exam.")
    feature, is_off = _CALL_FEATURES[kind]
    if feature not in exam.proctoring.features:
        raise Refused("feature_off", is_off)
    if not exam.is_running(now):
        raise Refused(
            "exam_not_running", "This exam is not running, so nobody can be called.", key="no_calls_now"
        )


_CALL_FEATURES = {
    RoomKind.TOWN_HALL: (
        ProctoringFeature.TOWN_HALL,
        Sentence("town_halls_off", "Town halls are switched off for this exam."),
    ),
    RoomKind.BREAK_OUT: (
        ProctoringFeature.ONE_TO_ONE,
        Sentence("one_to_one_off", "One-to-one calls are switched off for this exam."),
    ),
}


def kind_is_on(exam: Exam, kind: RoomKind) -> bool:
    """Whether the exam's settings let such a room go on."""
    return exam.proctoring.enabled and (
        kind is RoomKind.COLLECTING or _CALL_FEATURES[kind][0] in exam.proctoring.features
    )


def may_hold(exam: Exam, wish: Perception) -> None:
    """Raises Refused `feature_off`."""
    features = exam.proctoring.features
    if (wish.audio or wish.video) and ProctoringFeature.BROADCAST not in features:
        raise Refused(
            "feature_off", "Speaking to candidates is switched off for this exam.", key="speaking_off"
        )
    if wish.chat and ProctoringFeature.CHAT not in features:
        raise Refused("feature_off", "The chat is switched off for this exam.", key="chat_is_off")


# --- settings ---

LARGEST_ROOM = 500
"""Candidates in a room: more cannot be told apart, whatever the service bears."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What can be chosen: the services offered here, which of them need a definition, which let clients join natively."""

    offered: AbstractSet[Service]
    with_definition: AbstractSet[Service]
    native: AbstractSet[Service]


def settings_problems(
    wish: SettingsWish, holder: Holder, definition: ServiceDefinition | None, choices: Choices
) -> list[Problem]:
    """What is wrong with a wish, field by field. `definition` is the chosen one, if it is the institution's.

    Switching off needs nothing to be right but the size: credentials, proof and ways to join count only when on
    (live-proctoring.md §2.3, check 1).
    """
    size = wish.collecting_room_size if wish.has_size_limit else 1
    found = [fields.number("collecting_room_size", size, 1, LARGEST_ROOM)]
    if wish.enabled and wish.service not in choices.offered:
        found.append(
            Problem("service", "service_not_offered", "Choose a meeting service that is offered here.")
        )
    elif wish.enabled:
        found.append(_definition_problem(wish, definition, choices))
        if wish.join_by is JoinBy.NATIVE and wish.service not in choices.native:
            found.append(
                Problem(
                    "join_by",
                    "not_native",
                    "Clients cannot join this service by themselves. Choose our page.",
                )
            )
        if needs_acceptance(wish, holder, definition):
            found.append(
                Problem(
                    "accept_unproven",
                    "unproven",
                    "This service has not passed its test. Test it first, or confirm that you switch it on untested.",
                )
            )
    return fields.found(*found)


def _definition_problem(
    wish: SettingsWish, definition: ServiceDefinition | None, choices: Choices
) -> Problem | None:
    if wish.service not in choices.with_definition:
        return None
    if wish.definition_id is None:
        return Problem(
            "definition", "no_definition", "Choose a service with its credentials, or enter a new one."
        )
    if definition is None or definition.service is not wish.service:
        return Problem("definition", "unknown_definition", "Choose one of the services of this institution.")
    return None


def needs_acceptance(wish: SettingsWish, holder: Holder, definition: ServiceDefinition | None) -> bool:
    """Whether somebody must say that they enable a service although it is not proven (live-proctoring.md §2.9).

    Whoever only changes something else of an exam that is on with this service switches nothing on. A template proctors
    nothing: what is copied from it shows as not tested.
    """
    if holder.kind is HolderKind.TEMPLATE or not wish.enabled or wish.accept_unproven:
        return False
    if definition is None or definition.is_proven:
        return False
    return not stays_on(wish, holder)


def is_accepted_now(wish: SettingsWish, holder: Holder, definition: ServiceDefinition | None) -> bool:
    """Whether this wish is the one by which somebody begins to use an unproven service."""
    return (
        wish.enabled
        and wish.accept_unproven
        and definition is not None
        and not definition.is_proven
        and not stays_on(wish, holder)
    )


def stays_on(wish: SettingsWish, holder: Holder) -> bool:
    """On before and after, with the same service."""
    now = holder.settings
    return wish.enabled and now.enabled and wish.definition_id == now.definition_id


def may_save(wish: SettingsWish, holder: Holder, use: RoomUse) -> None:
    """Raises Refused: `archived`, `changed_meanwhile`, `service_in_use`, `rooms_open`."""
    may_change(holder, wish.revision)
    now = holder.settings
    if use.is_in_use and (wish.service, wish.definition_id) != (now.service, now.definition_id):
        raise Refused(
            "service_in_use",
            "This exam has rooms at its meeting service, so the service cannot be changed. Reset the rooms first.",
            key="exam_has_rooms_at_service",
        )
    if now.enabled and not wish.enabled and use.open and not wish.close_rooms:
        raise Refused(
            "rooms_open",
            f"Rooms are open: {use.open}, with {use.members} candidates in them. Switching off sends everybody out; "
            "confirm that you want to close the rooms.",
            values={"open": use.open, "members": use.members},
        )


def may_change(holder: Holder, revision: int | None) -> None:
    """Raises Refused: `archived`, `changed_meanwhile`."""
    if holder.is_archived:
        raise Refused("archived", "This exam is archived and can only be looked at.")
    if revision is not None and revision != holder.revision:
        raise Refused(
            CHANGED_MEANWHILE, "Somebody else changed this meanwhile. Look at what is new and save again."
        )


def may_reset(use: RoomUse) -> None:
    """Raises Refused `connections_live`: nobody's room is taken away while they may be in it."""
    if use.live_connections:
        raise Refused(
            "connections_live",
            f"Clients are connected to this exam: {use.live_connections}. The rooms can be reset when all have "
            "disconnected.",
            values={"count": use.live_connections},
        )


# --- service definitions ---


def definition_problems(wish: DefinitionWish, *, taken: bool) -> list[Problem]:
    """About the name; the service's own fields are judged by its description."""
    found = fields.found(fields.text("name", wish.name))
    if taken and not found:
        found.append(Problem("name", "name_taken", "Another service has this name. Choose another one."))
    return found


def may_change_identity(before: ServiceDefinition, changed: Sequence[str], exams: Sequence[str]) -> None:
    """Raises Refused `service_in_use` when `changed` identity fields meet exams that have rooms at the service.

    A secret of the same identity may be replaced at any time (live-proctoring.md §2.5).
    """
    if changed and exams:
        raise Refused(
            "service_in_use",
            f"“{before.name}” is in use: {', '.join(exams)}. Until the rooms there are reset, {', '.join(changed)} "
            "cannot be changed; secrets can.",
            values={"name": before.name, "exams": ", ".join(exams), "fields": ", ".join(changed)},
        )


def may_delete_definition(definition: ServiceDefinition, users: Sequence[str]) -> None:
    """Raises Refused `definition_used`."""
    if users:
        raise Refused(
            "definition_used",
            f"“{definition.name}” is used by: {', '.join(users)}. Choose another service there first.",
            values={"name": definition.name, "users": ", ".join(users)},
        )


def changed_values(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Names of fields that differ; one that is blank and one that is missing are the same."""
    return sorted(
        name for name in before.keys() | after.keys() if before.get(name, "") != after.get(name, "")
    )
