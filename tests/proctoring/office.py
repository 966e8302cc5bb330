"""A server with meeting services to choose from, whose tests end as they are told to; and calls of its API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from invigilo.accounts.model import Scope
from invigilo.clock import to_ms
from invigilo.exams.model import Exam, Service
from invigilo.providers.base import Provider
from invigilo.providers.builtin import BuiltinProvider
from invigilo.providers.description import BUILTIN, JAAS, JITSI
from invigilo.providers.proof import Outcome, Step
from invigilo.providers.registry import Offer
from invigilo.simulate.stand_in import StandInService
from invigilo.storage.queries import accounts as account_queries
from invigilo.storage.tables import activity, exam_templates
from tests.server import Answer, Server, running
from tests.web.people import TWO_INSTITUTIONS, exam_called

WRONG = "not-the-right-one"
RIGHT = "the-right-one-of-them"
"""Stand-ins for an application secret."""
VALUES = {"server_url": "https://meet.example.org", "app_id": "exams", "app_secret": RIGHT}


@dataclass
class Proofs:
    """The stand-in for asking a service: what it was asked with, and how its test ends."""

    asked: list[Mapping[str, str]] = field(default_factory=list)
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    left: int = 0
    """Tests whose end came, by themselves or because the asker went away."""

    async def prove(self, service: Service, values: Mapping[str, str]) -> AsyncGenerator[Step]:
        self.asked.append({"service": service.value, **values})
        try:
            yield Step("address", Outcome.OK)
            await self.may_go_on.wait()
            if values.get("app_secret") == WRONG:
                yield Step("credentials", Outcome.FAILED, "wrong_secret")
            else:
                yield Step("credentials", Outcome.OK)
            yield Step("media", Outcome.NOT_PROVABLE, "media_needs_people")
        finally:
            self.left += 1


@dataclass
class Office:
    """The running server, and everybody's token of every scope."""

    server: Server
    proofs: Proofs
    stand_in: StandInService
    tokens: dict[str, str]

    @property
    def exam_id(self) -> int:
        return exam_called(self.server, "Linear Algebra")

    @property
    def path(self) -> str:
        return f"/api/v1/exams/{self.exam_id}/proctoring"

    async def call(self, method: str, path: str, body: Any = None, *, who: str = "grace") -> Answer:
        headers = {"Authorization": f"Bearer {self.tokens[who]}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        return await self.server.request(method, path, headers=headers, body=data)

    async def settings(self, *, who: str = "grace") -> dict[str, Any]:
        answer = await self.call("GET", self.path, who=who)
        assert answer.status == 200, answer.body
        return answer.json

    async def save(self, *, who: str = "grace", **wish: Any) -> Answer:
        return await self.call("PUT", self.path, wish, who=who)

    async def jitsi(self, name: str = "Our Jitsi", **values: str) -> dict[str, Any]:
        """A stored service, not tested."""
        body = {"name": name, "service": "jitsi", "values": VALUES | values}
        answer = await self.call("POST", "/api/v1/services", body)
        assert answer.status == 201, answer.body
        return answer.json

    async def proven_jitsi(self) -> dict[str, Any]:
        made = await self.jitsi()
        answer = await self.call("POST", f"/api/v1/services/{made['id']}/test")
        assert answer.json["is_proven"], answer.body
        return made

    async def template(self, name: str = "Orals") -> int:
        """As the exam office would make one; there are no pages for it in this test."""
        app = self.server.app
        grace = await self.account("grace")
        async with app.work() as w:
            query = insert(exam_templates).values(
                institution_id=grace.institution_id, name=name, created_at=to_ms(app.clock.now())
            )
            return (await w.db.execute(query.returning(exam_templates.c.id))).scalar_one()

    async def account(self, username: str) -> Any:
        async with self.server.app.reading() as w:
            found = await account_queries.all_accounts(w.db)
        return next(one for one in found if one.username == username)

    async def deeds(self, deed: str) -> list[Any]:
        async with self.server.app.reading() as w:
            query = select(activity).where(activity.c.deed == deed).order_by(activity.c.id)
            return list(await w.db.execute(query))


@asynccontextmanager
async def office(folder: Path, url: str | None = None) -> AsyncGenerator[Office]:
    proofs, stand_in, builtin = Proofs(), StandInService(), BuiltinProvider()
    proofs.may_go_on.set()
    offer = Offer({Service.BUILTIN: BUILTIN, Service.JITSI: JITSI, Service.JAAS: JAAS}, proofs.prove)

    def provider_of(exam: Exam) -> Provider:
        return builtin if exam.proctoring.service is Service.BUILTIN else stand_in

    async with running(
        folder, url=url, text=TWO_INSTITUTIONS, providers=provider_of, services=offer
    ) as server:
        app = server.app
        async with app.reading() as w:
            accounts = await account_queries.all_accounts(w.db)
        tokens: dict[str, str] = {}
        for one in accounts:
            lasts = app.clock.now() + timedelta(hours=1)
            _, tokens[one.username] = await app.tokens.make(
                "for a test", list(Scope), expires_at=lasts, by=one
            )
        yield Office(server, proofs, stand_in, tokens)
