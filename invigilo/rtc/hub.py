"""Signalling of the built-in rooms: who may say what to whom.

The one rule everything here serves: a candidate's socket can only ever exchange messages with proctors entitled to its
exam, and only with those who watch it. A candidate names a proctor by a `peer` the server gave it, and any other is refused;
a proctor names a candidate by connection id, and any of another exam is refused. There is no message that could carry
anything from a candidate to a candidate.

With several nodes the candidate's socket and the proctor's may be on different ones. A node says every few seconds which
candidates its proctors watch (a lease: a dead node's watches end by themselves), and passes messages by the bus.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import structlog

from invigilo.bus import Bus
from invigilo.clock import Clock
from invigilo.rtc import limits
from invigilo.rtc.ice import IceServers
from invigilo.rtc.outbox import Outbox
from invigilo.rtc.stills import Still, Stills

log = structlog.get_logger()

LEASE = 12_000  # ms another node's watches and interests stay believed
RENEW_EVERY = 4_000  # ms

_TO_CANDIDATE, _TO_PROCTOR, _WATCHES, _STILL, _BACK = (
    "rtc.candidate",
    "rtc.proctor",
    "rtc.watches",
    "rtc.still",
    "rtc.back",
)

CandidateKinds = frozenset({"offer", "candidate"})
ProctorKinds = frozenset({"answer", "candidate"})


@dataclass(slots=True, eq=False)
class CandidateSocket:
    """One candidate's page."""

    connection_id: int
    exam_id: int
    tab: str
    language: str
    outbox: Outbox = field(default_factory=Outbox)
    told_place: tuple[Any, ...] | None = None
    """The place its page was told last."""
    told_watchers: int = 0
    """How many proctors in its meeting its page was told of last."""
    told_about: dict[str, Any] | None = None
    """What its page was told last of its candidate: name, own end."""
    successor: str | None = None
    """The tab whose socket took this one's place, here or at another node."""
    is_entering: bool = False
    """It has asked for its way into the meeting and waits for its turn."""
    confirming: int = 0
    """The newest revision its page says it acts on."""
    peers: set[str] = field(default_factory=set[str])
    """Proctors this page was asked to offer to: each costs it an upload."""

    def take(self, message: dict[str, Any]) -> None:
        """Queue a message from a proctor's side."""
        if message["t"] == "unwatch":
            self.peers.discard(message["peer"])
        self.outbox.put(message)


@dataclass(slots=True, eq=False)
class ProctorSocket:
    """One proctor's page on one exam. `peer` is how candidates' pages name it."""

    exam_id: int
    account_id: int
    language: str
    peer: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    outbox: Outbox = field(default_factory=Outbox)
    watching: set[int] = field(default_factory=set[int])
    introduced: set[int] = field(default_factory=set[int])
    """Candidates whose page was asked to offer."""
    stills_of: set[int] | None = field(default_factory=set[int])
    """Connections whose stills are wanted; None is all of the exam."""
    holding: asyncio.Lock = field(default_factory=asyncio.Lock)
    """What it lets rooms perceive is written down one wish after the other."""
    hold_allowance: limits.Allowance = field(
        default_factory=lambda: limits.Allowance(limits.HOLD_RATE, limits.HOLD_BURST)
    )
    in_meeting: int | None = None
    """The room whose meeting at a service this page is in."""

    def wants_still(self, connection_id: int) -> bool:
        return self.stills_of is None or connection_id in self.stills_of


@dataclass(slots=True)
class _RemoteNode:
    heard_at: int
    watches: dict[int, set[str]]
    exams: set[int]


ExamOf = Callable[[int], int | None]
"""The exam a connection belongs to now; None when it is closed or unknown."""
OnPage = Callable[[int, str, dict[str, Any]], None]
"""(connection id, what happened, details) for the monitoring side."""


