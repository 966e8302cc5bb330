"""Who enters which meeting, and who is found there: tickets for pages and clients, and the reports of services.

A ticket is made at the moment somebody enters and stored nowhere, so a rotated secret, a new end of the exam or a new room
counts for the very next entry. A candidate gets one only for the room that is wished for; a proctor for any open room of an
exam that is theirs, which the caller has checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import structlog

from invigilo.accounts.model import Account
from invigilo.clock import Clock, to_ms
from invigilo.errors import InvigiloError, NotAllowed, ProviderError, ProviderRefused, Refused
from invigilo.exams.directory import Directory
from invigilo.exams.model import Exam, SealedDefinition
from invigilo.monitoring import rules
from invigilo.monitoring.capability import os_family
from invigilo.monitoring.live import LiveConnection, LiveConnections
from invigilo.monitoring.meeting import Sight
from invigilo.monitoring.model import Instruction, InstructionType
from invigilo.proctoring.model import Room, RoomState
from invigilo.proctoring.places import ROOM, ROOM_TYPE, SERVICE_TYPE, SUBJECT
from invigilo.proctoring.service import Rooms
from invigilo.providers.base import (
    Challenge,
    Feature,
    Guest,
    Headers,
    HostView,
    JitsiTicket,
    KeepsMeetings,
    Presence,
    Provider,
    ProviderEvent,
    RoomHandle,
    ZoomTicket,
)
from invigilo.providers.description import DESCRIPTIONS
from invigilo.providers.meeting_page import MeetingPage
from invigilo.providers.registry import ProviderOf
from invigilo.providers.webhooks import Inbox

log = structlog.get_logger()

TICKET_GRACE = timedelta(minutes=30)
IDENTITIES_KEPT = 50_000
COMPLAIN_EVERY = 60_000  # ms between two lines of the log about refused reports of one definition
PageOf = Callable[[Exam], MeetingPage | None]


@dataclass(frozen=True, slots=True)
class Entry:
    """All a page needs to enter a meeting. Goes to that page alone."""

    page: MeetingPage
    ticket: JitsiTicket | ZoomTicket
    display_name: str
    host_key: str = field(default="", repr=False)
    """By which a proctor holds the meeting, at services that have hosts. For this one entry."""
    note: str = ""
    """Why a proctor does not hold it: `other_host`, `no_host_key`."""

    def as_json(self) -> dict[str, Any]:
        """All a page needs to enter, token included (docs/protocol.md)."""
        ticket = self.ticket
        common = {
            "kind": self.page.kind,
            "script": self.page.script,
            "subject": ticket.subject,
            "name": self.display_name,
        }
        if isinstance(ticket, JitsiTicket):
            return common | {
                "domain": self.page.domain,
                "plain": self.page.is_plain,
                "room": ticket.room,
                "token": ticket.token,
            }
        return common | {
            "version": self.page.version,
            "number": ticket.number,
            "passcode": ticket.passcode,
            "token": ticket.signature,
            "customer_key": ticket.customer_key,
            "host_key": self.host_key,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Found:
    """One participant as a proctor's page in the meeting sees it."""

    identity: str
    has_video: bool
    is_moderator: bool


@dataclass(slots=True)
class ReportLine:
    """What came of a definition's reports since this node started."""

    last_at: int | None = None
    """Ms: when the last one came whose sender was verified."""
    refused: int = 0
    """In a row, since then."""


