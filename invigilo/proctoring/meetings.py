"""Who enters which meeting, and who is found there: tickets for pages and clients, and the reports of services.

A ticket is made at the moment somebody enters and stored nowhere, so a rotated secret, a new end of the exam or a new room
counts for the very next entry. A candidate gets one only for the room that is wished for; a proctor for any open room of an
exam that is theirs, which the caller has checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

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
    Feature,
    Guest,
    Headers,
    JitsiTicket,
    Presence,
    Provider,
    ProviderEvent,
    RoomHandle,
)
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
    ticket: JitsiTicket
    display_name: str


@dataclass(frozen=True, slots=True)
class Found:
    """One participant as a proctor's page in the meeting sees it."""

    identity: str
    has_video: bool
    is_moderator: bool


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
        self._identities: dict[tuple[int, str, int], str] = {}

    # --- entering ---

    def entry(self, live: LiveConnection) -> Entry:
        """For a candidate's page, into the room it should be in. Raises Refused (`no_room`), ProviderError."""
        exam = self._directory.exams.get(live.exam_id or 0)
        room = None if exam is None else self._rooms.room(exam.id, live.room_id)
        if exam is None or room is None or room.state is not RoomState.OPEN:
            raise Refused("no_room", "There is no open room to enter yet.")
        return self._enter(exam, room, self._candidate(live, exam))

    def wait(self, live: LiveConnection) -> int:
        """Ms until this candidate's page may enter: a whole hall at once is more than a meeting server takes."""
        exam = self._directory.exams.get(live.exam_id or 0)
        if exam is None or live.room_id is None:
            return 0
        if Feature.TAKES_ALL_AT_ONCE in self._provider_of(exam).features:
            return 0
        return self._rooms.pace.wait(live.room_id, self._clock.now_ms())

    def entry_of_proctor(self, exam: Exam, room_id: int, account: Account) -> Entry:
        """For a proctor's page, into any open room of the exam. Raises Refused (`no_room`), ProviderError."""
        room = self._rooms.room(exam.id, room_id)
        if room is None or room.state is not RoomState.OPEN:
            raise Refused("no_room", "This room is not open at the meeting service.")
        guest = Guest(
            identity=f"proctor-{account.id}",
            display_name=account.display_name,
            is_proctor=True,
            expires_at=_expires_at(exam),
        )
        return self._enter(exam, room, guest)

    def _enter(self, exam: Exam, room: Room, guest: Guest) -> Entry:
        page = self.page_of(exam)
        ticket = self._provider_of(exam).ticket(RoomHandle(room.name, room.subject), guest)
        if page is None or not isinstance(ticket, JitsiTicket):
            raise ProviderRefused("This exam's rooms are not entered by a page of a meeting service.")
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
        if not isinstance(ticket, JitsiTicket):
            return None
        attributes = {
            "service-type": stored[SERVICE_TYPE],
            "method": "JOIN",
            "jitsiMeetServerURL": ticket.server_for(os_family(live.device.os_name)),
            "jitsiMeetRoom": ticket.room,
            "jitsiMeetSubject": ticket.subject,
            "jitsiMeetToken": ticket.token,
            "roomType": stored[ROOM_TYPE],
        }
        return replace(instruction, attributes=attributes)

    # --- who is found there ---

    def identity_of(self, exam: Exam, live: LiveConnection) -> str | None:
        """How this candidate is called in the meeting it should be in; None without a room at a service."""
        if self.page_of(exam) is None:
            return None
        room = self._rooms.room(exam.id, live.room_id)
        if room is None:
            return None
        definition = self._directory.definitions.get(exam.proctoring.definition_id or 0)
        key = (live.id, room.name, 0 if definition is None else definition.revision)
        known = self._identities.get(key)
        if known is None:
            if len(self._identities) >= IDENTITIES_KEPT:
                self._identities.clear()
            handle = RoomHandle(room.name, room.subject)
            known = self._identities[key] = self._provider_of(exam).identity_of(handle, _identity(live))
        return known

    def seen(self, exam: Exam, room_id: int, peer: str, found: list[Found]) -> None:
        """A proctor's page is in the meeting of this room and finds these there; whom it does not name it does not see."""
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
        for live in list(self._live.of_exam(exam_id)):
            if live.meeting.proctor_left(peer):
                self._live.heard(live, "meeting")

    def take_report(self, definition_id: int, headers: Headers, body: bytes) -> bool:
        """A report of the service behind a definition; False when it is old, repeated or about no room of ours.

        Raises NotAllowed when it cannot be proven whose it is, BadInput when it cannot be read.
        """
        definition = self._directory.definitions.get(definition_id)
        if definition is None:
            raise NotAllowed("This report is not from a meeting service that is set up here.")
        provider = self._provider_by(definition)
        try:
            event = provider.read_webhook(headers, body)
        except InvigiloError as error:
            self._complain(definition_id, error.message)
            raise
        return event is not None and self._take_event(definition, provider, event)

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
        if event.kind is Presence.ROOM_CLOSED:
            for live in list(self._live.of_exam(exam.id)):
                if live.meeting.end_stays(room.id, event.at_ms):
                    self._live.heard(live, "meeting")
        return True

    def _take_stay(self, exam: Exam, room: Room, provider: Provider, event: ProviderEvent) -> bool:
        handle = RoomHandle(room.name, room.subject)
        live = next(
            (
                one
                for one in list(self._live.of_exam(exam.id))
                if provider.identity_of(handle, _identity(one)) == event.identity
            ),
            None,
        )
        if live is None or event.identity is None:
            return False  # a proctor, or somebody without a token of ours
        facts = live.meeting
        left = event.kind is Presence.LEFT
        is_news = facts.report(room.id, event.participant, at_ms=event.at_ms, left=left)
        if event.is_moderator is True and not facts.moderator_reported:
            facts.moderator_reported = is_news = True
            log.error("candidate_is_moderator", exam_id=exam.id, connection_id=live.id)
        if is_news:
            self._live.heard(live, "meeting")
        return is_news


def _identity(live: LiveConnection) -> str:
    return str(live.id)


def _expires_at(exam: Exam) -> int:
    return to_ms(exam.closes_at + TICKET_GRACE)
