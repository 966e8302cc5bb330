"""The desk's shapes, for its pages and for the API alike: what is asked, what is answered, and the way between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from invigilo.activity.reading import Deed
from invigilo.clock import from_ms, to_ms
from invigilo.errors import BadInput, InvigiloError, NotFound
from invigilo.exams.model import Exam
from invigilo.monitoring.desk import Measure, Outcome
from invigilo.monitoring.desk_rules import LONGEST_MESSAGE, MOST_AT_ONCE, DeedWish
from invigilo.monitoring.indicators import Indicator
from invigilo.monitoring.live import LiveConnection
from invigilo.monitoring.model import Answer, DeskDeed, Note, NoteCategory
from invigilo.monitoring.notes import LONGEST_TEXT, NoteWish
from invigilo.monitoring.story import Moment
from invigilo.web import deeds
from invigilo.web.parts import AnyRequest, Site

T = TypeVar("T")
Id = Annotated[int, Meta(ge=1, le=2**31)]
Number = Annotated[int, Meta(ge=-(2**31), le=2**31)]


class DeedBody(Struct, forbid_unknown_fields=True):
    """One deed on some connections, or on everybody who is connected."""

    deed: DeskDeed
    connections: Annotated[list[Id], Meta(min_length=1, max_length=MOST_AT_ONCE)] | Literal["all"]
    count: Annotated[int, Meta(ge=0, le=2**31)] | None = None
    """How many it will concern. Must be said, and be true, for several and for "all"."""
    message: Annotated[str, Meta(max_length=LONGEST_MESSAGE)] = ""
    """Shown on the locked screen."""

    def wish(self) -> DeedWish:
        found = None if self.connections == "all" else frozenset[int](self.connections)  # type: ignore[arg-type]
        return DeedWish(self.deed, found, self.count, self.message)


class RefusedOne(Struct, frozen=True):
    """Somebody whom the deed does not fit."""

    connection_id: int
    code: str
    message: str


class DeedOutcome(Struct, frozen=True):
    done: list[int]
    refused: list[RefusedOne]


class NoteBody(Struct, forbid_unknown_fields=True):
    """A new note on a candidate."""

    connection_id: Id
    category: NoteCategory = NoteCategory.OTHER
    is_incident: bool = False
    text: Annotated[str, Meta(max_length=LONGEST_TEXT)] = ""
    happened_at: datetime | None = None
    """None is now. In the future, or more than a day ago: now."""
    key: Annotated[str, Meta(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")] | None = None
    """Made up by the caller: the same key again writes no second note."""

    def wish(self) -> NoteWish:
        return NoteWish(
            category=self.category,
            is_incident=self.is_incident,
            text=self.text,
            happened_at=None if self.happened_at is None else _ms(self.happened_at),
        )


class NoteChange(Struct, forbid_unknown_fields=True):
    """How a note should be now."""

    category: NoteCategory
    is_incident: bool
    text: Annotated[str, Meta(max_length=LONGEST_TEXT)]
    revision: Annotated[int, Meta(ge=0, le=2**31)]
    """The one that was read before."""

    def wish(self) -> NoteWish:
        return NoteWish(category=self.category, is_incident=self.is_incident, text=self.text)


class NoteView(Struct, frozen=True):
    id: int
    connection_id: int
    candidate: str
    """The user id at that time; blank when nobody was known."""
    category: NoteCategory
    is_incident: bool
    happened_at: datetime
    text: str
    author: str
    created_at: datetime
    changed_at: datetime | None
    changed_by: str | None
    taken_back_at: datetime | None
    """It was a mistake, and counts no more."""
    taken_back_by: str | None
    revision: int


class NoteList(Struct, frozen=True):
    """Newest first by when it happened."""

    items: list[NoteView]
    next: str | None
    """Give it as `before` for older ones; None when there are none."""


class ThresholdPair(Struct, forbid_unknown_fields=True):
    """From where on a value is a warning, and from where on a problem."""

    warning: Number
    problem: Number


class ThresholdsBody(Struct, forbid_unknown_fields=True):
    """All thresholds of an exam; what is left out has its default, null switches an indicator off."""

    ping: ThresholdPair | msgspec.UnsetType | None = msgspec.UNSET
    """Seconds since the last ping."""
    errors: ThresholdPair | msgspec.UnsetType | None = msgspec.UNSET
    warnings: ThresholdPair | msgspec.UnsetType | None = msgspec.UNSET
    battery: ThresholdPair | msgspec.UnsetType | None = msgspec.UNSET
    """Percent; lower is worse."""
    wlan: ThresholdPair | msgspec.UnsetType | None = msgspec.UNSET
    """Percent; lower is worse."""
    revision: Annotated[int, Meta(ge=0, le=2**31)] | None = None
    """The one that was read before: refused when somebody changed them meanwhile."""

    def wish(self) -> dict[Indicator, tuple[int, int] | None]:
        found: dict[Indicator, tuple[int, int] | None] = {}
        for one in Indicator:
            pair: ThresholdPair | msgspec.UnsetType | None = getattr(self, one.value)
            if not isinstance(pair, msgspec.UnsetType):
                found[one] = None if pair is None else (pair.warning, pair.problem)
        return found


class ThresholdsView(Struct, frozen=True):
    ping: ThresholdPair | None
    errors: ThresholdPair | None
    warnings: ThresholdPair | None
    battery: ThresholdPair | None
    wlan: ThresholdPair | None
    is_own: bool
    """Somebody set them for this exam; else they are the defaults."""
    revision: int


class DutyBody(Struct, forbid_unknown_fields=True):
    """Who is to be responsible for rooms."""

    room_ids: Annotated[list[Id], Meta(min_length=1, max_length=1_000)]
    to: Id | None
    """null: nobody."""


class ShareBody(Struct, forbid_unknown_fields=True):
    """Share the rooms out equally."""

    people: Annotated[list[Id], Meta(min_length=1, max_length=500)] | None = None
    """None: among those who have a page of the exam open now."""


class HandOverBody(Struct, forbid_unknown_fields=True):
    """All rooms of one person to another."""

    of: Id
    to: Id


class RoomDuty(Struct, frozen=True):
    room_id: int
    number: int
    subject: str
    user_id: int | None
    name: str | None
    """Who is responsible; none: nobody."""
    watched_by: list[str]
    """Who has the room open now."""


class ProctorView(Struct, frozen=True):
    """Somebody who may be given a room."""

    user_id: int
    name: str
    is_present: bool


class DutyView(Struct, frozen=True):
    rooms: list[RoomDuty]
    proctors: list[ProctorView]


class Moved(Struct, frozen=True):
    moved: int
    """How many rooms have somebody else now."""


class MomentView(Struct, frozen=True):
    """One line of a connection's story."""

    at: datetime
    kind: str
    what: str
    """Stable word: the deed, the notification's kind, or the state reached."""
    words: str
    """The same for people."""
    text: str
    who: str | None
    answer: Answer | None
    """What became of the instruction."""
    answered_at: datetime | None
    note: NoteView | None


