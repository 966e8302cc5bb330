"""Bookings at meeting services whose rooms are held by hosts: stored before a service is asked, and read from memory.

Memory follows the database: what this node writes is there at once, what another one wrote within a second. A ticket is
computed without waiting for either.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from invigilo.bus import RESYNC, Bus
from invigilo.errors import Unavailable
from invigilo.providers.zoom_pool import (
    DAY_MS,
    Booking,
    BookingState,
    HostState,
    choose_host,
)
from invigilo.secrets_box import SecretBox
from invigilo.storage.queries import meeting_hosts as queries
from invigilo.storage.work import WorkFactory

HOSTS_CHANGED = "meeting_hosts"


class MeetingHosts:
    """The books of all service definitions of this node."""

    def __init__(self, *, work: WorkFactory, reading: WorkFactory, box: SecretBox, bus: Bus) -> None:
        self.work = work
        self._reading = reading
        self.box = box
        self.instance = ""
        self.bookings: dict[int, dict[int, Booking]] = defaultdict(dict)
        self.states: dict[int, dict[str, HostState]] = defaultdict(dict)
        self.writes = 0
        """Counted so that a reading which began before a write does not undo it in memory."""
        self._stale = True
        self._in_turn = asyncio.Lock()
        """What was read sooner must not replace what was read later."""
        bus.subscribe(HOSTS_CHANGED, self._heard)
        bus.subscribe(RESYNC, self._heard)

    def _heard(self, _payload: Any) -> None:
        self._stale = True

    def book_of(self, definition_id: int) -> StoredBook:
        return StoredBook(self, definition_id)

    async def load(self) -> None:
        """At start: our name, and everything."""
        async with self._reading() as w:
            self.instance = await queries.instance(w.db) or ""
        if not self.instance:
            async with self.work() as w:
                await queries.store_instance(w.db, secrets.token_hex(6))
                self.instance = await queries.instance(w.db) or secrets.token_hex(6)
        await self.refresh()

    async def refresh(self) -> None:
        """Read again if somebody changed something."""
        async with self._in_turn:
            if self._stale:
                await self._read()

    async def _read(self) -> None:
        self._stale, writes = False, self.writes
        try:
            async with self._reading() as w:
                found = await queries.everything(w.db)
        except Unavailable:
            self._stale = True
            return
        if writes != self.writes:
            self._stale = True
            return
        bookings: dict[int, dict[int, Booking]] = defaultdict(dict)
        states: dict[int, dict[str, HostState]] = defaultdict(dict)
        for row in found.bookings:
            bookings[row["definition_id"]][row["id"]] = self.booking(row)
        for row in found.hosts:
            states[row["definition_id"]][row["host"]] = host_state(row)
        self.bookings, self.states = bookings, states

    async def wanted_rooms(self) -> set[str]:
        async with self._reading() as w:
            return await queries.wanted_rooms(w.db)

    def booking(self, row: queries.Row) -> Booking:
        sealed = row["passcodes_encrypted"]
        plain, encrypted = json.loads(self.box.decrypt(sealed)) if sealed else ("", "")
        return Booking(
            id=row["id"],
            room=row["room"],
            host=row["host"],
            state=BookingState(row["state"]),
            created_at=row["created_at"],
            meeting_id=row["meeting_id"],
            passcode=plain,
            encrypted_passcode=encrypted,
            waits_for_host=row["waits_for_host"],
            is_focused=row["is_focused"],
            attempts=row["attempts"],
            retry_at=row["retry_at"],
            reason=row["reason"],
        )


def host_state(row: queries.Row) -> HostState:
    return HostState(row["host"], row["day"], row["creations"], row["blocked_until"], row["reason"])


class StoredBook:
    """The `HostBook` of one definition."""

    def __init__(self, hosts: MeetingHosts, definition_id: int) -> None:
        self._all = hosts
        self._id = definition_id

    @property
    def instance(self) -> str:
        return self._all.instance

    def bookings(self) -> Collection[Booking]:
        return list(self._all.bookings[self._id].values())

    def hosts(self) -> Mapping[str, HostState]:
        return self._all.states[self._id]

    async def book(
        self, room: str, hosts: Sequence[str], *, per_host: int, now: int, avoid: Collection[str] = ()
    ) -> Booking | None:
        async with self._all.work() as w:
            found = await queries.of_definition(w.db, self._id)
            bookings = [self._all.booking(row) for row in found.bookings]
            known = next((one for one in bookings if one.room == room and one.is_current), None)
            if known is None:
                states = {row["host"]: host_state(row) for row in found.hosts}
                host = choose_host(hosts, states, bookings, per_host=per_host, now=now, avoid=avoid)
                if host is None:
                    return None
                state = BookingState.BOOKED
                made = await queries.add(
                    w.db, definition_id=self._id, room=room, host=host, state=state.value, created_at=now
                )
                known = Booking(made, room, host, state, now)
                w.announce(HOSTS_CHANGED, self._id)
        self._keep(known)
        return known

    def _keep(self, booking: Booking) -> None:
        self._all.writes += 1
        self._all.bookings[self._id][booking.id] = booking

    async def change(self, booking: Booking, **values: Any) -> Booking:
        changed = replace(self._all.bookings[self._id].get(booking.id, booking), **values)
        stored = {name: value for name, value in values.items() if not name.endswith("passcode")}
        if len(stored) != len(values):
            both = [changed.passcode, changed.encrypted_passcode]
            stored["passcodes_encrypted"] = self._all.box.encrypt(json.dumps(both))
        if "state" in stored:
            stored["state"] = changed.state.value
        async with self._all.work() as w:
            await queries.change(w.db, booking.id, **stored)
            w.announce(HOSTS_CHANGED, self._id)
        self._keep(changed)
        return changed

    async def remove(self, booking: Booking) -> None:
        async with self._all.work() as w:
            await queries.remove(w.db, booking.id)
            w.announce(HOSTS_CHANGED, self._id)
        self._all.writes += 1
        self._all.bookings[self._id].pop(booking.id, None)

    async def count_creation(self, host: str, *, now: int) -> int:
        return (await self._store_host(host, now=now, creations=1)).creations

    async def block(self, host: str, *, until: int, reason: str) -> None:
        await self._store_host(host, now=until, blocked_until=until, reason=reason)

    async def _store_host(self, host: str, *, now: int, creations: int = 0, **values: Any) -> HostState:
        async with self._all.work() as w:
            found = await queries.of_definition(w.db, self._id)
            states = {row["host"]: host_state(row) for row in found.hosts}
            known = states.get(host, HostState(host))
            if creations:
                values |= {"day": now // DAY_MS, "creations": known.creations_on(now) + creations}
            changed = replace(known, **values)
            await queries.store_host(w.db, self._id, host, **values)
            w.announce(HOSTS_CHANGED, self._id)
        self._all.writes += 1
        self._all.states[self._id][host] = changed
        return changed