class Meetings:
    """The meetings of this node's exams at their services; built-in rooms have none."""

    def __init__(
        self,
        *,
        directory: Directory,
        rooms: Rooms,
        live: LiveConnections,
        clock: Clock,
        provider_of: ProviderOf,
        page_of: PageOf,
        provider_by: Callable[[SealedDefinition], Provider],
    ) -> None:
        self._directory = directory
        self._rooms = rooms
        self._live = live
        self._clock = clock
        self._provider_of = provider_of
        self.page_of = page_of
        self._provider_by = provider_by
        self._inbox = Inbox()
        self._complained: dict[int, int] = {}
        self._reports: dict[int, ReportLine] = {}
        self._doubts: dict[int, None] = {}
        """Rooms of which somebody says that they cannot be entered."""
        self._holding: dict[str, tuple[int, str]] = {}
        """By room's name: the page that was let in to hold its meeting, as account and peer."""
        self._identities: dict[tuple[int, str, int], str] = {}
        self._tickets: dict[str, tuple[int, int]] = {}
        """By whom they were given to: definition and revision they were made of, until whoever it was is seen inside."""
        self._entered: dict[int, int] = {}
        """Definition → revision by which somebody got in since it was last asked."""

    # --- entering ---

    def entry(self, live: LiveConnection) -> Entry:
        """For a candidate's page, into the room it should be in. Raises Refused (`no_room`), ProviderError."""
        exam = self._directory.exams.get(live.exam_id or 0)
        room = None if exam is None else self._rooms.room(exam.id, live.room_id)
        if exam is None or room is None or room.state is not RoomState.OPEN:
            raise Refused("no_room", "There is no open room to enter yet.")
        self._note_ticket(exam, f"candidate {live.id}")
        return self._enter(exam, room, self._candidate(live, exam))

    def wait(self, live: LiveConnection) -> int:
        """Ms until this candidate's page may enter: a whole hall at once is more than a meeting server takes."""
        exam = self._directory.exams.get(live.exam_id or 0)
        if exam is None or live.room_id is None:
            return 0
        if Feature.TAKES_ALL_AT_ONCE in self._provider_of(exam).features:
            return 0
        return self._rooms.pace.wait(live.room_id, self._clock.now_ms())

    def entry_of_proctor(self, exam: Exam, room_id: int, account: Account, *, is_host: bool = True) -> Entry:
        """For a proctor's page, into any open room of the exam. Raises Refused (`no_room`), ProviderError."""
        room = self._rooms.room(exam.id, room_id)
        if room is None or room.state is not RoomState.OPEN:
            raise Refused(
                "no_room", "This room is not open at the meeting service.", key="room_not_at_service"
            )
        guest = Guest(
            identity=_identity_of_proctor(account.id),
            display_name=account.display_name,
            is_proctor=is_host,
            expires_at=_expires_at(exam),
        )
        return self._enter(exam, room, guest)

    def needs_host(self, exam: Exam) -> bool:
        """Whether somebody has to hold the exam's meetings, which takes a question to the service."""
        return Feature.KEEPS_MEETINGS in self._provider_of(exam).features

    async def host_entry(self, exam: Exam, room_id: int, account: Account, peer: str) -> Entry:
        """As `entry_of_proctor`, with the host's key; for whoever comes second, or when there is no key, as a guest.

        Two pages with one key would be one and the same host twice (zoom.md §4.3).
        """
        self._note_ticket(exam, f"proctor {peer}")
        room = self._rooms.room(exam.id, room_id)
        provider = self._provider_of(exam)
        if room is None or room.state is not RoomState.OPEN or not isinstance(provider, KeepsMeetings):
            return self.entry_of_proctor(exam, room_id, account)
        holder = self._holding.get(room.name)
        if holder is not None and holder[1] != peer:
            note = "other_window" if holder[0] == account.id else "other_host"
            return replace(self.entry_of_proctor(exam, room_id, account, is_host=False), note=note)
        # Noted before the service is asked: who comes meanwhile is the second, and a page may be gone when it answers.
        self._holding[room.name] = (account.id, peer)
        try:
            key = await provider.host_key(RoomHandle(room.name, room.subject))
            return replace(self.entry_of_proctor(exam, room_id, account), host_key=key)
        except ProviderError as error:
            self._hold_no_more(room.name, peer)
            log.warning("no_host_key", exam_id=exam.id, room_id=room.id, reason=error.message)
            return replace(self.entry_of_proctor(exam, room_id, account, is_host=False), note="no_host_key")
        except BaseException:
            self._hold_no_more(room.name, peer)
            raise

    def still_holds(self, exam: Exam, room_id: int, account: Account, peer: str) -> None:
        """A page that holds a meeting says so on: its line may have broken, and another has begun."""
        room = self._rooms.room(exam.id, room_id)
        if room is not None:
            self._holding.setdefault(room.name, (account.id, peer))

    def host_left(self, peer: str) -> None:
        """A proctor's page is gone: somebody else may hold what it held."""
        for name in [name for name, (_, page) in self._holding.items() if page == peer]:
            del self._holding[name]

    def _hold_no_more(self, room_name: str, peer: str) -> None:
        if self._holding.get(room_name, (0, ""))[1] == peer:
            del self._holding[room_name]

    def _enter(self, exam: Exam, room: Room, guest: Guest) -> Entry:
        page = self.page_of(exam)
        ticket = self._provider_of(exam).ticket(RoomHandle(room.name, room.subject), guest)
        if page is None or not isinstance(ticket, JitsiTicket | ZoomTicket):
            raise ProviderRefused(
                "This exam's rooms are not entered by a page of a meeting service.", key="no_meeting_page"
            )
        return Entry(page, ticket, guest.display_name)

    def _candidate(self, live: LiveConnection, exam: Exam) -> Guest:
        return Guest(
            identity=_identity(live),
            display_name=self._shown_name(live),
            is_proctor=False,
            expires_at=_expires_at(exam),
        )

    def _shown_name(self, live: LiveConnection) -> str:
        """What everybody in the meeting is told, other candidates too (jitsi.md §1.3): never an address."""
        candidate = self._directory.candidate(live.exam_id, live.user_session_id)
        if candidate is not None:
            return candidate.name
        name = rules.display_name(
            user_session_id=live.user_session_id,
            account_name=live.device.account_name,
            machine_name=live.device.machine_name,
            address=None,
        )
        return name or f"SEB {live.id}"

    def complete(self, live: LiveConnection, instruction: Instruction) -> Instruction | None:
        """The join instruction as this client understands it, with a token made now; others stay as they are.

        None when no ticket can be had: the instruction stays wished for and is tried again.
        """
        if instruction.type is not InstructionType.PROCTORING or ROOM not in instruction.attributes:
            return instruction
        stored = instruction.attributes
        exam = self._directory.exams.get(live.exam_id or 0)
        if exam is None:
            return None
        handle = RoomHandle(stored[ROOM], stored[SUBJECT])
        try:
            ticket = self._provider_of(exam).ticket(handle, self._candidate(live, exam))
        except ProviderError as error:
            log.warning("ticket_refused", exam_id=exam.id, connection_id=live.id, reason=error.message)
            return None
        common = {"service-type": stored[SERVICE_TYPE], "method": "JOIN"}
        match ticket:
            case JitsiTicket():
                attributes = common | {
                    "jitsiMeetServerURL": ticket.server_for(os_family(live.device.os_name)),
                    "jitsiMeetRoom": ticket.room,
                    "jitsiMeetSubject": ticket.subject,
                    "jitsiMeetToken": ticket.token,
                    "roomType": stored[ROOM_TYPE],
                }
            case ZoomTicket():
                names = self._zoom_attributes(ticket, self._shown_name(live))
                attributes = common | names | {"roomType": stored[ROOM_TYPE]}
            case _:
                return None
        return replace(instruction, attributes=attributes)

    def _zoom_attributes(self, ticket: ZoomTicket, name: str) -> dict[str, str]:
        """All of them always: Windows reads each without asking whether it is there (zoom.md §6.1)."""
        return {
            "zoomServerURL": ticket.server_url,
            "zoomRoom": ticket.number,
            "zoomToken": ticket.signature,
            "zoomSDKToken": ticket.signature,
            "zoomAPIKey": ticket.sdk_key,
            "zoomMeetingKey": ticket.native_key,
            "zoomUserName": name,
            "zoomSubject": ticket.subject,
        }

    # --- whether what only an entry proves has let somebody in ---

    def _note_ticket(self, exam: Exam, who: str) -> None:
        definition = self._directory.definitions.get(exam.proctoring.definition_id or 0)
        if definition is None or not DESCRIPTIONS[definition.service.value].needs_entry:
            return
        if len(self._tickets) >= IDENTITIES_KEPT:
            self._tickets.clear()
        self._tickets[who] = (definition.id, definition.revision)

    def _is_inside(self, who: str) -> None:
        """Said by a proctor's page or by the service itself; a candidate's page could say what it likes."""
        if (ticket := self._tickets.pop(who, None)) is not None:
            self._entered[ticket[0]] = ticket[1]

    def take_entered(self) -> dict[int, int]:
        """Definitions with the revision by which somebody got in, since this was last asked."""
        found, self._entered = self._entered, {}
        return found

    def put_entered_back(self, found: Mapping[int, int]) -> None:
        """They could not be stored; what came meanwhile is newer."""
        self._entered = {**found, **self._entered}

    # --- who is found there ---

    def identity_of(self, exam: Exam, live: LiveConnection) -> str | None:
        """How this candidate is called in the meeting it should be in; None without a room at a service."""
        if self.page_of(exam) is None:
            return None
        room = self._rooms.room(exam.id, live.room_id)
        if room is None:
            return None
        definition = self._directory.definitions.get(exam.proctoring.definition_id or 0)
        handle = RoomHandle(room.name, room.subject)
        revision = 0 if definition is None else definition.revision
        return self._called(self._provider_of(exam), handle, live, revision)

    def _called(self, provider: Provider, handle: RoomHandle, live: LiveConnection, revision: int) -> str:
        """The same, computed once: a report is matched against everybody of an exam."""
        key = (live.id, handle.name, revision)
        known = self._identities.get(key)
        if known is None:
            if len(self._identities) >= IDENTITIES_KEPT:
                self._identities.clear()
            known = self._identities[key] = provider.identity_of(handle, _identity(live))
        return known

    def identities_of_proctor(self, exam: Exam, user_id: int, room_ids: Iterable[int]) -> list[str]:
        """How this person is called in the meetings of these rooms; nothing where rooms are not at a service."""
        if self.page_of(exam) is None:
            return []
        provider, rooms = self._provider_of(exam), (self._rooms.room(exam.id, one) for one in room_ids)
        return [
            provider.identity_of(RoomHandle(room.name, room.subject), _identity_of_proctor(user_id))
            for room in rooms
            if room is not None
        ]

    def seen(self, exam: Exam, room_id: int, peer: str, found: list[Found]) -> None:
        """A proctor's page is in the meeting of this room and finds these there; whom it does not name it does not see."""
        self._is_inside(f"proctor {peer}")
        now = self._clock.now_ms()
        by_identity = {one.identity: one for one in found}
        for live in list(self._live.of_exam(exam.id)):
            if live.room_id != room_id or not live.state.is_open:
                if live.meeting.proctor_left(peer):
                    self._live.heard(live, "meeting")
                continue
            one = by_identity.get(self.identity_of(exam, live) or "")
            sight = Sight(
                now,
                room_id,
                is_present=one is not None,
                has_video=one is not None and one.has_video,
                is_moderator=one is not None and one.is_moderator,
            )
            is_news = live.meeting.sight(peer, sight)
            if sight.has_video:
                live.page.last_frames_at = now
            if sight.is_moderator and is_news:
                log.error("candidate_is_moderator", exam_id=exam.id, connection_id=live.id)
            self._live.heard(live, "meeting", shows=is_news)

    def proctor_left(self, exam_id: int, peer: str) -> None:
        """A proctor's page is gone from the meeting."""
        self.host_left(peer)
        for live in list(self._live.of_exam(exam_id)):
            if live.meeting.proctor_left(peer):
                self._live.heard(live, "meeting")

    def take_report(self, definition_id: int, headers: Headers, body: bytes) -> bool | Mapping[str, str]:
        """A report of the service behind a definition; False when it is old, repeated or about no room of ours.

        A service that asks first whether we know the secret gets the answer that it wants to hear.

        Raises NotAllowed when it cannot be proven whose it is, BadInput when it cannot be read.
        """
        definition = self._directory.definitions.get(definition_id)
        if definition is None:
            raise NotAllowed(
                "This report is not from a meeting service that is set up here.", key="foreign_report"
            )
        provider = self._provider_by(definition)
        line = self._reports.setdefault(definition_id, ReportLine())
        try:
            event = provider.read_webhook(headers, body)
        except InvigiloError as error:
            if isinstance(error, NotAllowed):
                line.refused += 1
            self._complain(definition_id, error.message)
            raise
        line.last_at, line.refused = self._clock.now_ms(), 0
        if isinstance(event, Challenge):
            return event.answer
        return event is not None and self._take_event(definition, provider, event)

    def report_line(self, definition_id: int) -> ReportLine:
        """What came of this definition's reports here."""
        return self._reports.get(definition_id) or ReportLine()

    def hosts_of(self, definition_id: int) -> tuple[list[HostView], int] | None:
        """A service's hosts, and how many meetings should be gone and are not; None where there are no hosts."""
        definition = self._directory.definitions.get(definition_id)
        provider = None if definition is None else self._provider_by(definition)
        if not isinstance(provider, KeepsMeetings):
            return None
        return provider.host_views(), provider.leftovers()

    def has_reports(self, definition_id: int) -> bool:
        return self.report_line(definition_id).last_at is not None

    def doubt(self, room_id: int | None) -> None:
        """Somebody says that this room cannot be entered. It is looked at, whoever says so."""
        if room_id is not None and len(self._doubts) < 1_000:
            self._doubts[room_id] = None

    def take_doubts(self) -> list[int]:
        found, self._doubts = list(self._doubts), {}
        return found

    def take_list(self, definition: SealedDefinition, room: Room, events: list[ProviderEvent]) -> None:
        """Everybody who is in a room now, as the service was asked: whom it does not name is not there."""
        exam = self._directory.exams.get(room.exam_id)
        if exam is None:
            return
        provider = self._provider_by(definition)
        for event in events:
            self._take_stay(exam, room, provider, event)
        inside = {one.participant for one in events if one.kind is Presence.JOINED}
        now = self._clock.now_ms()
        for live in list(self._live.of_exam(exam.id)):
            here = [
                stay
                for (where, stay), rank in live.meeting.stays.items()
                if where == room.id and rank % 2 == 0
            ]
            gone = [stay for stay in here if stay not in inside]
            ended = [live.meeting.report(room.id, stay, at_ms=now, left=True) for stay in gone]
            if any(ended):
                self._live.heard(live, "meeting")

    def _complain(self, definition_id: int, reason: str) -> None:
        """Once a minute: whoever knows the address can send as many as they like."""
        now = self._clock.now_ms()
        if now - self._complained.get(definition_id, -COMPLAIN_EVERY) >= COMPLAIN_EVERY:
            self._complained[definition_id] = now
            log.warning("report_refused", definition_id=definition_id, reason=reason)

    def _take_event(self, definition: SealedDefinition, provider: Provider, event: ProviderEvent) -> bool:
        room = self._rooms.called(event.room)
        exam = None if room is None else self._directory.exams.get(room.exam_id)
        if room is None or exam is None or exam.proctoring.definition_id != definition.id:
            return False
        if not self._inbox.take(event):
            return False
        if event.kind in {Presence.JOINED, Presence.LEFT}:
            return self._take_stay(exam, room, provider, event)
        if event.kind in {Presence.REMOVED, Presence.WAITS_FOR_HOST}:
            self.doubt(room.id)
        if event.kind is Presence.ROOM_CLOSED:
            for live in list(self._live.of_exam(exam.id)):
                if live.meeting.end_stays(room.id, event.at_ms):
                    self._live.heard(live, "meeting")
        return True

    def _take_stay(self, exam: Exam, room: Room, provider: Provider, event: ProviderEvent) -> bool:
        handle = RoomHandle(room.name, room.subject)
        definition = self._directory.definitions.get(exam.proctoring.definition_id or 0)
        revision = 0 if definition is None else definition.revision
        live = next(
            (
                one
                for one in list(self._live.of_exam(exam.id))
                if self._called(provider, handle, one, revision) == event.identity
            ),
            None,
        )
        if live is None or event.identity is None:
            return False  # a proctor, or somebody without a token of ours
        facts = live.meeting
        left = event.kind is Presence.LEFT
        if not left:
            self._is_inside(f"candidate {live.id}")
        is_news = facts.report(room.id, event.participant, at_ms=event.at_ms, left=left)
        if event.is_moderator is True and not facts.moderator_reported:
            facts.moderator_reported = is_news = True
            log.error("candidate_is_moderator", exam_id=exam.id, connection_id=live.id)
        if is_news:
            self._live.heard(live, "meeting")
        return is_news


def _identity_of_proctor(user_id: int) -> str:
    return f"proctor-{user_id}"


def _identity(live: LiveConnection) -> str:
    return str(live.id)


def _expires_at(exam: Exam) -> int:
    return to_ms(exam.closes_at + TICKET_GRACE)
