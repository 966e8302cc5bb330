"""Notes and incidents on candidates: what a proctor saw, when, and in which words.

An incident is flagged in one press; its moment is the press, and words may follow. The page makes a key for each note, so a
press that is sent again after a broken line stays one incident. Notes follow the person: whoever starts SEB anew has them
still. Nothing is deleted: a mistake is taken back, and the record says by whom.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError

from invigilo import fields
from invigilo.accounts.model import Account
from invigilo.activity.service import record
from invigilo.bus import RESYNC, Bus
from invigilo.clock import Clock
from invigilo.errors import CHANGED_MEANWHILE, Invalid, NotFound, Problem, Refused
from invigilo.exams.model import Exam
from invigilo.monitoring.live import LiveConnection, LiveConnections
from invigilo.monitoring.model import Note, NoteCategory
from invigilo.storage.queries import notes as queries
from invigilo.storage.queries.desk import patiently
from invigilo.storage.work import Work, WorkFactory

NOTES_CHANGED = "notes"
LONGEST_TEXT = 2_000
LONGEST_BACK_MS = 86_400_000
"""A moment more than a day ago is a clock gone wrong, not a proctor who was slow to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteWish:
    """What is to stand there; `happened_at` is None for now."""

    category: NoteCategory
    is_incident: bool
    text: str = ""
    happened_at: int | None = None


def problems(wish: NoteWish) -> list[Problem]:
    """A flag may be wordless; a note without words says nothing."""
    shortest = 0 if wish.is_incident else 1
    return fields.found(fields.text("text", wish.text, longest=LONGEST_TEXT, shortest=shortest, lines=True))


def moment_of(wished: int | None, *, now: int) -> int:
    """When it happened: the press, by the server's clock. A page's clock may be wrong, its press is not in the future."""
    if wished is None or not now - LONGEST_BACK_MS <= wished <= now:
        return now
    return wished


def person_of(live: LiveConnection) -> str:
    """The latest user a client named; blank when none."""
    return (live.user_session_id or "").split(" | ", 1)[0].strip()


@dataclass(slots=True)
class Tally:
    """How many notes and incidents stand with each person of an exam."""

    by_person: dict[str, list[int]]
    by_connection: dict[int, list[int]]

    def of(self, live: LiveConnection) -> tuple[int, int]:
        """(notes, incidents) of whoever sits at this connection. What was written before the user was known counts too."""
        nothing = [0, 0]
        person = person_of(live)
        here = self.by_connection.get(live.id, nothing)
        theirs = self.by_person.get(person, nothing) if person else nothing
        return here[0] + theirs[0], here[1] + theirs[1]


EMPTY = Tally({}, {})


