"""The 61 checks of seb-client-api.md §9, each through the real server."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select, update

from invigilo.clock import SetClock
from invigilo.exams.directory import directory_changed
from invigilo.monitoring.model import ConnectionState, InstructionType
from invigilo.sebconfig import container
from invigilo.storage.queries import connections as queries
from invigilo.storage.tables import client_connections, connection_configurations, exams
from tests.server import BASIC, SET_UP, SebWire, Server, form_headers, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _spec(*numbers: int):
    return pytest.mark.spec("seb-client-api", *numbers)


# --- discovery and token ---


@_spec(1, 2)
async def test_discovery_is_complete_without_credentials(server: Server) -> None:
    answer = await server.request("GET", "/exam-api/discovery")
    assert answer.status == 200
    document = answer.json
    assert {"title", "description", "server-location", "api-versions"} <= document.keys()
    version = document["api-versions"][0]
    assert version["name"] == "v1"
    names = [endpoint["name"] for endpoint in version["endpoints"]]
    assert sorted(names) == [
        "access-token-endpoint",
        "seb-configuration-endpoint",
        "seb-handshake-endpoint",
        "seb-log-endpoint",
        "seb-ping-endpoint",
    ]
    for endpoint in version["endpoints"]:
        assert all(isinstance(value, str) and value for value in endpoint.values())
        assert re.match(r"^/[^/]", endpoint["location"])
        assert endpoint["authorization"] in {"Basic", "Bearer"}


async def test_a_doubled_slash_is_the_same_path(server: Server) -> None:
    assert (await server.request("GET", "//exam-api/discovery")).status == 200


@_spec(3, 4)
async def test_token_request_with_a_literal_blank(server: Server) -> None:
    answer = await server.request(
        "POST",
        "/oauth/token",
        headers={"Authorization": BASIC, "Content-Type": "application/x-www-form-urlencoded"},
        body="grant_type=client_credentials&scope=read write",
    )
    assert answer.status == 200
    for key in ("access_token", "token_type", "scope", "jti"):
        assert isinstance(answer.json[key], str)
    assert isinstance(answer.json["expires_in"], int)
    assert answer.json["expires_in"] >= 43200 - 60


@_spec(5)
@pytest.mark.parametrize(
    "basic", ["Basic bGFiLXBjczp3cm9uZw==", "Basic ????", "Bearer x", "Basic bm9ib2R5OnNlY3JldA=="]
)
async def test_a_wrong_secret_is_never_called_an_invalid_token(server: Server, basic: str) -> None:
    answer = await server.request("POST", "/oauth/token", headers={"Authorization": basic})
    assert answer.status == 401
    assert answer.json["error"] == "invalid_client"


@_spec(6)
async def test_two_tokens_are_both_usable(server: Server) -> None:
    first, second = await server.bearer(), await server.bearer()
    assert first != second
    assert (await server.create(second)).status == 200
    assert (await server.create(first)).status == 200


# --- authentication ---


@_spec(7, 8)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/exam-api/v1/handshake"),
        ("PATCH", "/exam-api/v1/handshake"),
        ("PUT", "/exam-api/v1/handshake"),
        ("DELETE", "/exam-api/v1/handshake"),
        ("GET", "/exam-api/v1/examconfig"),
        ("POST", "/exam-api/v1/sebping"),
        ("POST", "/exam-api/v1/seblog"),
    ],
)
async def test_a_bad_token_is_refused_everywhere(server: Server, method: str, path: str) -> None:
    garbled = await server.request(
        method, path, headers={"Authorization": "Bearer garbled", "SEBConnectionToken": "x"}
    )
    assert garbled.status == 401
    assert garbled.json["error"] == "invalid_token"
    assert 'error="invalid_token"' in garbled.headers["www-authenticate"]
    missing = await server.request(method, path, headers={"SEBConnectionToken": "x"})
    assert missing.status == 401
    assert missing.json["error"] != "invalid_token"


@_spec(7)
async def test_an_expired_token_is_invalid(tmp_path: Path) -> None:
    clock = SetClock(datetime(2026, 3, 2, 8, 0, tzinfo=UTC))
    async with running(tmp_path, clock=clock) as server:
        wire = await server.connect()
        clock.move(timedelta(seconds=172_801))
        answer = await wire.ping()
        assert answer.status == 401
        assert answer.json["error"] == "invalid_token"


@_spec(9)
async def test_a_token_of_a_deactivated_configuration_stops_working(own_server: Server) -> None:
    server = own_server
    wire = await server.connect()
    async with server.app.work() as w:
        await w.db.execute(update(connection_configurations).values(is_active=False))
        await directory_changed(w)
    async with asyncio.timeout(60):
        while (answer := await wire.ping()).status != 401:
            pass
    assert answer.json["error"] == "invalid_token"
    refused = await server.request("POST", "/oauth/token", headers={"Authorization": BASIC})
    assert refused.json["error"] == "invalid_client"


# --- create ---


@_spec(10, 11)
async def test_create_lists_the_running_exams(server: Server) -> None:
    wire = await server.connect()
    assert re.fullmatch(r"[!-~]+", wire.token)
    (exam,) = wire.created.json
    assert exam.keys() >= {"examId", "name", "url", "lmsType"}
    assert all(isinstance(value, str) and value for value in exam.values())
    assert exam["url"].startswith(server.url + "/e/")


@_spec(12)
async def test_create_with_an_exam_gives_just_that_one_and_its_salt(server: Server) -> None:
    exam_id = await server.exam_id()
    wire = await server.connect(f"examId={exam_id}")
    assert [exam["examId"] for exam in wire.created.json] == [exam_id]
    assert re.match(r"^([0-9a-f]{2})+$", wire.created.headers["sebexamsalt"])


@_spec(13)
@pytest.mark.parametrize("exam", ["999", "abc", "-1", "1" * 40, "١"])
async def test_create_with_an_exam_that_is_not_running_is_refused(server: Server, exam: str) -> None:
    answer = await server.create(await server.bearer(), f"examId={exam}")
    assert answer.status == 400
    assert answer.json[0]["messageCode"] == "1010"
    assert "sebconnectiontoken" not in answer.headers


@_spec(14)
async def test_create_with_a_foreign_institution_is_refused(server: Server) -> None:
    bearer = await server.bearer()
    for form in ("institutionId=4711", "", "institutionId="):
        answer = await server.request(
            "POST", "/exam-api/v1/handshake", headers=form_headers(bearer), body=form
        )
        assert answer.status == 400
        assert answer.json[0]["messageCode"] == "1010"


@_spec(15)
async def test_create_without_a_running_exam_lists_none(tmp_path: Path) -> None:
    text = SET_UP.replace("2036-01-01", "2026-01-01")
    async with running(tmp_path, text=text) as server:
        answer = await server.create(await server.bearer())
        assert answer.status == 200
        assert answer.body == b"[]"
        assert answer.headers["sebconnectiontoken"]


@_spec(16)
async def test_unescaped_device_names_arrive_whole(server: Server) -> None:
    wire = await server.connect(
        "seb_machine_name=Zoë’s MacBook, 50%&client_id=zoë&seb_os_name=macOS Version 14.5 (Build 23F79)"
    )
    assert wire.live.device.machine_name == "Zoë’s MacBook, 50%"
    assert wire.live.device.os_name == "macOS Version 14.5 (Build 23F79)"


@_spec(17)
async def test_every_create_is_a_new_connection(server: Server) -> None:
    bearer = await server.bearer()
    tokens = {(await server.create(bearer)).headers["sebconnectiontoken"] for _ in range(2)}
    assert len(tokens) == 2


@_spec(18)
async def test_extra_and_repeated_parameters_are_ignored(server: Server) -> None:
    wire = await server.connect("colour=blue&colour=red&&=x&institutionId=999")
    assert wire.created.status == 200


async def test_form_parameters_may_stand_in_the_query(server: Server) -> None:
    bearer = await server.bearer()
    path = f"/exam-api/v1/handshake?institutionId={await server.institution()}"
    answer = await server.request("POST", path, headers={"Authorization": bearer})
    assert answer.status == 200


# --- configuration ---


@_spec(19, 20)
async def test_the_settings_file_is_readable_binds_the_exam_and_stays_the_same(server: Server) -> None:
    wire = await server.connect()
    first = await wire.configuration()
    assert first.status == 200
    settings = container.decode(first.body).settings
    assert settings["sebConfigPurpose"] == 0
    assert settings["browserMediaCaptureCamera"] is True
    assert "startURL" not in settings
    assert wire.live.exam_id == int(await server.exam_id())
    again = await wire.configuration(None)
    assert again.body == first.body
    other = await server.connect()
    assert (await other.configuration()).body == first.body


@_spec(21)
async def test_without_an_exam_there_is_no_settings_file(server: Server) -> None:
    wire = await server.connect()
    answer = await wire.configuration(None)
    assert answer.status >= 400
    assert answer.json[0]["messageCode"] == "0"


@_spec(22)
async def test_another_exam_than_the_bound_one_is_refused(tmp_path: Path) -> None:
    second = (
        SET_UP.split("[[institution.connection]]")[0]
        .split("[[institution.exam]]")[1]
        .replace("Linear Algebra", "Analysis")
    )
    text = SET_UP.replace(
        "[[institution.connection]]", "[[institution.exam]]" + second + "[[institution.connection]]"
    )
    async with running(tmp_path, text=text) as server:
        first, other = sorted(server.app.directory.exams)
        wire = await server.connect()
        assert len(wire.created.json) == 2
        assert (await wire.configuration(str(first))).status == 200
        assert (await wire.configuration(str(other))).status >= 400
        assert (await wire.patch(f"examId={other}")).status == 400
        assert wire.live.exam_id == first


# --- update and establish ---


@_spec(23)
async def test_select_returns_salt_and_server_key(own_server: Server) -> None:
    server = own_server
    async with server.app.work() as w:
        await w.db.execute(update(exams).values(browser_exam_key="ab" * 32))
    await server.app.directory.reload()
    wire = await server.connect()
    answer = await wire.patch(f"examId={await server.exam_id()}")
    assert 200 <= answer.status < 300
    assert answer.body == b""
    assert re.match(r"^([0-9a-f]{2})+$", answer.headers["sebexamsalt"])
    assert answer.headers["sebserverbek"] == "ab" * 32


@_spec(24)
@pytest.mark.parametrize(
    "body", ["seb_signature_key=", "seb_signature_key=zz", "seb_signature_key=" + "ab" * 40, ""]
)
async def test_a_signature_key_alone_is_accepted_whatever_it_is(server: Server, body: str) -> None:
    wire = await server.connect()
    assert (await wire.patch(f"examId={await server.exam_id()}")).status == 200
    assert (await wire.patch(body)).status == 200


@_spec(25, 27)
async def test_establishing_without_body_and_content_type(server: Server) -> None:
    wire = await server.connect()
    await wire.configuration()
    answer = await wire.put(None)
    assert 200 <= answer.status < 300
    assert wire.live.state is ConnectionState.READY
    assert answer.headers["sebexamsalt"]


@_spec(26)
async def test_old_clients_establish_with_the_user_in_one_step(server: Server) -> None:
    wire = await server.connect()
    await wire.configuration()
    assert wire.live.state is ConnectionState.REQUESTED
    answer = await wire.put(f"examId={await server.exam_id()}&seb_user_session_id=lea")
    assert answer.status == 200
    assert wire.live.state is ConnectionState.ACTIVE


@_spec(28)
async def test_a_user_makes_active_only_what_is_established(server: Server) -> None:
    exam = await server.exam_id()
    ready = await server.ready()
    await ready.patch(f"examId={exam}&seb_user_session_id=lea")
    assert ready.live.state is ConnectionState.ACTIVE
    early = await server.connect()
    await early.patch(f"examId={exam}&seb_user_session_id=tom")
    assert early.live.state is ConnectionState.REQUESTED
    await early.put("")
    assert early.live.state is ConnectionState.ACTIVE


@_spec(29)
async def test_establishing_without_an_exam_is_refused(server: Server) -> None:
    wire = await server.connect()
    answer = await wire.put("")
    assert answer.status == 400
    assert answer.json[0]["messageCode"] == "1010"


@_spec(30)
async def test_an_unknown_connection_token_is_not_found(server: Server) -> None:
    wire = await server.connect()
    wire.token = "nobody"
    for answer in (await wire.patch("examId=1"), await wire.put("examId=1")):
        assert answer.status == 404
        assert answer.json[0]["messageCode"] == "1002"


@_spec(31)
async def test_a_closed_connection_is_refused_and_told_to_quit(server: Server) -> None:
    wire = await server.ready()
    await wire.delete()
    answer = await wire.patch("seb_user_session_id=lea")
    assert answer.status == 400
    assert answer.json[0]["messageCode"] == "1010"
    ping = await wire.ping()
    assert ping.status == 200
    assert ping.json["instruction"] == "SEB_QUIT"
    assert (await wire.ping()).status == 204


@_spec(32)
async def test_odd_devices_are_flagged_and_not_refused(server: Server) -> None:
    wire = await server.connect("seb_version=0.0.0.1-junk")
    await wire.configuration()
    assert (await wire.put("seb_signature_key=abcd")).status == 200
    assert "unreadable_signature" in wire.live.flags


@_spec(33)
async def test_a_correct_signature_key_is_understood(server: Server) -> None:
    wire = await server.connect()
    selected = await wire.patch(f"examId={await server.exam_id()}")
    key = hashlib.pbkdf2_hmac(
        "sha1", wire.token.encode(), bytes.fromhex(selected.headers["sebexamsalt"]), 1024, 32
    )
    iv = secrets.token_bytes(16)
    sealed = iv + AESGCM(key).encrypt(iv, b"the app's signature", None)
    assert (await wire.put(f"seb_signature_key={sealed.hex()}")).status == 200
    assert "unreadable_signature" not in wire.live.flags


@_spec(34)
async def test_a_strange_user_id_is_accepted(server: Server) -> None:
    wire = await server.ready()
    answer = await wire.patch('seb_user_session_id=</script>’"สมชาย & 100%')
    assert answer.status == 200
    assert wire.live.state is ConnectionState.ACTIVE
    assert wire.live.user_session_id == '</script>’"สมชาย'


async def test_a_second_user_is_shown_beside_the_first(server: Server) -> None:
    wire = await server.ready()
    await wire.patch("seb_user_session_id=lea")
    await wire.patch("seb_user_session_id=tom")
    await wire.patch("seb_user_session_id=lea")
    assert wire.live.user_session_id == "tom | lea"
    assert wire.live.state is ConnectionState.ACTIVE


# --- pings and instructions ---


@_spec(35)
async def test_a_fresh_connection_pings(server: Server) -> None:
    answer = await (await server.connect()).ping()
    assert answer.status == 204
    assert answer.body == b""


@_spec(36)
async def test_unknown_connections_ping_into_the_void(server: Server) -> None:
    wire = await server.connect()
    wire.token = "nobody"
    assert (await wire.ping()).status == 204
    bare = await server.request("POST", "/exam-api/v1/sebping", headers={"Authorization": wire.bearer})
    assert bare.status == 204


@_spec(37, 38, 44)
async def test_instructions_travel_one_per_ping_with_text_values(tmp_path: Path) -> None:
    async with running(tmp_path, clock=SetClock(datetime(2026, 3, 2, 8, 0, tzinfo=UTC))) as server:
        await _instructions_travel(server)


async def _instructions_travel(server: Server) -> None:
    wire = await server.ready()
    for type_, attributes in [
        (InstructionType.LOCK_SCREEN, {"message": "Please wait"}),
        (InstructionType.NOTIFICATION_CONFIRM, {"type": "raisehand", "id": "3"}),
        (InstructionType.PROCTORING, {"service-type": "JITSI_MEET", "method": "JOIN"}),
        (InstructionType.RECONFIGURE, {"jitsiMeetReceiveAudio": "true"}),
    ]:
        await server.app.connections.send(wire.live, type_, attributes)
    seen = [(await wire.ping()).json for _ in range(3)]
    # What changes a place keeps its order: the next step is not sent before the client has confirmed the one before.
    assert (await wire.ping()).status == 204
    seen.append((await wire.ping(confirm=seen[2]["attributes"]["instruction-confirm"])).json)
    assert [one["instruction"] for one in seen] == [
        "SEB_FORCE_LOCK_SCREEN",
        "NOTIFICATION_CONFIRM",
        "SEB_PROCTORING",
        "SEB_RECONFIGURE_SETTINGS",
    ]
    for one in seen:
        assert all(isinstance(value, str) for value in one["attributes"].values())
    confirms = ["instruction-confirm" in one["attributes"] for one in seen]
    assert confirms == [False, False, True, True]
    assert (await wire.ping()).status == 204


@_spec(39)
async def test_an_unconfirmed_instruction_is_delivered_once(server: Server) -> None:
    wire = await server.ready()
    await server.app.connections.send(wire.live, InstructionType.QUIT, {})
    answer = await wire.ping()
    assert answer.json == {"instruction": "SEB_QUIT", "attributes": {}}
    assert (await wire.ping()).status == 204


@_spec(40, 41, 42)
async def test_a_join_is_resent_until_confirmed(tmp_path: Path) -> None:
    clock = SetClock(datetime(2026, 3, 2, 8, 0, tzinfo=UTC))
    async with running(tmp_path, clock=clock) as server:
        wire = await server.ready()
        await server.app.connections.send(wire.live, InstructionType.PROCTORING, {"method": "JOIN"})
        first = (await wire.ping()).json
        assert (await wire.ping()).status == 204
        clock.move(timedelta(seconds=4.9))
        assert (await wire.ping()).status == 204
        clock.move(timedelta(seconds=0.2))
        again = (await wire.ping()).json
        assert again == first
        confirm = again["attributes"]["instruction-confirm"]
        clock.move(timedelta(seconds=6))
        assert (await wire.ping(confirm="999999")).status == 200
        clock.move(timedelta(seconds=6))
        assert (await wire.ping(confirm=confirm)).status == 204
        clock.move(timedelta(seconds=6))
        assert (await wire.ping(confirm=confirm)).status == 204
        await server.app.connections.send(wire.live, InstructionType.PROCTORING, {"method": "JOIN"})
        clock.move(timedelta(seconds=61))
        assert (await wire.ping()).status == 204


@_spec(43)
async def test_the_eleventh_instruction_drops_the_oldest(server: Server) -> None:
    wire = await server.ready()
    for number in range(11):
        await server.app.connections.send(wire.live, InstructionType.LOCK_SCREEN, {"message": str(number)})
    seen = [(await wire.ping()).json["attributes"]["message"] for _ in range(10)]
    assert seen == [str(n) for n in range(1, 11)]
    assert (await wire.ping()).status == 204


@_spec(48)
async def test_a_disabled_connection_is_told_to_quit(tmp_path: Path) -> None:
    clock = SetClock(datetime(2026, 3, 2, 8, 0, tzinfo=UTC))
    async with running(tmp_path, clock=clock) as server:
        wire = await server.ready()
        await wire.ping()
        clock.move(timedelta(seconds=16))
        await server.app.connections.disable(wire.live)
        assert (await wire.ping()).json["instruction"] == "SEB_QUIT"
        assert (await wire.ping()).status == 204
        clock.move(timedelta(seconds=5))
        assert (await wire.ping()).json["instruction"] == "SEB_QUIT"


@_spec(48)
async def test_after_the_exam_everybody_is_told_to_quit(tmp_path: Path) -> None:
    clock = SetClock(datetime(2026, 3, 2, 8, 0, tzinfo=UTC))
    async with running(tmp_path, clock=clock, text=SET_UP.replace("2036-01-01", "2026-03-02")) as server:
        wire = await server.ready()
        assert (await wire.ping()).status == 204
        clock.move(timedelta(hours=5))
        assert (await wire.ping()).json["instruction"] == "SEB_QUIT"


# --- events ---


@_spec(49)
@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "INFO_LOG", "timestamp": 1, "text": "fine"}',
        b"{not json",
        b"",
        b"[]",
        b"null",
        b'{"type": "NO_SUCH_TYPE"}',
        b'{"type": 7}',
        b'{"type": "INFO_LOG", "numericValue": 1e400}',
        b'{"type": "NOTIFICATION", "numericValue": -1, "text": "<raisehand>"}',
        b'{"type": "INFO_LOG", "text": "' + b"x" * 1_000_000 + b'"}',
        b'{"type": "INFO_LOG", "text": "\\ud800"}',
        b"\xff\xfe",
        b"[" * 5000,
    ],
)
async def test_every_event_is_answered_204(server: Server, body: bytes) -> None:
    wire = await server.ready()
    assert (await wire.log(body)).status == 204
    wire.token = "nobody"
    assert (await wire.log(body)).status == 204


async def _events(wire: SebWire) -> list[tuple[int | None, str]]:
    app = wire.server.app
    await app.writer.flush()
    async with app.reading() as w:
        return [(row.client_time, row.text) for row in await queries.events_of(w.db, wire.live.id)]


@_spec(50)
async def test_timestamps_as_number_and_as_text_are_stored_alike(server: Server) -> None:
    wire = await server.ready()
    await wire.log({"type": "INFO_LOG", "timestamp": 1764064800123, "text": "a"})
    await wire.log({"type": "INFO_LOG", "timestamp": "1764064800123", "text": "b", "numericValue": 0})
    assert await _events(wire) == [(1764064800123, "a"), (1764064800123, "b")]


@_spec(51)
async def test_long_texts_are_cut_and_emoji_survive(server: Server) -> None:
    wire = await server.ready()
    await wire.log({"type": "INFO_LOG", "timestamp": 1, "text": "🎓" + "x" * 600})
    ((_, text),) = await _events(wire)
    assert text.startswith("🎓")
    assert len(text) == 512


@_spec(52)
async def test_battery_and_wlan_are_indicators(server: Server) -> None:
    wire = await server.ready()
    await wire.log(
        {"type": "INFO_LOG", "timestamp": 1, "numericValue": 81, "text": "<battery> Discharging at 81%"}
    )
    await wire.log({"type": "INFO_LOG", "timestamp": 1, "numericValue": 74.5, "text": "<wlan> Lab, 74%"})
    assert (wire.live.battery, wire.live.wlan, wire.live.wlan_connected) == (81, 74.5, True)
    await wire.log({"type": "INFO_LOG", "timestamp": 1, "text": "<wlan> not connected"})
    assert wire.live.wlan_connected is False


@_spec(53, 54)
async def test_hands_are_raised_once_and_lowered_by_number(server: Server) -> None:
    wire = await server.ready()
    hand = {"type": "NOTIFICATION", "timestamp": 1, "numericValue": 1, "text": "<raisehand> Question 3"}
    await wire.log(hand)
    await wire.log(hand)
    assert [n.text for n in wire.live.notifications.values()] == ["Question 3"]
    await wire.log({"type": "NOTIFICATION_CONFIRMED", "timestamp": 1, "numericValue": 99})
    assert len(wire.live.notifications) == 1
    await wire.log({"type": "NOTIFICATION_CONFIRMED", "timestamp": 1, "numericValue": 1})
    assert not wire.live.notifications
    await wire.log(hand)
    assert len(wire.live.notifications) == 1


@_spec(55)
async def test_a_proctor_confirms_a_hand(server: Server) -> None:
    wire = await server.ready()
    await wire.log({"type": "NOTIFICATION", "timestamp": 1, "numericValue": 3, "text": "<raisehand>"})
    await server.app.connections.confirm_notification(wire.live, 3, by=1)
    assert not wire.live.notifications
    assert (await wire.ping()).json == {
        "instruction": "NOTIFICATION_CONFIRM",
        "attributes": {"type": "raisehand", "id": "3"},
    }
    assert (
        await wire.log({"type": "NOTIFICATION_CONFIRMED", "timestamp": 1, "numericValue": 3})
    ).status == 204


@_spec(56)
async def test_a_forced_lock_is_seen_and_lifted(server: Server) -> None:
    wire = await server.ready()
    await server.app.connections.send(wire.live, InstructionType.LOCK_SCREEN, {"message": "Stop"})
    assert (await wire.ping()).json["attributes"] == {"message": "Stop"}
    await wire.log({"type": "NOTIFICATION", "timestamp": 1, "numericValue": 4, "text": "<lockscreen> Stop"})
    assert [n.kind.value for n in wire.live.notifications.values()] == ["lockscreen"]
    await server.app.connections.confirm_notification(wire.live, 4, by=1)
    assert (await wire.ping()).json["attributes"] == {"type": "lockscreen", "id": "4"}
    await wire.log({"type": "NOTIFICATION_CONFIRMED", "timestamp": 1, "numericValue": 4})
    assert not wire.live.notifications


# --- end ---


@_spec(57, 58)
async def test_leaving_twice_is_quiet_and_late_messages_are_swallowed(server: Server) -> None:
    wire = await server.ready()
    assert 200 <= (await wire.delete("delete=true")).status < 300
    assert 200 <= (await wire.delete(None)).status < 300
    assert (await wire.ping()).status == 204
    assert (await wire.log({"type": "INFO_LOG", "timestamp": 1, "text": "late"})).status == 204
    assert wire.live.state is ConnectionState.CLOSED
    wire.token = "nobody"
    assert 200 <= (await wire.delete()).status < 300


@_spec(59)
async def test_a_missing_ping_is_flagged_and_cleared(tmp_path: Path) -> None:
    clock = SetClock(datetime(2026, 3, 2, 8, 0, tzinfo=UTC))
    async with running(tmp_path, clock=clock) as server:
        wire = await server.ready()
        exam = next(iter(server.app.directory.exams.values()))
        await wire.ping()
        assert server.app.stream.judged(exam, wire.live)["missing"] is False
        clock.move(timedelta(seconds=15))
        row = server.app.stream.judged(exam, wire.live)
        assert (row["missing"], row["seb"]) == (True, "missing")
        await wire.ping()
        assert server.app.stream.judged(exam, wire.live)["missing"] is False


async def test_nothing_unexpected_is_a_500(server: Server) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "BREW"):
        for path in ("/exam-api/v1/handshake", "/exam-api/v1/nothing", "/oauth/token", "/exam-api/discovery"):
            answer = await server.request(
                method, path, headers={"Authorization": "Basic x"}, body=b"\x00&=%&%zz=\xff"
            )
            assert answer.status < 500, (method, path, answer.body)


async def test_no_answer_names_a_secret(server: Server) -> None:
    """Tokens are in the database only as digests."""
    wire = await server.connect()
    async with server.app.reading() as w:
        rows = list(await w.db.execute(select(client_connections)))
    assert rows
    assert wire.token not in json.dumps([[str(value) for value in row] for row in rows])