class Hub:
    """All sockets of this node, and what is known of the others'."""

    def __init__(self, *, bus: Bus, clock: Clock, ice: IceServers, exam_of: ExamOf, on_page: OnPage) -> None:
        self._bus = bus
        self._clock = clock
        self._ice = ice
        self._exam_of = exam_of
        self._on_page = on_page
        self.candidates: dict[int, CandidateSocket] = {}
        self.proctors: dict[str, ProctorSocket] = {}
        self._proctors_of_exam: dict[int, set[ProctorSocket]] = defaultdict(set)
        self.stills = Stills()
        self._nodes: dict[str, _RemoteNode] = {}
        bus.subscribe(_TO_CANDIDATE, self._heard_to_candidate)
        bus.subscribe(_TO_PROCTOR, self._heard_to_proctor)
        bus.subscribe(_WATCHES, self._heard_watches)
        bus.subscribe(_STILL, self._heard_still)
        bus.subscribe(_BACK, self._heard_back)

    # --- sockets come and go ---

    def candidate_arrived(
        self, connection_id: int, exam_id: int, tab: str, *, language: str, welcome: dict[str, Any]
    ) -> CandidateSocket:
        """A candidate's page connected; a second one replaces the first. The welcome goes out before any `watch`."""
        before = self.candidates.get(connection_id)
        if before is not None:
            before.successor = tab
            before.outbox.put({"t": "replaced"})
            before.outbox.close(4001, "replaced")
        socket = CandidateSocket(connection_id, exam_id, tab, language)
        socket.outbox.put(welcome)
        self.candidates[connection_id] = socket
        self._bus.tell_others(_BACK, [connection_id, tab])
        for proctor in self._proctors_of_exam[exam_id]:
            if connection_id in proctor.watching:
                self._introduce(proctor, connection_id)
        for peer in self._remote_watchers(connection_id):
            self._ask_to_offer(socket, peer)
        self._on_page(connection_id, "watchers", {"count": len(self.watchers_of(connection_id))})
        return socket

    def candidate_left(self, socket: CandidateSocket) -> bool:
        """Its socket ended; False when another had already taken its place."""
        if self.candidates.get(socket.connection_id) is not socket:
            return False
        del self.candidates[socket.connection_id]
        self.stills.forget(socket.connection_id)
        for proctor in self._proctors_of_exam[socket.exam_id]:
            proctor.introduced.discard(socket.connection_id)
        return True

    def end_candidate(self, connection_id: int, reason: str) -> None:
        """The exam or the connection is over: tell the page and close its socket."""
        socket = self.candidates.get(connection_id)
        if socket is not None:
            socket.outbox.put({"t": "ended", "reason": reason})
            socket.outbox.close(4002, reason)

    def proctor_arrived(self, exam_id: int, account_id: int, *, language: str) -> ProctorSocket:
        socket = ProctorSocket(exam_id, account_id, language)
        self.proctors[socket.peer] = socket
        self._proctors_of_exam[exam_id].add(socket)
        return socket

    def proctor_left(self, socket: ProctorSocket) -> None:
        for connection_id in list(socket.watching):
            self.unwatch(socket, connection_id)
        self.proctors.pop(socket.peer, None)
        self._proctors_of_exam[socket.exam_id].discard(socket)

    def may_open_another(self, account_id: int) -> bool:
        """Whether this person may open one more page here."""
        count = sum(proctor.account_id == account_id for proctor in self.proctors.values())
        return count < limits.SOCKETS_PER_PROCTOR

    def proctors_of(self, exam_id: int) -> Iterable[ProctorSocket]:
        return self._proctors_of_exam.get(exam_id, ())

    # --- what proctors ask ---

    def watch(self, proctor: ProctorSocket, connection_id: int) -> bool:
        """A proctor wants live video; False when this connection is not one of the exam."""
        if self._exam_of(connection_id) != proctor.exam_id:
            return False
        if len(proctor.watching) >= limits.WATCHES_PER_PROCTOR and connection_id not in proctor.watching:
            return False
        proctor.watching.add(connection_id)
        if not self._introduce(proctor, connection_id):
            self._tell_watches()
        self._count_watchers(connection_id)
        return True

    def unwatch(self, proctor: ProctorSocket, connection_id: int) -> None:
        if connection_id not in proctor.watching:
            return
        proctor.watching.discard(connection_id)
        proctor.introduced.discard(connection_id)
        self._to_candidate(connection_id, {"t": "unwatch", "peer": proctor.peer})
        self._introduce_waiting(connection_id)
        self._count_watchers(connection_id)
        self._tell_watches()

    def _introduce_waiting(self, connection_id: int) -> None:
        """A place among the watchers is free: whoever was one too many gets it."""
        for proctor in self._proctors_of_exam.get(self._exam_of(connection_id) or 0, ()):
            if connection_id in proctor.watching and connection_id not in proctor.introduced:
                self._introduce(proctor, connection_id)
                return

    def _introduce(self, proctor: ProctorSocket, connection_id: int) -> bool:
        socket = self.candidates.get(connection_id)
        if socket is None:
            return False
        return self._ask_to_offer(socket, proctor.peer)

    def _ask_to_offer(self, socket: CandidateSocket, peer: str) -> bool:
        local = self.proctors.get(peer)
        if len(socket.peers - {peer}) >= limits.PEERS_PER_CANDIDATE:
            self._to_proctor(
                peer, {"t": "not_watching", "connection": socket.connection_id, "cause": "too_many_watchers"}
            )
            return True
        if local is not None:
            local.introduced.add(socket.connection_id)
        socket.peers.add(peer)
        ice = self._ice.for_peer(f"c{socket.connection_id}", now_ms=self._clock.now_ms())
        socket.outbox.put({"t": "watch", "peer": peer, "ice_servers": ice})
        self._to_proctor(peer, {"t": "watching", "connection": socket.connection_id, "peer": peer})
        return True

    def watchers_of(self, connection_id: int) -> set[str]:
        """The peers that watch this candidate now, here and on other nodes."""
        exam_id = self._exam_of(connection_id)
        here = {p.peer for p in self._proctors_of_exam.get(exam_id or 0, ()) if connection_id in p.watching}
        return here | self._remote_watchers(connection_id)

    def _remote_watchers(self, connection_id: int) -> set[str]:
        now = self._clock.now_ms()
        return {
            peer
            for node in self._nodes.values()
            if now - node.heard_at < LEASE
            for peer in node.watches.get(connection_id, ())
        }

    def _count_watchers(self, connection_id: int) -> None:
        count = len(self.watchers_of(connection_id))
        socket = self.candidates.get(connection_id)
        if socket is not None:
            socket.outbox.put({"t": "watchers", "count": count})
        self._on_page(connection_id, "watchers", {"count": count})

    # --- messages between the two sides ---

    def from_candidate(self, socket: CandidateSocket, message: dict[str, Any]) -> bool:
        """Pass a candidate's signal to one proctor; False when it may not reach that one."""
        peer = message["peer"]
        if message["kind"] not in CandidateKinds or peer not in self.watchers_of(socket.connection_id):
            return False
        passed = {"t": "signal", "connection": socket.connection_id, "kind": message["kind"]}
        for key in ("sdp", "candidate"):
            if key in message:
                passed[key] = message[key]
        self._to_proctor(peer, passed)
        return True

    def from_proctor(self, proctor: ProctorSocket, connection_id: int, message: dict[str, Any]) -> bool:
        """Pass a proctor's signal or restart to a candidate it watches; False when it may not."""
        if connection_id not in proctor.watching or self._exam_of(connection_id) != proctor.exam_id:
            return False
        if message["t"] == "signal" and message["kind"] not in ProctorKinds:
            return False
        passed = {key: message[key] for key in ("t", "kind", "sdp", "candidate") if key in message}
        self._to_candidate(connection_id, {**passed, "peer": proctor.peer})
        return True

    def _to_candidate(self, connection_id: int, message: dict[str, Any]) -> None:
        socket = self.candidates.get(connection_id)
        if socket is not None:
            socket.take(message)
        elif self._bus.has_others:
            self._bus.tell_others(_TO_CANDIDATE, [connection_id, message])

    def _to_proctor(self, peer: str, message: dict[str, Any]) -> None:
        socket = self.proctors.get(peer)
        if socket is not None:
            socket.outbox.put(message)
        elif self._bus.has_others:
            self._bus.tell_others(_TO_PROCTOR, [peer, message])

    # --- stills ---

    def still(self, socket: CandidateSocket, jpeg: bytes) -> Still | None:
        """Take a still in and show it to whoever asked; None when it is no picture."""
        still = self.stills.take(socket.connection_id, jpeg, self._clock.now_ms())
        if still is None:
            return None
        self._show_still(socket.exam_id, socket.connection_id, jpeg)
        if self._bus.has_others and any(socket.exam_id in node.exams for node in self._nodes.values()):
            self._bus.tell_others(
                _STILL, [socket.exam_id, socket.connection_id, base64.b64encode(jpeg).decode()]
            )
        return still

    def _show_still(self, exam_id: int, connection_id: int, jpeg: bytes) -> None:
        frame: bytes | None = None
        for proctor in self._proctors_of_exam.get(exam_id, ()):
            if proctor.wants_still(connection_id):
                frame = frame or connection_id.to_bytes(4, "big") + jpeg
                proctor.outbox.put_still(connection_id, frame)

    def subscribe_stills(self, proctor: ProctorSocket, connections: list[int] | None) -> None:
        """Choose whose stills a proctor gets; None is all of the exam. The newest ones come at once."""
        proctor.stills_of = None if connections is None else set(connections)
        for connection_id, still in self.stills.newest.items():
            if proctor.wants_still(connection_id) and self._exam_of(connection_id) == proctor.exam_id:
                proctor.outbox.put_still(connection_id, connection_id.to_bytes(4, "big") + still.jpeg)
        self._tell_watches()

    # --- other nodes ---

    def renew(self) -> None:
        """Repeat what this node's proctors want; called every few seconds."""
        self._tell_watches()
        now = self._clock.now_ms()
        for name in [name for name, node in self._nodes.items() if now - node.heard_at > LEASE]:
            gone = self._nodes.pop(name)
            for connection_id, peers in gone.watches.items():
                socket = self.candidates.get(connection_id)
                for peer in peers if socket is not None else ():
                    socket.take({"t": "unwatch", "peer": peer})  # type: ignore[union-attr]
                self._count_watchers(connection_id)

    def _tell_watches(self) -> None:
        if not self._bus.has_others:
            return
        watches: dict[str, list[str]] = defaultdict(list)
        for proctor in self.proctors.values():
            for connection_id in proctor.watching:
                if connection_id not in self.candidates:
                    watches[str(connection_id)].append(proctor.peer)
        exams = sorted({p.exam_id for p in self.proctors.values() if p.stills_of is None or p.stills_of})
        self._bus.tell_others(_WATCHES, [self._bus.node, watches, exams])

    def _heard_watches(self, payload: Any) -> None:
        name, watches, exams = payload
        before = self._nodes.get(name)
        known = {} if before is None else before.watches
        now_watches = {int(connection_id): set(peers) for connection_id, peers in watches.items()}
        self._nodes[name] = _RemoteNode(self._clock.now_ms(), now_watches, set(exams))
        for connection_id in known.keys() | now_watches.keys():
            if known.get(connection_id, set()) == now_watches.get(connection_id, set()):
                continue
            socket = self.candidates.get(connection_id)
            if socket is None:
                continue
            for peer in now_watches.get(connection_id, set()) - known.get(connection_id, set()):
                self._ask_to_offer(socket, peer)
            self._count_watchers(connection_id)

    def _heard_to_candidate(self, payload: Any) -> None:
        connection_id, message = payload
        socket = self.candidates.get(connection_id)
        if socket is not None:
            socket.take(message)

    def _heard_to_proctor(self, payload: Any) -> None:
        peer, message = payload
        socket = self.proctors.get(peer)
        if socket is not None:
            if message.get("t") == "watching":
                socket.introduced.add(message["connection"])
            socket.outbox.put(message)

    def _heard_still(self, payload: Any) -> None:
        exam_id, connection_id, jpeg = payload
        self._show_still(exam_id, connection_id, base64.b64decode(jpeg))

    def _heard_back(self, payload: Any) -> None:
        """A candidate's page connected at another node: ours, if any, is the older one."""
        connection_id, tab = payload
        socket = self.candidates.get(connection_id)
        if socket is not None:
            socket.successor = tab
            self.candidate_left(
                socket
            )  # first, or its late end would tell the other node that the page is lost
            if socket.tab != tab:
                socket.outbox.put({"t": "replaced"})
            socket.outbox.close(4001, "replaced")
        self._tell_watches()