class Notes:
    def __init__(
        self,
        *,
        work: WorkFactory,
        reading: WorkFactory,
        live: LiveConnections,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self._work = work
        self._reading = reading
        self._live = live
        self._clock = clock
        self._tallies: dict[int, Tally] = {}
        self._due: set[int] = set()
        self._reading_again: asyncio.Task[None] | None = None
        bus.subscribe(NOTES_CHANGED, self._heard)
        bus.subscribe(RESYNC, lambda _payload: self._heard(0))

    async def load_all(self) -> None:
        async with self._reading() as w:
            rows = await queries.counts(w.db)
        self._tallies = _tallies(rows)

    def tally(self, exam_id: int) -> Tally:
        return self._tallies.get(exam_id, EMPTY)

    # --- steps ---

    async def add(self, exam: Exam, live: LiveConnection, wish: NoteWish, *, key: str, by: Account) -> Note:
        """Raises Invalid. The same key again is the same note again."""
        if found := problems(wish):
            raise Invalid(*found)
        try:
            async with self._work() as w:
                if (before := await queries.by_key(w.db, exam.id, key)) is not None:
                    return before
                note = await self._write(w, exam, live, wish, key=key, by=by)
        except IntegrityError:  # the same press by two ways at once
            async with self._reading() as w:
                again = await queries.by_key(w.db, exam.id, key)
            if again is None:
                raise
            return again
        await self._reload(exam.id)
        return note

    async def _write(
        self, w: Work, exam: Exam, live: LiveConnection, wish: NoteWish, *, key: str, by: Account
    ) -> Note:
        now = self._clock.now_ms()
        values: dict[str, Any] = {
            "exam_id": exam.id,
            "connection_id": live.id,
            "candidate": person_of(live),
            "category": wish.category,
            "is_incident": wish.is_incident,
            "happened_at": moment_of(wish.happened_at, now=now),
            "text": wish.text.strip(),
            "author_id": by.id,
            "author": by.display_name,
            "created_at": now,
        }
        note_id = await queries.add(w.db, key=key, **(values | {"category": wish.category.value}))
        await self._on_record(
            w, exam, live.id, by, "incident_flagged" if wish.is_incident else "note_added", note_id
        )
        w.announce(NOTES_CHANGED, exam.id)
        return Note(id=note_id, **values)

    async def change(self, exam: Exam, note_id: int, wish: NoteWish, *, revision: int, by: Account) -> Note:
        """Other words, another category, flagged or not; moment and author stay. Raises NotFound, Refused, Invalid."""
        if found := problems(wish):
            raise Invalid(*found)
        return await self._change(
            exam,
            note_id,
            by,
            "note_changed",
            lambda now: {
                "category": wish.category.value,
                "is_incident": wish.is_incident,
                "text": wish.text.strip(),
                "changed_at": now,
                "changed_by": by.display_name,
            },
            revision=revision,
        )

    async def take_back(self, exam: Exam, note_id: int, *, by: Account) -> Note:
        """It was a mistake. It stays to be read, and counts no more. Raises NotFound; quiet when it was taken back."""
        return await self._change(
            exam,
            note_id,
            by,
            "note_taken_back",
            lambda now: {"taken_back_at": now, "taken_back_by": by.display_name},
        )

    async def _change(
        self,
        exam: Exam,
        note_id: int,
        by: Account,
        deed: str,
        values: Callable[[int], dict[str, Any]],
        *,
        revision: int | None = None,
    ) -> Note:
        async with self._work() as w:
            note = await queries.by_id(w.db, note_id, lock=True)
            if note is None or note.exam_id != exam.id:
                raise NotFound("There is no such note in this exam.", key="no_such_note")
            if note.taken_back_at is not None:
                if revision is None:
                    return note
                raise Refused("taken_back", "This note was taken back; write a new one.")
            if revision is not None and revision != note.revision:
                raise Refused(
                    CHANGED_MEANWHILE, "Somebody changed this note meanwhile. Look again, then save."
                )
            new = values(self._clock.now_ms())
            await queries.change(w.db, note_id, new | {"revision": note.revision + 1})
            await self._on_record(w, exam, note.connection_id, by, deed, note_id, _before(note, deed))
            w.announce(NOTES_CHANGED, exam.id)
            changed = await queries.by_id(w.db, note_id)
            assert changed is not None
        await self._reload(exam.id)
        return changed

    async def _on_record(
        self,
        w: Work,
        exam: Exam,
        connection_id: int,
        by: Account,
        deed: str,
        note_id: int,
        more: dict[str, Any] | None = None,
    ) -> None:
        await record(
            w,
            at=self._clock.now(),
            actor=by,
            deed=deed,
            institution_id=exam.institution_id,
            exam_id=exam.id,
            connection_id=connection_id,
            detail={"note": note_id} | (more or {}),
        )

    async def of_exam(
        self,
        exam: Exam,
        *,
        live: LiveConnection | None = None,
        incidents_only: bool = False,
        before: tuple[int, int] | None = None,
        limit: int = 200,
    ) -> list[Note]:
        """Newest first; of one person, where a connection is given."""
        async with self._reading() as w:
            return await queries.of_exam(
                w.db,
                exam.id,
                connection_id=None if live is None else live.id,
                candidate="" if live is None else person_of(live),
                incidents_only=incidents_only,
                before=before,
                limit=limit,
            )

    # --- memory follows the database ---

    def _heard(self, exam_id: Any) -> None:
        """Another node, or this one a moment ago; 0 is every exam."""
        if isinstance(exam_id, int):
            self._due.add(exam_id)
        if self._reading_again is None or self._reading_again.done():
            self._reading_again = asyncio.get_running_loop().create_task(self._read_again(), name="notes")

    async def _read_again(self) -> None:
        while self._due:
            due, self._due = self._due, set()
            if 0 in due:
                await patiently(self.load_all)
                continue
            for exam_id in due:
                await patiently(lambda exam_id=exam_id: self._reload(exam_id))

    async def _reload(self, exam_id: int) -> None:
        async with self._reading() as w:
            rows = await queries.counts(w.db, exam_id)
        self._tallies[exam_id] = _tallies(rows).get(exam_id, EMPTY)
        for live in self._live.of_exam(exam_id):
            self._live.changed(live)


def _before(note: Note, deed: str) -> dict[str, Any]:
    """What stood there, so that the record tells what was changed."""
    return {"before": note.text} if deed == "note_changed" and note.text else {}


def _tallies(rows: list[queries.CountRow]) -> dict[int, Tally]:
    found: dict[int, Tally] = defaultdict(lambda: Tally({}, {}))
    for row in rows:
        tally = found[row.exam_id]
        counts = (
            tally.by_person.setdefault(row.candidate, [0, 0])
            if row.candidate
            else tally.by_connection.setdefault(row.connection_id, [0, 0])
        )
        counts[1 if row.is_incident else 0] += row.count
    return dict(found)
