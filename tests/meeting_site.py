"""A running server whose exam meets at a stand-in of Jitsi Meet: definition and exam stored as the settings pages store them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from invigilo.exams.directory import directory_changed
from invigilo.exams.model import JoinBy, Service
from invigilo.simulate.jaas import SignedReports, jaas_stand_in
from invigilo.simulate.jitsi import JitsiStandIn, Mood, Reports, jitsi_stand_in
from invigilo.simulate.jitsi_rules import Deployment
from invigilo.simulate.zoom import ZoomMood, ZoomStandIn, zoom_stand_in
from invigilo.simulate.zoom_rules import Seed, User
from invigilo.storage.tables import exams, service_definitions
from tests.providers.keys import APP_ID, KEY_ID, jaas_values, jitsi_values, public_half, zoom_values
from tests.server import Server, running

SECRET = jitsi_values()["app_secret"]
EVENTS_SECRET = "what-the-event-component-sends"


def deployment(**more: Any) -> Deployment:
    return Deployment(jwt_app_id="exam-office", jwt_app_secret=SECRET, **more)


@dataclass
class MeetingSite:
    server: Server
    jitsi: JitsiStandIn
    definition_id: int

    async def change_definition(self, **values: Any) -> None:
        """As an administrator does: stored, and announced."""
        async with self.server.app.work() as w:
            table = service_definitions
            sealed = {name: values.pop(name) for name in ("app_secret", "events_secret") if name in values}
            changed: dict[Any, Any] = {"revision": table.c.revision + 1}
            if sealed:
                changed["secrets_encrypted"] = _sealed(self.server, {"events_secret": EVENTS_SECRET} | sealed)
            if values:
                changed["values"] = _values(self.jitsi.url) | values
            await w.db.execute(update(table).where(table.c.id == self.definition_id).values(changed))
            await directory_changed(w)
        await self.server.app.directory.follow()


def _values(url: str) -> dict[str, str]:
    known = jitsi_values(server_url=url)
    return {name: value for name, value in known.items() if name != "app_secret"}


def _sealed(server: Server, secrets: dict[str, str]) -> dict[str, Any]:
    box = server.app.storage.box
    return {name: {"sealed": box.encrypt(value), "since": 0} for name, value in secrets.items()}


async def use_jitsi(
    server: Server, jitsi: JitsiStandIn, *, app_secret: str = SECRET, join_by: JoinBy = JoinBy.PAGE
) -> int:
    """Make a definition of this stand-in and let every exam meet there; returns its id."""
    secrets = {"app_secret": app_secret, "events_secret": EVENTS_SECRET}
    return await _use(server, Service.JITSI, _values(jitsi.url), secrets, join_by)


async def _use(
    server: Server, service: Service, values: dict[str, str], secrets: dict[str, str], join_by: JoinBy
) -> int:
    app = server.app
    async with app.work() as w:
        definition_id = (
            await w.db.execute(
                insert(service_definitions)
                .values(
                    {
                        "institution_id": int(await server.institution()),
                        "name": "Our meetings",
                        "service": service.value,
                        "values": values,
                        "secrets_encrypted": _sealed(server, secrets),
                        "created_at": 0,
                    }
                )
                .returning(service_definitions.c.id)
            )
        ).scalar_one()
        await w.db.execute(
            update(exams).values(
                service=service.value, service_definition_id=definition_id, join_by=join_by.value
            )
        )
        await directory_changed(w)
    await app.directory.follow()
    return definition_id


@asynccontextmanager
async def meeting_site(
    folder: Path,
    mood: Mood = Mood.WELL,
    *,
    path: str = "",
    app_secret: str = SECRET,
    join_by: JoinBy = JoinBy.PAGE,
    reports: bool = False,
    **more: Any,
) -> AsyncIterator[MeetingSite]:
    """`reports`: the stand-in tells our server who comes and goes."""
    told = Reports(secret=EVENTS_SECRET)
    async with (
        jitsi_stand_in(deployment(), mood, path=path, reports=told) as jitsi,
        running(folder, **more) as server,
    ):
        definition_id = await use_jitsi(server, jitsi, app_secret=app_secret, join_by=join_by)
        if reports:
            told.url = f"{server.url}/hooks/{definition_id}"
        yield MeetingSite(server, jitsi, definition_id)


@asynccontextmanager
async def jaas_site(folder: Path, **more: Any) -> AsyncIterator[MeetingSite]:
    """The same at a stand-in of JaaS, whose webhooks reach our server."""
    told = SignedReports(secret=EVENTS_SECRET)
    keys = {f"{APP_ID}/{KEY_ID}": public_half()}
    async with (
        jaas_stand_in(APP_ID, keys, reports=told) as jaas,
        running(folder, **more) as server,
    ):
        values = jaas_values(server_url=jaas.url)
        secrets = {"private_key": values.pop("private_key"), "events_secret": EVENTS_SECRET}
        definition_id = await _use(server, Service.JAAS, values, secrets, JoinBy.PAGE)
        told.url = f"{server.url}/hooks/{definition_id}"
        yield MeetingSite(server, jaas, definition_id)


@dataclass
class ZoomSite:
    """A running server whose exam meets at a stand-in of Zoom."""

    server: Server
    zoom: ZoomStandIn
    definition_id: int

    async def change_definition(self, **values: str) -> None:
        """As an administrator does: stored, and announced."""
        table = service_definitions
        async with self.server.app.work() as w:
            mine = table.c.id == self.definition_id
            before = (await w.db.execute(select(table.c["values"]).where(mine))).scalar_one()
            changed: dict[Any, Any] = {"revision": table.c.revision + 1, "values": before | values}
            await w.db.execute(update(table).where(mine).values(changed))
            await directory_changed(w)
        await self.server.app.directory.follow()

    async def entered_at(self) -> int | None:
        """When somebody was last in a meeting with the SDK's pair, as it is stored."""
        table = service_definitions.c
        async with self.server.app.reading() as w:
            query = select(table.entered_at).where(table.id == self.definition_id)
            return (await w.db.execute(query)).scalar_one()


def zoom_hosts(count: int, **more: Any) -> list[User]:
    return [User(f"zu{n}", f"host{n}@example.org", **more) for n in range(1, count + 1)]


@asynccontextmanager
async def zoom_site(
    folder: Path,
    mood: ZoomMood = ZoomMood.WELL,
    *,
    hosts: int = 2,
    join_by: JoinBy = JoinBy.PAGE,
    reports: bool = True,
    seed: Seed | None = None,
    **more: Any,
) -> AsyncIterator[ZoomSite]:
    """`reports`: the stand-in tells our server who comes and goes."""
    seed = seed or Seed(users=zoom_hosts(hosts))
    addresses = "\n".join(user.email for user in seed.users)
    async with zoom_stand_in(seed, mood) as zoom, running(folder, **more) as server:
        values = zoom_values(zoom.url, hosts=addresses)
        secrets = {name: values.pop(name) for name in ("client_secret", "sdk_secret")}
        if reports:
            secrets["events_secret"] = seed.hook_secret
        definition_id = await _use(server, Service.ZOOM, values, secrets, join_by)
        if reports:
            zoom.seed.hook_url = f"{server.url}/hooks/{definition_id}"
        yield ZoomSite(server, zoom, definition_id)
