"""What every request needs to know about exams, their meeting services and connection configurations, held in memory.

Small tables, read whole: at start, when a change is announced, and every few seconds besides, because `invigilo apply` may
run in another process that cannot announce anything to a server on SQLite. So a change is in force everywhere within
`REFRESH`, far inside the minute the protocol allows (seb-client-api.md §9, 9). Whoever changes what stands here calls
`directory_changed` in the same transaction: by the number it counts up others know whether to read at all.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from invigilo.clock import Clock
from invigilo.errors import NotFound
from invigilo.exams.model import Candidate, ConnectionConfiguration, Exam, SealedDefinition
from invigilo.storage.queries import exams as exam_queries
from invigilo.storage.work import Work, WorkFactory

REFRESH = timedelta(seconds=3)
TOPIC = "directory"
NAMED_AFTER = timedelta(days=1)
"""So long after an exam its candidates still have the names of the roster where somebody looks back."""


async def directory_changed(w: Work) -> None:
    """Note, in the transaction of the change, that something of what the directory holds is not as it was."""
    await exam_queries.count_up_directory(w.db)
    w.announce(TOPIC, None)


class Directory:
    """Read-only snapshot; replaced as a whole, so a reader never sees half a change."""

    def __init__(self, reading: WorkFactory, clock: Clock) -> None:
        self._reading = reading
        self._clock = clock
        self.exams: dict[int, Exam] = {}
        self.configurations: dict[int, ConnectionConfiguration] = {}
        self.secrets: dict[int, str] = {}
        """Encrypted client secrets by configuration id."""
        self.by_client_id: dict[str, ConnectionConfiguration] = {}
        self.institutions: dict[int, str] = {}
        self.rosters: dict[int, dict[str, Candidate]] = {}
        """Of the exams that are not over, or not for long: by exam, and by the LMS's user id."""
        self.definitions: dict[int, SealedDefinition] = {}
        """Service definitions of all institutions. Their secrets are opened only by what calls the service."""
        self.loaded_at: datetime | None = None
        self.changes = 0
        """How often something was found that differs: whoever shows it to others shows it once for each."""
        self._revision = -1
        self._in_turn = asyncio.Lock()
        """What was read sooner must not replace what was read later."""

    async def follow(self) -> None:
        """Read everything again if somebody changed something."""
        async with self._reading() as w:
            revision = await exam_queries.directory_revision(w.db)
        if revision != self._revision:
            await self.reload()
        self.loaded_at = self._clock.now()

    async def reload(self) -> None:
        """Read everything again."""
        async with self._in_turn:
            await self._read()

    async def _read(self) -> None:
        now = self._clock.now()
        async with self._reading() as w:
            revision = await exam_queries.directory_revision(w.db)
            exams = {exam.id: exam for exam in await exam_queries.all_exams(w.db)}
            configurations = await exam_queries.all_configurations(w.db)
            institutions = await exam_queries.institution_names(w.db)
            definitions = {one.id: one for one in await exam_queries.all_definitions(w.db)}
            current = [exam.id for exam in exams.values() if exam.closes_at > now - NAMED_AFTER]
            rosters = await exam_queries.rosters(w.db, current)
        before = (self.exams, self.configurations, self.rosters, self.definitions)
        self._revision = revision
        self.institutions = institutions
        self.rosters = rosters
        self.definitions = definitions
        self.exams = exams
        self.configurations = {configuration.id: configuration for configuration, _ in configurations}
        self.secrets = {configuration.id: secret for configuration, secret in configurations}
        self.by_client_id = {configuration.client_id: configuration for configuration, _ in configurations}
        self.loaded_at = self._clock.now()
        self.changes += before != (self.exams, self.configurations, self.rosters, self.definitions)

    def candidate(self, exam_id: int | None, user_id: str | None) -> Candidate | None:
        """The roster's line for what a client sent as user; None where there is no roster or nobody of that id."""
        if exam_id is None or user_id is None:
            return None
        return self.rosters.get(exam_id, {}).get(user_id)

    def exam(self, exam_id: int) -> Exam:
        """The exam, or NotFound."""
        exam = self.exams.get(exam_id)
        if exam is None:
            raise NotFound(f"There is no exam {exam_id}.")
        return exam

    def running(self, now: datetime, *, institution_id: int | None = None) -> list[Exam]:
        """Exams open to clients now, by id; of one institution, or of all."""
        return [
            exam
            for exam in self.exams.values()
            if exam.is_running(now) and (institution_id is None or exam.institution_id == institution_id)
        ]
