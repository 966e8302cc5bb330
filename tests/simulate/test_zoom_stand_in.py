"""The Zoom stand-in against zoom.md's tables, by plain HTTP: nothing here knows the provider that will meet it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from invigilo.simulate.zoom import ZoomMood, ZoomStandIn, zoom_stand_in
from invigilo.simulate.zoom_reports import signature
from invigilo.simulate.zoom_rules import JoinRefused, Seed, User, check_signature

KNOWN = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
    "eyJhcHBLZXkiOiJzZGsta2V5LTEiLCJzZGtLZXkiOiJzZGsta2V5LTEiLCJtbiI6IjkxMjM0NTY3ODkwIiwicm9sZSI6MCwiaWF0IjoxNzY3MjI1NjAwLCJl"
    "eHAiOjE3NjcyNjg4MDAsInRva2VuRXhwIjoxNzY3MjY4ODAwfQ.Onq7DB2LFOC2uuYS5eqoMdHjy2UfNWXHTXcMSQ3ElRM"
)
"""zoom.md §4.1."""


class Zoom:
    """Somebody who speaks to it."""

    def __init__(self, stand_in: ZoomStandIn, http: aiohttp.ClientSession) -> None:
        self.stand_in = stand_in
        self.http = http
        self.token = ""

    async def ask_token(self, **more: str) -> tuple[int, dict[str, Any]]:
        seed = self.stand_in.seed
        form = {"grant_type": "account_credentials", "account_id": seed.account_id} | more
        pair = f"{form.pop('client_id', seed.client_id)}:{form.pop('client_secret', seed.client_secret)}"
        headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        async with self.http.post(f"{self.stand_in.url}/oauth/token", data=form, headers=headers) as answer:
            body = await answer.json()
            self.token = body.get("access_token", self.token)
            return answer.status, body

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any, Any]:
        if not self.token:
            await self.ask_token()
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.http.request(
            method, f"{self.stand_in.url}/v2{path}", json=body, headers=headers, **more
        ) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None, answer.headers

    async def create(self, host: str = "zu1", **more: Any) -> dict[str, Any]:
        settings = {"join_before_host": True, "waiting_room": False, "mute_upon_entry": True} | more.pop(
            "settings", {}
        )
        wish = {"topic": "Room 1", "type": 2, "password": "Ab3xYz9Qw2", "settings": settings} | more
        status, body, _ = await self.call("POST", f"/users/{host}/meetings", wish)
        assert status == 201, body
        return body

    def signed(self, number: int, *, role: int = 0, life: int = 7_200, secret: str = "", **more: Any) -> str:
        seed, now = self.stand_in.seed, int(self.stand_in.clock.now())
        claims = {
            "appKey": seed.sdk_key, "sdkKey": seed.sdk_key, "mn": str(number), "role": role, "iat": now - 30,
            "exp": now - 30 + life, "tokenExp": now - 30 + life,
        } | more  # fmt: skip
        parts = [{"alg": "HS256", "typ": "JWT"}, {k: v for k, v in claims.items() if v is not None}]
        signed = ".".join(
            base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts
        )
        mac = hmac.new((secret or seed.sdk_secret).encode(), signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"

    def join(self, meeting: dict[str, Any], **more: Any) -> dict[str, Any]:
        wish = {
            "signature": self.signed(meeting["id"], role=more.pop("role", 0)),
            "meetingNumber": str(meeting["id"]),
            "userName": "Lea",
            "passcode": meeting["password"],
            "sdkVersion": "6.2.0",
        } | more
        return self.stand_in.ctl_join(wish)


@pytest.fixture
async def zoom() -> AsyncIterator[Zoom]:
    async with AsyncExitStack() as stack:
        seed = Seed(limits={"medium": (1_000.0, None), "light": (1_000.0, None)})
        stand_in = await stack.enter_async_context(zoom_stand_in(seed))
        yield Zoom(stand_in, await stack.enter_async_context(aiohttp.ClientSession()))


def test_the_known_signature_is_accepted() -> None:
    assert check_signature(KNOWN, number="91234567890", sdk="6.2.0", seed=Seed(), now=1_767_230_000) == 0
    with pytest.raises(JoinRefused) as late:
        check_signature(KNOWN, number="91234567890", sdk="6.2.0", seed=Seed(), now=1_767_268_801)
    assert late.value.code == 3705


def test_the_known_webhook_signature() -> None:
    """zoom.md §5."""
    body = (
        b'{"event":"meeting.ended","event_ts":1767229200000,"payload":{"account_id":"acc1","object":{"id":"91234567890",'
        b'"uuid":"abc==","host_id":"host1","topic":"Room 1","type":2,"start_time":"2026-01-01T00:00:00Z","timezone":"UTC",'
        b'"duration":60,"end_time":"2026-01-01T01:00:00Z"}}}'
    )
    known = "v0=230adf2b50d28bcf682444624202939f6527c2dec97aedca3e0acab64066329b"
    assert signature("hook-secret-1", "1767229201", body) == known


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "sdk-key-1", "client_secret": "sdk-secret-1"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"account_id": "acc-9"}, "invalid_request"),
    ],
)
async def test_a_wrong_token_call_is_a_400_with_its_error(
    zoom: Zoom, more: dict[str, str], error: str
) -> None:
    status, body = await zoom.ask_token(**more)
    assert (status, body["error"]) == (400, error)


async def test_a_token_is_long_opaque_and_ends(zoom: Zoom) -> None:
    status, body = await zoom.ask_token()
    assert status == 200
    assert len(body["access_token"]) >= 600
    assert body["expires_in"] == 3_599
    assert (await zoom.call("GET", "/users/zu1"))[0] == 200
    zoom.stand_in.clock.advance(3_600)
    status, body, _ = await zoom.call("GET", "/users/zu1")
    assert (status, body["code"]) == (401, 124)


async def test_a_missing_scope_is_named_and_the_old_one_will_do(zoom: Zoom) -> None:
    zoom.stand_in.seed.scopes = ("user:read:user:admin", "meeting:write:admin")
    status, body, _ = await zoom.call("GET", "/users/zu1/meetings")
    assert (status, body["code"]) == (400, 4711)
    assert "meeting:read:list_meetings:admin" in body["message"]
    assert (await zoom.create())["id"] > 2**31


async def test_a_create_is_checked_and_what_zoom_ignores_is_remembered(zoom: Zoom) -> None:
    made = await zoom.create(settings={"private_chat": False}, agenda="x")
    assert zoom.stand_in.api.ignored == ["settings.private_chat"]
    assert made["settings"]["join_before_host"] is True
    assert "zak=" in made["start_url"]
    for wrong in (
        {"password": "x" * 11},
        {"duration": 0},
        {"settings": {"audio": "loud"}},
        {"start_time": "soon"},
    ):
        status, body, _ = await zoom.call("POST", "/users/zu1/meetings", {"topic": "x", **wrong})
        assert (status, body["code"]) == (400, 300)
        assert body["errors"]
    assert (await zoom.call("POST", "/users/nobody/meetings", {}))[1]["code"] == 1001


async def test_limits_a_second_and_a_day_and_for_a_host(zoom: Zoom) -> None:
    zoom.stand_in.clock.fixed = 1_767_225_600.0
    zoom.stand_in.api.rates.buckets["light"].rate = 2.0
    zoom.stand_in.api.rates.buckets["light"].level = 2.0
    zoom.stand_in.api.rates.buckets["light"].at = zoom.stand_in.clock.now()
    await zoom.ask_token()
    answers = [await zoom.call("GET", "/users/zu1") for _ in range(3)]
    assert [status for status, _, _ in answers] == [200, 200, 429]
    assert answers[2][2]["X-RateLimit-Type"] == "QPS"
    assert "Retry-After" not in answers[2][2]
    zoom.stand_in.clock.advance(1.0)
    zoom.stand_in.api.rates.buckets["light"].daily = 3
    assert (await zoom.call("GET", "/users/zu1"))[0] == 200
    status, _, headers = await zoom.call("GET", "/users/zu1")
    assert (status, headers["X-RateLimit-Type"], headers["Retry-After"]) == (
        429,
        "Daily-limit",
        "2026-01-02T00:00:00Z",
    )
    for _ in range(100):
        await zoom.create()
    status, body, headers = await zoom.call("POST", "/users/zu1/meetings", {"topic": "one more"})
    assert (status, body["code"]) == (429, 429)
    assert "Retry-After" not in headers
    assert "X-RateLimit-Type" not in headers


async def test_who_is_let_in_and_why_not(zoom: Zoom) -> None:
    meeting = await zoom.create()
    user = zoom.stand_in.core.users["zu1"]
    assert zoom.join(meeting)["state"] == "in_meeting"

    def refused(**more: Any) -> int:
        with pytest.raises(JoinRefused) as why:
            zoom.join(meeting, **more)
        return why.value.code

    number = meeting["id"]
    assert refused(signature=zoom.signed(number, secret="wrong")) == 3712
    assert refused(signature="nonsense") == 3712
    assert refused(signature=zoom.signed(number, appKey="other")) == 3704
    assert refused(signature=zoom.signed(number, appKey=None)) == 3712
    assert refused(signature=zoom.signed(number, life=60)) == 3712
    assert refused(signature=zoom.signed(number, role=7)) == 3708
    assert refused(sdkVersion="2.8.0") == 10_000
    assert refused(passcode="wrong") == 3004
    assert refused(role=1) == 3265
    assert zoom.join(meeting, role=1, zak=zoom.stand_in.core.new_zak(user))["state"] == "in_meeting"
    user.capacity = 2
    assert refused() == 4005
    other = await zoom.create()
    meeting = other
    assert refused() == 3711, "the host's other meeting is live"
    meeting = {**other, "id": 1}
    assert refused() == 3001


async def test_without_join_before_host_a_participant_waits(zoom: Zoom) -> None:
    meeting = await zoom.create(settings={"join_before_host": False})
    waiting = zoom.join(meeting)
    assert waiting["state"] == "waiting_host"
    zak = zoom.stand_in.core.new_zak(zoom.stand_in.core.users["zu1"])
    zoom.join(meeting, role=1, zak=zak)
    found = zoom.stand_in.core.find(waiting["participant_uuid"])
    assert found is not None
    assert found[1].state == "in_meeting"


async def test_ending_sends_everybody_out_and_deleting_forgets(zoom: Zoom) -> None:
    meeting = await zoom.create()
    zoom.join(meeting)
    path = f"/meetings/{meeting['id']}"
    assert (await zoom.call("GET", path))[1]["status"] == "started"
    assert (await zoom.call("PUT", f"{path}/status", {"action": "end"}))[0] == 204
    assert (await zoom.call("GET", path))[1]["status"] == "waiting"
    assert (await zoom.call("PUT", f"{path}/status", {"action": "end"}))[0] == 204
    assert (await zoom.call("DELETE", path))[0] == 204
    for method in ("GET", "DELETE"):
        status, body, _ = await zoom.call(method, path)
        assert (status, body["code"]) == (404, 3001)


async def test_a_basic_hosts_meeting_ends_after_forty_minutes(zoom: Zoom) -> None:
    zoom.stand_in.core.users["zu1"].type = 1
    meeting = await zoom.create()
    zoom.join(meeting)
    zoom.stand_in.clock.advance(41 * 60)
    zoom.stand_in.core.end_overlong()
    assert not zoom.stand_in.core.meetings[meeting["id"]].is_started


async def test_reports_are_signed_repeated_and_dropped(zoom: Zoom) -> None:
    """Three seconds for an answer, then again after five, twenty-five and eighty-five minutes."""
    got: list[tuple[dict[str, str], bytes]] = []
    statuses = [500, 500, 500, 500, 204]

    async def take(request: web.Request) -> web.Response:
        got.append((dict(request.headers), await request.read()))
        return web.Response(status=statuses.pop(0))

    app = web.Application()
    app.router.add_post("/hooks", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        stand_in = zoom.stand_in
        stand_in.seed.hook_url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
        meeting = await zoom.create()
        stand_in.core.delete(stand_in.core.meetings[meeting["id"]])
        await stand_in.hooks.drain()
        for minutes in (5, 20, 60):
            stand_in.clock.advance(minutes * 60 + 1)
            await stand_in.hooks.drain()
        assert stand_in.hooks.dropped == ["meeting.deleted"]
        assert len(got) == 4
        headers, body = got[0]
        assert headers["x-zm-signature"] == signature(
            "hook-secret-1", headers["x-zm-request-timestamp"], body
        )
        assert isinstance(json.loads(body)["payload"]["object"]["id"], int), "a number in this event alone"
    finally:
        await runner.cleanup()


async def test_a_cut_connection_hides_what_was_done(zoom: Zoom) -> None:
    await zoom.ask_token()
    zoom.stand_in.ctl_fault({"match": {"method": "POST", "path": "meetings"}, "drop": "after"})
    with pytest.raises(aiohttp.ClientError):
        await zoom.create()
    assert len(zoom.stand_in.core.meetings) == 1


async def test_the_control_face_answers_over_http(zoom: Zoom) -> None:
    url = f"{zoom.stand_in.url}/_ctl"
    meeting = await zoom.create()
    async with zoom.http.get(f"{url}/state") as answer:
        assert (await answer.json())["meetings"][0]["id"] == meeting["id"]
    async with zoom.http.post(f"{url}/join", json={"signature": "x"}) as answer:
        assert answer.status == 400
        assert (await answer.json())["errorCode"] == 10_000
    async with zoom.http.post(f"{url}/clock", json={"advance": 5}) as answer:
        assert answer.status == 200
    async with zoom.http.post(f"{url}/nothing") as answer:
        assert answer.status == 404
    async with zoom.http.get(f"{zoom.stand_in.url}/zoom-meeting-6.2.0.min.js") as answer:
        assert answer.status == 200
        assert "ZoomMtg" in await answer.text()
    async with zoom.http.get(f"{zoom.stand_in.url}/6.2.0/lib/vendor/react.min.js") as answer:
        assert answer.status == 200


async def test_every_mood_starts() -> None:
    for mood in ZoomMood:
        seed = Seed(users=[User("zu1", "host1@example.org"), User("zu2", "host2@example.org")])
        async with zoom_stand_in(seed, mood) as stand_in:
            assert stand_in.port