class Story(Struct, frozen=True):
    """Newest first."""

    moments: list[MomentView]


def _ms(at: datetime) -> int:
    if at.tzinfo is None:
        raise BadInput("Give the time with its zone, like 2026-01-31T08:00:00Z.", field="happened_at")
    try:
        return to_ms(at)
    except (OverflowError, ValueError) as error:
        raise BadInput("This moment cannot be.", field="happened_at") from error


def _moment(at: int | None) -> datetime | None:
    return None if at is None else from_ms(at)


async def body_of(request: AnyRequest, kind: type[T]) -> T:
    """A page's JSON, once it is known that the person may ask. Raises BadInput."""
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadInput(f"This cannot be read: {str(error)[:200]}") from error


def live_of(site: Site, exam: Exam, connection_id: int) -> LiveConnection:
    """A connection of this exam. Raises NotFound."""
    live = site.connections.live.by_id.get(connection_id)
    if live is None or live.exam_id != exam.id:
        raise NotFound("There is no such connection in this exam.", key="no_such_connection")
    return live


def outcome_view(
    outcome: Outcome, say: Callable[[InvigiloError], str] = attrgetter("message")
) -> DeedOutcome:
    """`say`: refusals in the reader's language; programs read English."""
    return DeedOutcome(
        outcome.done, [RefusedOne(one.connection_id, one.why.code, say(one.why)) for one in outcome.refused]
    )


