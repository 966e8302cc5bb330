"""The proctoring settings of an exam by the API: live-proctoring.md §2.3 to §2.7 and checks 1 to 12 of its §9."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import insert, update

from invigilo.clock import to_ms
from invigilo.sebconfig import plist
from invigilo.sebconfig.exam_settings import exam_settings
from invigilo.simulate.stand_in import Mood
from invigilo.storage.tables import configuration_versions, exam_configurations, exam_templates, exams, rooms
from tests.proctoring.office import RIGHT, VALUES, WRONG, Office, office
from tests.server import Answer, SebWire
from tests.web.people import candidate_in, sign_in


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Office]:
    url = None if request.param == "sqlite" else request.getfixturevalue("fresh_postgresql")
    async with office(tmp_path, url) as desk:
        yield desk


def fields(answer: Answer) -> dict[str, str]:
    """Field → code of each problem."""
    assert answer.status == 400, answer.body
    return {one["field"]: one["code"] for one in answer.json["problems"]}


async def until(holds: Any, what: str) -> None:
    try:
        async with asyncio.timeout(60):
            while not await holds():
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"It did not come to this: {what}")


async def switched_on(desk: Office, **wish: Any) -> dict[str, Any]:
    """The exam with a tested Jitsi, on."""
    made = await desk.proven_jitsi()
    answer = await desk.save(enabled=True, service="jitsi", definition_id=made["id"], **wish)
    assert answer.status == 200, answer.body
    app, exam = desk.server.app, desk.exam_id

    async def is_known() -> bool:
        return app.directory.exams[exam].proctoring.definition_id == made["id"]

    await until(is_known, "the directory has read it")
    return made


async def with_room(desk: Office) -> tuple[dict[str, Any], SebWire]:
    """The same, with a candidate in an open room."""
    made = await switched_on(desk)
    candidate = await candidate_in(desk.server, "Linear Algebra")
    assert (await candidate.wire.ping()).status in {200, 204}

    async def is_open() -> bool:
        return len(desk.stand_in.rooms) == 1 and await room_states(desk) == ["open"]

    await until(is_open, "the room is open at the service, and noted so")
    return made, candidate.wire


async def room_states(desk: Office) -> list[str]:
    async with desk.server.app.reading() as w:
        query = rooms.select().where(rooms.c.exam_id == desk.exam_id).order_by(rooms.c.id)
        return [row.state for row in await w.db.execute(query)]


# --- what may be said ---


@pytest.mark.spec("live-proctoring", 1)
async def test_off_needs_no_credentials(desk: Office) -> None:
    for service in ("builtin", "jitsi", "jaas"):
        answer = await desk.save(enabled=False, service=service, definition_id=None)
        assert (answer.status, answer.json["enabled"]) == (200, False), answer.body


@pytest.mark.spec("live-proctoring", 2)
async def test_every_field_that_jitsi_lacks_is_named_at_once(desk: Office) -> None:
    for blank in ({}, {"server_url": " ", "app_id": "", "app_secret": ""}):
        body = {"name": "", "service": "jitsi", "values": blank}
        found = fields(await desk.call("POST", "/api/v1/services", body))
        assert found == {
            "name": "missing",
            "server_url": "missing",
            "app_id": "missing",
            "app_secret": "missing_secret",
        }
    assert fields(await desk.save(enabled=True, service="jitsi")) == {"definition": "no_definition"}
    assert await desk.settings() == await desk.settings() | {"service": "builtin"}


@pytest.mark.spec("live-proctoring", 4)
@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://meet.example.org/?a=b", "url_query"),
        ("https://meet.example.org/#room", "url_fragment"),
        ("https://somebody@meet.example.org", "url_user"),
        ("http://meet.example.org", "url_https"),
        ("meet.example.org", "url_absolute"),
    ],
)
async def test_an_address_that_cannot_be_one_is_refused(desk: Office, url: str, code: str) -> None:
    body = {"name": "J", "service": "jitsi", "values": VALUES | {"server_url": url}}
    assert fields(await desk.call("POST", "/api/v1/services", body)) == {"server_url": code}


async def test_values_are_trimmed(desk: Office) -> None:
    made = await desk.jitsi(server_url="  https://Meet.example.org/seb/ \n", app_id=" exams ")
    assert made["values"]["server_url"] == "https://meet.example.org/seb"
    assert made["values"]["app_id"] == "exams"


@pytest.mark.spec("live-proctoring", 5)
async def test_a_room_holds_from_one_to_the_most_or_says_no_limit(desk: Office) -> None:
    for wrong in (0, -1, 501, 10**30):
        assert fields(await desk.save(collecting_room_size=wrong)) == {"collecting_room_size": "out_of_range"}
    for text in ("many", "", True, 2.5, [20]):
        assert (await desk.save(collecting_room_size=text)).status == 400
    for right in (1, 500, None):
        assert (await desk.save(collecting_room_size=right)).json["collecting_room_size"] == right
    await desk.save(features=["chat"])
    assert (await desk.settings())["collecting_room_size"] is None, "what is left out stays"


async def test_what_is_wrong_is_said_together(desk: Office) -> None:
    answer = await desk.save(enabled=True, service="jitsi", join_by="page", collecting_room_size=0)
    assert fields(answer) == {"collecting_room_size": "out_of_range", "definition": "no_definition"}
    assert fields(await desk.save(enabled=True, join_by="native")) == {"join_by": "not_native"}


# --- secrets ---


@pytest.mark.spec("live-proctoring", 6)
async def test_nobody_reads_a_secret_and_a_blank_one_stays(desk: Office) -> None:
    made = await desk.proven_jitsi()
    path = f"/api/v1/services/{made['id']}"
    assert made["secrets"]["app_secret"]["is_set"]
    assert made["secrets"]["app_secret"]["since"]
    assert not made["secrets"]["private_key"]["is_set"]
    await desk.save(enabled=True, service="jitsi", definition_id=made["id"])
    for who in ("ada", "bea", "grace", "ines", "aude", "root", "other-grace"):
        for address in (path, "/api/v1/services", "/api/v1/services/offered", desk.path):
            assert RIGHT.encode() not in (await desk.call("GET", address, who=who)).body

    answer = await desk.call("PATCH", path, {"name": "Renamed", "values": {"app_secret": " "}})
    assert answer.status == 200, answer.body
    assert answer.json["secrets"] == made["secrets"]
    assert answer.json["is_proven"], "a new name changes nothing that was tested"
    await desk.call("POST", f"{path}/test")
    assert desk.proofs.asked[-1]["app_secret"] == RIGHT
    for deed in ("service_created", "service_changed", "service_tested", "proctoring_changed"):
        assert [one for one in await desk.deeds(deed) if RIGHT in str(one)] == []
        assert await desk.deeds(deed)


async def test_a_secret_is_stored_encrypted(desk: Office) -> None:
    made = await desk.jitsi()
    async with desk.server.app.reading() as w:
        stored = (await w.db.execute(exams.metadata.tables["service_definitions"].select())).one()
    assert stored.id == made["id"]
    assert RIGHT not in str(stored)


async def test_other_values_are_untested_values(desk: Office) -> None:
    made = await desk.proven_jitsi()
    path = f"/api/v1/services/{made['id']}"
    same = await desk.call("PATCH", path, {"values": {"app_secret": RIGHT, "app_id": "exams"}})
    assert same.json["is_proven"], "the same again is no change"
    assert same.json["revision"] == (await desk.call("GET", path)).json["revision"]
    changed = await desk.call("PATCH", path, {"values": {"app_secret": WRONG}})
    assert not changed.json["is_proven"]
    assert changed.json["proved_at"] is None
    assert changed.json["secrets"]["app_secret"]["since"] > made["secrets"]["app_secret"]["since"]


# --- while in use ---


@pytest.mark.spec("live-proctoring", 7)
async def test_a_service_in_use_stays_what_it_is(desk: Office) -> None:
    made, _ = await with_room(desk)
    path = f"/api/v1/services/{made['id']}"
    other = await desk.jitsi("Another")
    assert (await desk.settings())["is_in_use"]
    for wish in ({"service": "builtin"}, {"definition_id": other["id"]}, {"service": "jaas"}):
        answer = await desk.save(**wish)
        assert (answer.status, answer.json["code"]) == (409, "service_in_use"), answer.body
    for identity in ({"server_url": "https://other.example.org"}, {"app_id": "others"}, {"key_id": "k2"}):
        answer = await desk.call("PATCH", path, {"values": identity})
        assert (answer.status, answer.json["code"]) == (409, "service_in_use"), answer.body
        assert "Linear Algebra" in answer.json["message"]
    rotated = await desk.call("PATCH", path, {"values": {"app_secret": "another-of-the-same"}})
    assert rotated.status == 200, rotated.body
    answer = await desk.save(collecting_room_size=9, features=["chat"])
    assert answer.status == 200, answer.body
    assert (answer.json["collecting_room_size"], answer.json["features"]) == (9, ["chat"])
    assert (
        await desk.call("PATCH", f"/api/v1/services/{other['id']}", {"values": {"app_id": "x"}})
    ).status == 200


@pytest.mark.spec("live-proctoring", 8)
async def test_rooms_are_reset_when_nobody_is_connected(desk: Office) -> None:
    _, wire = await with_room(desk)
    refused = await desk.call("POST", f"{desk.path}/reset")
    assert (refused.status, refused.json["code"]) == (409, "connections_live")
    assert await room_states(desk) == ["open"]
    assert (await wire.delete()).status == 200
    answer = await desk.call("POST", f"{desk.path}/reset")
    assert (answer.status, answer.json) == (200, {"stuck_rooms": []})
    assert await room_states(desk) == []
    assert desk.stand_in.rooms == {}
    assert not (await desk.settings())["is_in_use"]
    assert (await desk.save(service="builtin")).status == 200
    (deed,) = await desk.deeds("rooms_reset")
    assert (deed.exam_id, deed.detail["rooms"], deed.actor) == (desk.exam_id, 1, "grace")
    again = await desk.call("POST", f"{desk.path}/reset")
    assert (again.status, again.json["code"]) == (409, "not_in_use")


@pytest.mark.spec("live-proctoring", 8)
async def test_a_room_that_the_service_does_not_close_is_named_and_tried_again(desk: Office) -> None:
    _, wire = await with_room(desk)
    assert (await wire.delete()).status == 200
    desk.stand_in.mood = Mood.DOWN
    answer = await desk.call("POST", f"{desk.path}/reset")
    assert answer.json["stuck_rooms"] == [
        {"subject": "Room 1", "reason": "The meeting service does not answer."}
    ]
    assert (await desk.settings())["is_in_use"]
    desk.stand_in.mood = Mood.WELL

    async def is_gone() -> bool:
        return await room_states(desk) == []

    await until(is_gone, "the sweep has closed the room")
    assert desk.stand_in.rooms == {}


async def test_who_connects_during_a_reset_gets_a_room_of_their_own(desk: Office) -> None:
    _, wire = await with_room(desk)
    assert (await wire.delete()).status == 200
    desk.stand_in.mood = Mood.DOWN
    await desk.call("POST", f"{desk.path}/reset")
    candidate = await candidate_in(desk.server, "Linear Algebra")
    await candidate.wire.ping()
    removing, fresh = await room_states(desk)
    assert removing == "removing"
    assert fresh in {"opening", "failed"}


async def test_switching_off_with_open_rooms_is_asked_for_twice(desk: Office) -> None:
    await with_room(desk)
    refused = await desk.save(enabled=False)
    assert (refused.status, refused.json["code"]) == (409, "rooms_open")
    assert (await desk.settings())["enabled"]
    answer = await desk.save(enabled=False, close_rooms=True)
    assert (answer.status, answer.json["enabled"]) == (200, False), answer.body
    assert desk.stand_in.rooms == {}
    assert await room_states(desk) == ["closed"]


async def test_the_page_asks_before_it_closes_rooms_and_keeps_what_was_typed(desk: Office) -> None:
    made, _ = await with_room(desk)
    grace = await sign_in(desk.server, "grace")
    path = f"/exams/{desk.exam_id}/proctoring"
    page = (await grace.get(path, accept="text/html")).body.decode()
    revision = page.partition('name="revision" value="')[2].partition('"')[0]
    form = {"service": "jitsi", "size_limit": "limit", "collecting_room_size": "17", "revision": revision}
    answer = await grace.post(path, form)
    page = answer.body.decode()
    assert answer.status == 409
    assert 'name="close_rooms"' in page
    assert 'value="17"' in page
    assert f'value="{made["id"]}" data-proof="ok" selected' in page, "a locked field is not sent, and stays"
    answer = await grace.post(path, form | {"close_rooms": "on"})
    assert answer.status == 303, answer.body
    settings = await desk.settings()
    assert (settings["enabled"], settings["definition_id"]) == (False, made["id"])
    assert settings["collecting_room_size"] == 17
    assert desk.stand_in.rooms == {}


async def test_rooms_made_after_switching_off_are_closed_by_the_clock(desk: Office) -> None:
    """A node that does not know yet that proctoring is off may still place somebody."""
    await with_room(desk)
    app = desk.server.app
    async with app.work() as w:
        await w.db.execute(update(exams).where(exams.c.id == desk.exam_id).values(proctoring_enabled=False))
    await app.directory.reload()

    async def is_closed() -> bool:
        return await room_states(desk) == ["closed"]

    await until(is_closed, "no room of an exam without proctoring stays open")


# --- untested ---


async def test_untested_is_switched_on_only_by_saying_so(desk: Office) -> None:
    made = await desk.jitsi()
    wish: dict[str, Any] = {"enabled": True, "service": "jitsi", "definition_id": made["id"]}
    assert fields(await desk.save(**wish)) == {"accept_unproven": "unproven"}
    off: dict[str, Any] = wish | {"enabled": False}
    stored = await desk.save(**off)
    assert stored.status == 200, "untested may be saved, but not switched on"
    assert fields(await desk.save(enabled=True)) == {"accept_unproven": "unproven"}
    answer = await desk.save(enabled=True, accept_unproven=True)
    assert answer.status == 200, answer.body
    assert answer.json["unproven_accepted_by"] == "grace"
    assert answer.json["unproven_accepted_at"]
    assert not answer.json["is_proven"]
    assert (await desk.deeds("proctoring_changed"))[-1].detail["unproven_accepted"] is True
    assert (await desk.save(collecting_room_size=3)).status == 200, "once said is enough"
    await desk.save(enabled=False)
    assert (await desk.settings())["unproven_accepted_at"] is None
    assert fields(await desk.save(enabled=True)) == {"accept_unproven": "unproven"}
    assert (await desk.call("POST", f"{desk.path}/test")).json["is_proven"]
    answer = await desk.save(enabled=True)
    assert (answer.status, answer.json["is_proven"]) == (200, True)
    assert answer.json["unproven_accepted_at"] is None


async def test_a_failed_test_proves_nothing_and_is_kept(desk: Office) -> None:
    made = await desk.jitsi(app_secret=WRONG)
    answer = await desk.call("POST", f"/api/v1/services/{made['id']}/test")
    assert not answer.json["is_proven"]
    assert [(one["step"], one["outcome"]) for one in answer.json["steps"]] == [
        ("address", "ok"),
        ("credentials", "failed"),
        ("media", "not_provable"),
    ]
    now = (await desk.call("GET", f"/api/v1/services/{made['id']}")).json
    assert now["proved_at"]
    assert not now["is_proven"]
    (deed,) = await desk.deeds("service_tested")
    assert deed.detail == {"name": "Our Jitsi", "proven": False, "failed": ["credentials"]}


async def test_what_changed_during_its_test_is_not_proven_by_it(desk: Office) -> None:
    made = await desk.jitsi()
    path = f"/api/v1/services/{made['id']}"
    desk.proofs.may_go_on.clear()
    testing = asyncio.create_task(desk.call("POST", f"{path}/test"))

    async def is_asked() -> bool:
        return bool(desk.proofs.asked)

    await until(is_asked, "the test runs")
    second = await desk.call("POST", f"{path}/test")
    assert (second.status, second.json["code"]) == (409, "test_running")
    assert (await desk.call("PATCH", path, {"values": {"app_id": "others"}})).status == 200
    desk.proofs.may_go_on.set()
    assert (await testing).status == 200
    assert not (await desk.call("GET", path)).json["is_proven"]


async def test_built_in_rooms_are_always_proven(desk: Office) -> None:
    assert (await desk.settings())["is_proven"]
    assert (await desk.call("POST", f"{desk.path}/test")).json == {"is_proven": True, "steps": []}


# --- templates, keys, rights ---


@pytest.mark.spec("live-proctoring", 10)
async def test_a_template_keeps_settings_to_be_copied(desk: Office) -> None:
    """No test is asked of a template; what is copied from it shows as not tested, and stays when the template changes."""
    made = await desk.jitsi()
    path = f"/api/v1/templates/{await desk.template()}/proctoring"
    wish = {"enabled": True, "service": "jitsi", "definition_id": made["id"], "collecting_room_size": 4}
    answer = await desk.call("PUT", path, wish)
    assert answer.status == 200, answer.body
    app = desk.server.app
    copied = ("proctoring_enabled", "service", "service_definition_id", "collecting_room_size")
    async with app.work() as w:
        row = (await w.db.execute(exam_templates.select())).one()
        values = {name: getattr(row, name) for name in copied}
        await w.db.execute(update(exams).where(exams.c.id == desk.exam_id).values(**values))
    settings = await desk.settings()
    assert (settings["enabled"], settings["is_proven"], settings["proved_at"]) == (True, False, None)
    await desk.call("PUT", path, {"enabled": False, "collecting_room_size": 50})
    assert (await desk.settings())["collecting_room_size"] == 4
    assert (await desk.deeds("template_proctoring_changed"))[0].detail["name"] == "Orals"
    assert (await desk.call("POST", f"{path}/reset")).status == 404


async def assign(desk: Office, **values: plist.PlistValue) -> None:
    """Give the exam an SEB configuration with these keys, published."""
    app, now = desk.server.app, to_ms(desk.server.app.clock.now())
    settings = exam_settings() | values
    exam = app.directory.exams[desk.exam_id]
    async with app.work() as w:
        query = insert(exam_configurations).values(
            institution_id=exam.institution_id, name="Hall", draft={}, published_version=1,
            created_at=now, changed_at=now,
        )  # fmt: skip
        made = (await w.db.execute(query.returning(exam_configurations.c.id))).scalar_one()
        await w.db.execute(
            insert(configuration_versions).values(
                {"configuration_id": made, "number": 1, "values": {}, "settings": plist.write(settings)}
                | {"config_key": "0" * 64, "published_at": now, "published_by": "grace"}
            )
        )
        await w.db.execute(
            update(exams).where(exams.c.id == exam.id).values(configuration_id=made, configuration_version=1)
        )


@pytest.mark.spec("live-proctoring", 12)
async def test_seb_settings_that_do_not_fit_are_named_with_key_and_platforms(desk: Office) -> None:
    assert (await desk.settings())["notices"] == []
    await assign(desk, browserMediaCaptureCamera=False, jitsiMeetEnable=False)
    (notice,) = (await desk.settings())["notices"]
    assert (notice["code"], notice["key"]) == ("set_for_page", "browserMediaCaptureCamera")
    assert (notice["found"], notice["needed"]) == ("false", "true")
    assert notice["platforms"] == ["macOS", "iOS"]
    assert "browserMediaCaptureCamera" in notice["message"]
    await switched_on(desk, join_by="native")
    (notice,) = (await desk.settings())["notices"]
    assert (notice["code"], notice["key"]) == ("off_for_native", "jitsiMeetEnable")
    assert notice["platforms"] == ["Windows", "iOS"]


async def test_another_institutions_service_does_not_exist(desk: Office) -> None:
    theirs = await desk.call(
        "POST", "/api/v1/services", {"name": "T", "service": "jitsi", "values": VALUES}, who="other-grace"
    )
    answer = await desk.save(enabled=True, service="jitsi", definition_id=theirs.json["id"])
    assert fields(answer) == {"definition": "unknown_definition"}
    for number in (theirs.json["id"], 999_999, 2**63, 10**25):
        assert (await desk.call("GET", f"/api/v1/services/{number}")).status == 404
        assert (await desk.call("GET", f"/api/v1/templates/{number}/proctoring")).status == 404


async def test_a_service_that_is_used_is_not_deleted(desk: Office) -> None:
    made = await desk.jitsi()
    path = f"/api/v1/services/{made['id']}"
    await desk.save(enabled=False, service="jitsi", definition_id=made["id"])
    refused = await desk.call("DELETE", path)
    assert (refused.status, refused.json["code"]) == (409, "definition_used")
    assert "Linear Algebra" in refused.json["message"]
    await desk.save(service="builtin")
    assert (await desk.call("DELETE", path)).status == 204
    assert (await desk.call("GET", path)).status == 404


async def test_two_who_edit_at_once_are_told(desk: Office) -> None:
    before = await desk.settings()
    assert (await desk.save(collecting_room_size=8, revision=before["revision"])).status == 200
    second = await desk.save(collecting_room_size=9, revision=before["revision"])
    assert (second.status, second.json["code"]) == (409, "changed_meanwhile")
    made = await desk.jitsi()
    path = f"/api/v1/services/{made['id']}"
    assert (await desk.call("PATCH", path, {"name": "One", "revision": 0})).status == 200
    assert (await desk.call("PATCH", path, {"name": "Two", "revision": 0})).status == 409


async def test_an_archived_exam_is_only_looked_at(desk: Office) -> None:
    app = desk.server.app
    async with app.work() as w:
        query = update(exams).where(exams.c.id == desk.exam_id)
        await w.db.execute(query.values(archived_at=to_ms(app.clock.now())))
    path = desk.path
    settings = (await desk.call("GET", path)).json
    assert not settings["may_change"]
    for method, where in (("PUT", path), ("POST", f"{path}/reset")):
        answer = await desk.call(method, where, {} if method == "PUT" else None)
        assert (answer.status, answer.json["code"]) == (409, "archived")


async def test_each_change_is_on_record_with_what_was_before(desk: Office) -> None:
    await desk.save(collecting_room_size=7)
    await desk.save(collecting_room_size=7)
    (deed,) = await desk.deeds("proctoring_changed")
    assert deed.detail["changed"] == {"collecting_room_size": [5, 7]}
    assert (deed.actor, deed.exam_id) == ("grace", desk.exam_id)


async def test_texts_no_database_holds_are_refused(desk: Office) -> None:
    for text in ("a\0b", "\ud800", "x" * 300, "line\nbreak"):
        body = {"name": text, "service": "jitsi", "values": VALUES | {"app_id": text}}
        assert (await desk.call("POST", "/api/v1/services", body)).status == 400
    body = {"name": "J", "service": "jitsi", "values": VALUES | {"no\0field": "x"}}
    assert fields(await desk.call("POST", "/api/v1/services", body)) == {"values": "unknown"}


async def test_who_goes_away_during_a_test_ends_it(desk: Office) -> None:
    """Nothing is left behind at the service, nothing half is kept, and the next test may begin."""
    made = await desk.jitsi()
    grace = await sign_in(desk.server, "grace")
    desk.proofs.may_go_on.clear()
    headers = {"Cookie": grace.cookie, "X-CSRFToken": grace.cookies["csrftoken"]}
    headers |= {"Accept": "application/x-ndjson"}
    url = f"{desk.server.url}/services/{made['id']}/test"
    async with aiohttp.ClientSession() as session, session.post(url, headers=headers) as response:
        assert response.status == 200
        assert json.loads(await response.content.readline())["outcome"] == "ok"
    desk.proofs.may_go_on.set()

    async def has_left() -> bool:
        return desk.proofs.left == 1

    await until(has_left, "the test has ended")

    async def may_test_again() -> bool:
        return (await desk.call("POST", f"/api/v1/services/{made['id']}/test")).status == 200

    await until(may_test_again, "another may begin")
    assert (await desk.call("GET", f"/api/v1/services/{made['id']}")).json["is_proven"]
