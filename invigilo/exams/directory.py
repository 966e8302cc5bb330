"""What every request needs to know about exams and connection configurations, held in memory.

Small tables, read whole: at start, when a change is announced, and every few seconds besides, because `invigilo apply` may
run in another process that cannot announce anything to a server on SQLite. So a change is in force everywhere within
`REFRESH`, far inside the minute the protocol allows (seb-client-api.md §9, 9).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from invigilo.clock import Clock
from invigilo.errors import NotFound
from invigilo.exams.model import ConnectionConfiguration, Exam
from invigilo.storage.queries import exams as exam_queries
from invigilo.storage.work import WorkFactory

REFRESH = timedelta(seconds=3)
TOPIC = "directory"


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
        self.loaded_at: datetime | None = None

    async def reload(self) -> bool:
        """Read everything again; returns whether anything differs."""
        async with self._reading() as w:
            exams = {exam.id: exam for exam in await exam_queries.all_exams(w.db)}
            configurations = await exam_queries.all_configurations(w.db)
            self.institutions = await exam_queries.institution_names(w.db)
        before = (self.exams, self.configurations)
        self.exams = exams
        self.configurations = {configuration.id: configuration for configuration, _ in configurations}
        self.secrets = {configuration.id: secret for configuration, secret in configurations}
        self.by_client_id = {configuration.client_id: configuration for configuration, _ in configurations}
        self.loaded_at = self._clock.now()
        return before != (self.exams, self.configurations)

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