def note_view(note: Note) -> NoteView:
    return NoteView(
        id=note.id,
        connection_id=note.connection_id,
        candidate=note.candidate,
        category=note.category,
        is_incident=note.is_incident,
        happened_at=from_ms(note.happened_at),
        text=note.text,
        author=note.author,
        created_at=from_ms(note.created_at),
        changed_at=_moment(note.changed_at),
        changed_by=note.changed_by,
        taken_back_at=_moment(note.taken_back_at),
        taken_back_by=note.taken_back_by,
        revision=note.revision,
    )


async def note_list(
    site: Site, exam: Exam, live: LiveConnection | None, *, incidents_only: bool, before: str, limit: int
) -> NoteList:
    """One page of notes. Raises BadInput."""
    place = None
    if before:
        at, _, number = before.partition("-")
        if not all(one.isascii() and one.isdecimal() and len(one) <= 18 for one in (at, number)):
            raise BadInput("`before` is what the page before gave as `next`.", field="before")
        place = (int(at), int(number))
    found = await site.notes.of_exam(
        exam, live=live, incidents_only=incidents_only, before=place, limit=limit + 1
    )
    shown = found[:limit]
    more = f"{shown[-1].happened_at}-{shown[-1].id}" if len(found) > limit else None
    return NoteList([note_view(one) for one in shown], more)


def thresholds_view(measure: Measure) -> ThresholdsView:
    pairs: dict[str, Any] = {
        name: None if at is None else ThresholdPair(**at) for name, at in measure.thresholds.as_json().items()
    }
    return ThresholdsView(**pairs, is_own=measure.is_own, revision=measure.revision)


async def duty_view(site: Site, exam: Exam) -> DutyView:
    duties = site.duties.of_exam(exam.id)
    people = site.duties.people(exam.id)
    rooms: list[RoomDuty] = []
    for room in site.rooms.of_exam(exam):
        duty = duties.get(room.id)
        rooms.append(
            RoomDuty(
                room_id=room.id,
                number=room.number,
                subject=room.subject,
                user_id=None if duty is None else duty.user_id,
                name=None if duty is None else duty.name,
                watched_by=[one["name"] for one in people if room.id in one["rooms"]],
            )
        )
    proctors = [
        ProctorView(one.user_id, one.name, one.is_present) for one in await site.duties.proctors(exam)
    ]
    return DutyView(rooms, proctors)


async def story(site: Site, exam: Exam, live: LiveConnection, language: str) -> Story:
    moments = await site.stories.of(exam, live)
    return Story([_moment_view(site, language, exam, live, one) for one in moments])


def _moment_view(site: Site, language: str, exam: Exam, live: LiveConnection, one: Moment) -> MomentView:
    return MomentView(
        at=from_ms(one.at),
        kind=one.kind,
        what=one.what,
        words=_words(site, language, exam, live, one),
        text=one.detail.get("message", "") if one.kind == "deed" else one.text,
        who=one.who,
        answer=one.answer,
        answered_at=_moment(one.answered_at),
        note=None if one.note is None else note_view(one.note),
    )


def _words(site: Site, language: str, exam: Exam, live: LiveConnection, one: Moment) -> str:
    catalogue = site.renderer.catalogue
    if one.kind == "deed":
        deed = Deed(
            id=0,
            at=from_ms(one.at),
            institution_id=exam.institution_id,
            user_id=None,
            actor=one.who or "",
            deed=one.what,
            exam_id=exam.id,
            exam=exam.name,
            connection_id=live.id,
            room_id=None,
            detail=one.detail,
        )
        return deeds.sentence(catalogue, language, deed)
    if one.kind == "note" and one.note is not None:
        return catalogue.text(language, f"proctor.note.category.{one.note.category.value}")
    return catalogue.text(language, f"proctor.story.{one.what}")
