"""Somebody with a valid entry key and a scripting tool, against other candidates, other exams and the server itself."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image

from invigilo.clock import SetClock
from invigilo.rtc import limits
from tests.rtc.pages import Page, candidate_page, jpeg, proctor_page, signals, socket_to
from tests.server import Server, running
from tests.web.people import TWO_INSTITUTIONS, Browser, Candidate, candidate_in, exam_called, sign_in
from tests.world import MORNING

pytestmark = pytest.mark.asyncio(loop_scope="module")

OFFER, ANSWER = "v=0 offer", "v=0 answer"


@dataclass
class Site:
    """The server with everybody signed in once: passwords are slow on purpose."""

    server: Server
    clock: SetClock
    people: dict[str, Browser]

    @property
    def algebra(self) -> int:
        return exam_called(self.server, "Linear Algebra")

    @property
    def biology(self) -> int:
        return exam_called(self.server, "Biology")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    clock = SetClock(MORNING)
    async with running(tmp_path_factory.mktemp("rtc"), text=TWO_INSTITUTIONS, clock=clock) as server:
        names = ("root", "ada", "bea", "grace", "ines", "aude", "other-ada", "other-grace")
        yield Site(server, clock, {name: await sign_in(server, name) for name in names})


# --- the honest way ---


async def test_video_is_arranged_between_one_candidate_and_one_proctor(site: Site) -> None:
    """Watch, offer, answer: each reaches the one it is for, and nobody else hears of it."""
    one = await candidate_in(site.server, "Linear Algebra")
    two = await candidate_in(site.server, "Linear Algebra")
    async with AsyncExitStack() as stack:
        page_one = await stack.enter_async_context(candidate_page(site.server, one))
        page_two = await stack.enter_async_context(candidate_page(site.server, two))
        ada, peer = await stack.enter_async_context(proctor_page(site.people["ada"], site.algebra))
        grace, _ = await stack.enter_async_context(proctor_page(site.people["grace"], site.algebra))

        await ada.send("watch", connection=one.id)
        assert await ada.until(t="watching") == {"t": "watching", "connection": one.id, "peer": peer}
        assert (await page_one.until(t="watch"))["peer"] == peer

        await page_one.send("signal", peer=peer, kind="offer", sdp=OFFER)
        offer = await ada.until(t="signal")
        assert offer == {"t": "signal", "connection": one.id, "kind": "offer", "sdp": OFFER}

        await ada.send("signal", connection=one.id, kind="answer", sdp=ANSWER)
        answer = await page_one.until(t="signal")
        assert answer == {"t": "signal", "kind": "answer", "sdp": ANSWER, "peer": peer}

        ice = {"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0}
        await page_one.send("signal", peer=peer, kind="candidate", candidate=ice)
        assert (await ada.until(t="signal"))["candidate"] == ice
        await ada.send("signal", connection=one.id, kind="candidate", candidate=None)
        assert (await page_one.until(t="signal"))["candidate"] is None

        assert signals(await page_two.barrier()) == []
        assert signals(await grace.barrier()) == []


async def test_a_candidate_that_comes_back_is_asked_again(site: Site) -> None:
    """A proctor who watches need not notice that the candidate's page was reloaded."""
    one = await candidate_in(site.server, "Linear Algebra")
    async with proctor_page(site.people["ada"], site.algebra) as (ada, peer):
        await ada.send("watch", connection=one.id)
        assert (await ada.until(t="not_watching"))["connection"] == one.id
        for tab in ("first", "again"):
            async with candidate_page(site.server, one, tab=tab) as page:
                frames = page.new + await page.barrier()
                (watch,) = [f for f in frames if f["t"] == "watch"][:1]
                assert watch["peer"] == peer
                await ada.until(t="watching", connection=one.id, peer=peer)


async def test_the_welcome_comes_before_anything_to_do(site: Site) -> None:
    """A page forgets all it knew at `welcome`, so a `watch` before it would be lost."""
    one = await candidate_in(site.server, "Linear Algebra")
    async with proctor_page(site.people["ada"], site.algebra) as (ada, _):
        await ada.send("watch", connection=one.id)
        await ada.barrier()
        async with socket_to(site.server, f"/e/{one.key}/socket") as page:
            await page.send("hello", tab="one")
            assert (await page.receive())["t"] == "welcome"
            await page.until(t="watch")


async def test_a_second_tab_takes_over(site: Site) -> None:
    """The older page is told and closed with 4001; watching goes on with the newer one, and the row never says "left"."""
    one = await candidate_in(site.server, "Linear Algebra")
    async with (
        proctor_page(site.people["ada"], site.algebra) as (ada, peer),
        candidate_page(site.server, one, tab="older") as older,
    ):
        await ada.send("watch", connection=one.id)
        async with candidate_page(site.server, one, tab="newer") as newer:
            await older.until(t="replaced")
            assert await older.closing() == 4001
            await newer.send("signal", peer=peer, kind="offer", sdp="from the newer tab")
            assert (await ada.until(t="signal"))["sdp"] == "from the newer tab"
            assert one.wire.live.page.connected


async def test_unwatch_ends_what_a_candidate_may_say(site: Site) -> None:
    one = await candidate_in(site.server, "Linear Algebra")
    async with (
        candidate_page(site.server, one) as page,
        proctor_page(site.people["ada"], site.algebra) as (ada, peer),
    ):
        await ada.send("watch", connection=one.id)
        await page.until(t="watch")
        await ada.send("unwatch", connection=one.id)
        assert (await page.until(t="unwatch"))["peer"] == peer
        await page.send("signal", peer=peer, kind="offer", sdp=OFFER)
        assert (await page.until(t="error"))["code"] == "no_such_peer"
        assert [f for f in signals(await ada.barrier()) if f["t"] == "signal"] == []


async def test_a_proctor_who_leaves_stops_watching(site: Site) -> None:
    one = await candidate_in(site.server, "Linear Algebra")
    async with candidate_page(site.server, one) as page:
        async with proctor_page(site.people["ada"], site.algebra) as (ada, peer):
            await ada.send("watch", connection=one.id)
            await page.until(t="watchers", count=1)
        await page.until(t="unwatch", peer=peer)
        await page.until(t="watchers", count=0)


async def test_one_proctor_too_many_takes_nobody_elses_video(site: Site) -> None:
    """Each watcher costs the candidate an upload. Whoever is beyond the limit is told so; the others keep their video,
    also when the candidate's page comes back."""
    one = await candidate_in(site.server, "Linear Algebra")
    async with AsyncExitStack() as stack:
        proctors: list[Page] = []
        for _ in range(limits.PEERS_PER_CANDIDATE + 1):
            page, _ = await stack.enter_async_context(proctor_page(site.people["ada"], site.algebra))
            proctors.append(page)
        async with candidate_page(site.server, one, tab="first") as candidate:
            for proctor in proctors[:-1]:
                await proctor.send("watch", connection=one.id)
                await proctor.until(t="watching")
            await proctors[-1].send("watch", connection=one.id)
            assert (await proctors[-1].until(t="not_watching"))["cause"] == "too_many_watchers"
            asked = [f for f in await candidate.barrier() if f["t"] == "watch"]
            assert len(asked) == limits.PEERS_PER_CANDIDATE
        async with candidate_page(site.server, one, tab="again") as candidate:
            frames = candidate.new + await candidate.barrier()
            peers = {f["peer"] for f in frames if f["t"] == "watch"}
            assert len(peers) == limits.PEERS_PER_CANDIDATE
            await proctors[0].send("unwatch", connection=one.id)
            await proctors[-1].until(t="watching", connection=one.id)


# --- a candidate against others ---


async def test_a_candidate_reaches_nobody_it_was_not_introduced_to(site: Site) -> None:
    """Whatever it puts into `peer`: names of other candidates, and true names of proctors who watch somebody else."""
    attacker = await candidate_in(site.server, "Linear Algebra")
    victim = await candidate_in(site.server, "Linear Algebra")
    stranger = await candidate_in(site.server, "Biology")
    async with AsyncExitStack() as stack:
        evil = await stack.enter_async_context(candidate_page(site.server, attacker, tab="evil"))
        page = await stack.enter_async_context(candidate_page(site.server, victim, tab="victim"))
        far = await stack.enter_async_context(candidate_page(site.server, stranger, tab="far"))
        ada, ada_peer = await stack.enter_async_context(proctor_page(site.people["ada"], site.algebra))
        bea, bea_peer = await stack.enter_async_context(proctor_page(site.people["bea"], site.biology))
        await ada.send("watch", connection=victim.id)
        await page.until(t="watch")
        await bea.send("watch", connection=stranger.id)
        await far.until(t="watch")
        for one in (ada, bea, page, far):
            await one.barrier()

        guesses = [
            ada_peer,
            bea_peer,
            str(victim.id),
            "victim",
            "",
            "*",
            "all",
            ada_peer.upper(),
            ada_peer + "\0",
        ]
        for guess in guesses:
            await evil.send("signal", peer=guess, kind="offer", sdp=OFFER)
            assert (await evil.until(t="error"))["code"] == "no_such_peer", guess
        for one in (ada, bea, page, far):
            assert signals(await one.barrier()) == []


@pytest.mark.parametrize(
    "extra",
    [
        {"connection": 1},
        {"to": "all"},
        {"peer": 7},
        {"peer": ["a"]},
        {"peer": None},
        {"kind": "answer"},
        {"kind": "watch"},
        {"t": "watch"},
        {"candidate": {"candidate": "x", "peer": "y"}},
        {"sdp": "x" * 64_001},
    ],
    ids=lambda extra: str(extra)[:40],
)
async def test_a_signal_has_no_other_addressees(site: Site, extra: dict[str, Any]) -> None:
    attacker = await candidate_in(site.server, "Linear Algebra")
    async with (
        candidate_page(site.server, attacker) as evil,
        proctor_page(site.people["ada"], site.algebra) as (ada, peer),
    ):
        await ada.send("watch", connection=attacker.id)
        await evil.until(t="watch")
        await ada.barrier()
        message = {"t": "signal", "peer": peer, "kind": "offer", "sdp": OFFER} | extra
        await evil.send(message.pop("t"), **message)
        assert (await evil.until(t="error"))["code"] == "bad_message"
        assert signals(await ada.barrier()) == []


@pytest.mark.parametrize(
    "message",
    [
        {"t": "watch", "connection": 0},
        {"t": "unwatch", "connection": 0},
        {"t": "signal", "connection": 0, "kind": "answer", "sdp": ANSWER},
        {"t": "restart", "connection": 0},
        {"t": "frames", "reports": [{"connection": 0, "frames": 25}]},
        {"t": "stills", "connections": "all"},
        {"t": "snapshot"},
        {"t": "changes", "rows": []},
        {"t": "placed", "room": None},
        {"t": "ended", "reason": "exam_finished"},
    ],
    ids=lambda message: message["t"],
)
async def test_a_candidate_cannot_speak_as_a_proctor_or_as_the_server(
    site: Site, message: dict[str, Any]
) -> None:
    attacker = await candidate_in(site.server, "Linear Algebra")
    victim = await candidate_in(site.server, "Linear Algebra")
    async with candidate_page(site.server, attacker) as evil, candidate_page(site.server, victim) as page:
        filled = {k: victim.id if k == "connection" else v for k, v in message.items() if k != "t"}
        if "reports" in filled:
            filled["reports"] = [{"connection": victim.id, "frames": 25}]
        await evil.send(message["t"], **filled)
        assert (await evil.until(t="error"))["code"] == "bad_message"
        assert victim.wire.live.page.last_frames_at is None
        await evil.barrier()
        await page.socket.send_bytes(jpeg())
        assert signals(await page.barrier()) == []
        assert signals(await evil.barrier()) == []


async def test_what_a_candidate_claims_about_peers_it_has_not_counts_for_nothing(site: Site) -> None:
    attacker = await candidate_in(site.server, "Linear Algebra")
    async with candidate_page(site.server, attacker) as evil:
        await evil.send("peer", peer="made-up", state="connected")
        await evil.barrier()
        assert attacker.wire.live.page.peer_states == {}


async def test_an_entry_key_opens_no_proctor_page(site: Site) -> None:
    """Neither as session cookie, nor as bearer, nor does the SEB's own token."""
    one = await candidate_in(site.server, "Linear Algebra")
    tries = [
        {},
        {"Cookie": f"invigilo_session={one.key}"},
        {"Cookie": f"invigilo_session={one.wire.token}"},
        {"Authorization": f"Bearer {one.key}"},
        {"Authorization": one.wire.bearer, "SEBConnectionToken": one.wire.token},
    ]
    for headers in tries:
        async with socket_to(site.server, f"/monitoring/{site.algebra}/socket", **headers) as page:
            assert await page.closing() == 4401
            assert page.new == []


@pytest.mark.parametrize("key", ["x", "A" * 32, "A" * 65, "%00", "%F0%9F%98%80", "a%20b"])
async def test_a_guessed_entry_key_opens_nothing(site: Site, key: str) -> None:
    async with site.server.session.ws_connect(f"{site.server.url}/e/{key}/socket") as socket:
        page = Page(socket)
        assert await page.closing() == 4002
        assert page.new == []


async def test_an_ended_connection_has_no_page(site: Site) -> None:
    """Closing the SEB closes its page, and the key opens none any more."""
    one = await candidate_in(site.server, "Linear Algebra")
    async with candidate_page(site.server, one) as page:
        assert (await one.wire.delete()).status == 200
        assert (await page.until(t="ended"))["reason"] == "connection_closed"
        assert await page.closing() == 4002
    async with socket_to(site.server, f"/e/{one.key}/socket") as page:
        await page.send("hello", tab="again")
        await page.until(t="ended")
        assert await page.closing() == 4002


# --- a candidate against the server ---


async def _victim_is_well(page: Page) -> None:
    assert signals(await page.barrier()) == []


GARBAGE = [
    "",
    "null",
    "[]",
    "{",
    '{"t":"hello"}',
    '{"t":17}',
    "[" * 50_000,
    '{"t":"ping","n":-1}',
    '{"t":"ping","n":1e999}',
    '{"t":"media","camera":"live"}',
    '{"t":"\\ud800"}',
    '{"t":"signal","peer":"\\ud800","kind":"offer"}',
    '{"t":"confirm","revision":2147483648}',
    "\u0000\uffff",
]
"""None of them a message of the protocol."""


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("x" * (limits.MESSAGE_SIZE + 1), "too_large"),
        (b"x" * (limits.STILL_SIZE + 1), "too_large"),
        (b"GIF89a" + bytes(200), "bad_message"),
        ('{"t":"confirm","revision":7000}', None),
        *((text, "bad_message") for text in GARBAGE),
    ],
    ids=lambda value: repr(value)[:24],
)
async def test_who_goes_on_with_refused_messages_is_closed_and_nobody_else(
    site: Site, frame: str | bytes, code: str | None
) -> None:
    """Each is refused by name, the twentieth closes with 4008; another candidate notices nothing."""
    attacker = await candidate_in(site.server, "Linear Algebra")
    victim = await candidate_in(site.server, "Linear Algebra")
    async with candidate_page(site.server, attacker) as evil, candidate_page(site.server, victim) as page:
        for _ in range(limits.OFFENCES):
            await (evil.socket.send_str(frame) if isinstance(frame, str) else evil.socket.send_bytes(frame))
        assert await evil.closing() == 4008
        found = {f["code"] for f in evil.new if f["t"] == "error"}
        assert found <= {code, "too_many"}
        assert code in found or code is None
        await _victim_is_well(page)


async def test_a_flood_of_good_messages_is_slowed_and_closed(site: Site) -> None:
    attacker = await candidate_in(site.server, "Linear Algebra")
    victim = await candidate_in(site.server, "Linear Algebra")
    async with candidate_page(site.server, attacker) as evil, candidate_page(site.server, victim) as page:
        for n in range(3_000):
            if evil.socket.closed:
                break
            try:
                await evil.send("ping", n=n)
            except ConnectionError:
                break
        assert await evil.closing() == 4008
        assert "too_many" in {f["code"] for f in evil.new if f["t"] == "error"}
        await _victim_is_well(page)


async def test_a_frame_beyond_all_limits_is_not_even_read(site: Site) -> None:
    """1009 is WebSocket's own "too big": the server never holds more than that of one frame."""
    attacker = await candidate_in(site.server, "Linear Algebra")
    victim = await candidate_in(site.server, "Linear Algebra")
    async with candidate_page(site.server, attacker) as evil, candidate_page(site.server, victim) as page:
        await evil.socket.send_bytes(b"\xff\xd8\xff" + bytes(300 * 1024))
        assert await evil.closing() == 1009
        await _victim_is_well(page)


@pytest.mark.parametrize(
    "first", ['{"t":"ping","n":1}', "hello", "x" * 100_000, b"\xff\xd8\xff", '{"t":"hello","tab":7}']
)
async def test_whoever_does_not_say_hello_is_closed(site: Site, first: str | bytes) -> None:
    one = await candidate_in(site.server, "Linear Algebra")
    async with socket_to(site.server, f"/e/{one.key}/socket") as page:
        await (page.socket.send_str(first) if isinstance(first, str) else page.socket.send_bytes(first))
        assert (await page.until(t="error"))["code"] == "bad_message"
        assert await page.closing() == 4008
        assert not one.wire.live.page.connected


async def test_a_proctors_page_has_limits_too(site: Site) -> None:
    async with proctor_page(site.people["ada"], site.algebra) as (evil, _):
        for _ in range(limits.OFFENCES):
            await evil.socket.send_str("garbage")
        assert await evil.closing() == 4008


async def test_one_person_cannot_open_pages_without_end(site: Site) -> None:
    """Whoever goes over the limit is told; pages that are open stay, and other people are not counted in."""
    async with AsyncExitStack() as stack:
        pages = [
            (await stack.enter_async_context(proctor_page(site.people["bea"], site.biology)))[0]
            for _ in range(limits.SOCKETS_PER_PROCTOR)
        ]
        path, cookie = f"/monitoring/{site.biology}/socket", site.people["bea"].cookie
        one_more = await stack.enter_async_context(socket_to(site.server, path, Cookie=cookie))
        assert (await one_more.until(t="error"))["code"] == "too_many"
        assert await one_more.closing() == 4008
        await pages[0].barrier()
        await stack.enter_async_context(proctor_page(site.people["grace"], site.biology))


# --- proctors against exams that are not theirs ---


@pytest.mark.parametrize("name", ["root", "bea", "ines", "aude", "other-ada", "other-grace"])
async def test_the_socket_of_an_exam_is_for_its_proctors(site: Site, name: str) -> None:
    path = f"/monitoring/{site.algebra}/socket"
    async with socket_to(site.server, path, Cookie=site.people[name].cookie) as page:
        assert await page.closing() == 4403
        assert page.new == []


async def test_an_exam_that_does_not_exist_looks_like_one_that_is_not_yours(site: Site) -> None:
    async with socket_to(site.server, "/monitoring/999/socket", Cookie=site.people["ada"].cookie) as page:
        assert await page.closing() == 4403


@pytest.mark.parametrize(
    "cookie", ["", "invigilo_session=", "invigilo_session=made-up", "invigilo_session=%00"]
)
async def test_the_proctors_socket_asks_who_is_there(site: Site, cookie: str) -> None:
    async with socket_to(site.server, f"/monitoring/{site.algebra}/socket", Cookie=cookie) as page:
        assert await page.closing() == 4401


@pytest.mark.parametrize(
    "origin", ["https://evil.example.org", "null", "http://127.0.0.1:1", "file://", "//", "http://["]
)
async def test_another_site_cannot_use_a_proctors_cookie(site: Site, origin: str) -> None:
    headers = {"Cookie": site.people["ada"].cookie, "Origin": origin}
    async with socket_to(site.server, f"/monitoring/{site.algebra}/socket", **headers) as page:
        assert await page.closing() == 4401
        assert page.new == []


async def test_our_own_page_may_open_its_socket(site: Site) -> None:
    headers = {"Cookie": site.people["ada"].cookie, "Origin": site.server.url}
    async with socket_to(site.server, f"/monitoring/{site.algebra}/socket", **headers) as page:
        await page.until(t="snapshot")


async def test_a_proctor_of_one_exam_neither_sees_nor_reaches_another(site: Site) -> None:
    """Grace may both exams, but a socket is one exam's: ids of the other are as unknown as invented ones."""
    mine = await candidate_in(site.server, "Linear Algebra")
    other = await candidate_in(site.server, "Biology")
    async with AsyncExitStack() as stack:
        near = await stack.enter_async_context(candidate_page(site.server, mine))
        far = await stack.enter_async_context(candidate_page(site.server, other))
        for name in ("ada", "grace"):
            page, _ = await stack.enter_async_context(proctor_page(site.people[name], site.algebra))
            (snapshot,) = page.new
            assert other.id not in {row["id"] for row in snapshot["rows"]}
            for connection in (other.id, 2**31 - 1):
                for message in (
                    {"t": "watch", "connection": connection},
                    {"t": "signal", "connection": connection, "kind": "answer", "sdp": ANSWER},
                    {"t": "signal", "connection": connection, "kind": "candidate", "candidate": None},
                    {"t": "restart", "connection": connection},
                ):
                    await page.send(**message)
                    assert (await page.until(t="error"))["code"] == "no_such_connection"
                await page.send("unwatch", connection=connection)
            await page.send("frames", reports=[{"connection": other.id, "frames": 25}])
            for wanted in ([other.id], "all", [mine.id, other.id]):
                await page.send("stills", connections=wanted)
            await page.barrier()
            await far.socket.send_bytes(jpeg(mark=1))
            await far.barrier()
            await near.socket.send_bytes(jpeg(mark=2))
            still = await page.still()
            assert int.from_bytes(still[:4], "big") == mine.id
            shown = [f for f in await page.barrier() if isinstance(f, bytes)]
            assert {int.from_bytes(f[:4], "big") for f in shown} <= {mine.id}
        assert signals(await far.barrier()) == []
        assert other.wire.live.page.last_frames_at is None


async def test_a_proctor_signals_only_candidates_it_watches(site: Site) -> None:
    one = await candidate_in(site.server, "Linear Algebra")
    async with (
        candidate_page(site.server, one) as page,
        proctor_page(site.people["ada"], site.algebra) as (ada, _),
    ):
        await ada.send("signal", connection=one.id, kind="answer", sdp=ANSWER)
        assert (await ada.until(t="error"))["code"] == "no_such_connection"
        await ada.send("restart", connection=one.id)
        assert (await ada.until(t="error"))["code"] == "no_such_connection"
        await ada.send("frames", reports=[{"connection": one.id, "frames": 25}])
        await ada.barrier()
        assert signals(await page.barrier()) == []
        assert one.wire.live.page.last_frames_at is None


# --- stills ---


async def _framed(candidate: Candidate, picture: bytes) -> bytes:
    return candidate.id.to_bytes(4, "big") + picture


async def test_stills_go_to_those_who_asked(site: Site) -> None:
    one = await candidate_in(site.server, "Linear Algebra")
    two = await candidate_in(site.server, "Linear Algebra")
    async with AsyncExitStack() as stack:
        page_one = await stack.enter_async_context(candidate_page(site.server, one))
        page_two = await stack.enter_async_context(candidate_page(site.server, two))
        ada, _ = await stack.enter_async_context(proctor_page(site.people["ada"], site.algebra))
        grace, _ = await stack.enter_async_context(proctor_page(site.people["grace"], site.algebra))
        await ada.send("stills", connections=[one.id])
        await ada.barrier()
        first, second = jpeg(mark=1), jpeg(mark=2)
        await page_two.socket.send_bytes(second)
        await page_two.barrier()
        await page_one.socket.send_bytes(first)
        assert await ada.still() == await _framed(one, first)
        assert [f for f in await grace.barrier() if isinstance(f, bytes)] == []

        await grace.send("stills", connections="all")
        missing = {await _framed(one, first), await _framed(two, second)}
        while missing:  # a page that has just gone may have left its last one
            missing.discard(await grace.still())
        await grace.send("stills", connections=[])
        await grace.barrier()
        await page_one.socket.send_bytes(jpeg(mark=3))
        assert await ada.still() == await _framed(one, jpeg(mark=3))
        assert [f for f in await grace.barrier() if isinstance(f, bytes)] == []


def _png() -> bytes:
    file = io.BytesIO()
    Image.new("L", (320, 240), 128).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (_png(), "bad_message"),
        (b"", "bad_message"),
        (b"<svg onload=alert(1)>", "bad_message"),
        (b"\xff\xd8\xff" + bytes(500), "bad_message"),
        (jpeg()[:150], "bad_message"),
        (jpeg(1_200, 900), "bad_message"),
        (jpeg() + bytes(limits.STILL_SIZE), "too_large"),
    ],
    ids=["png", "empty", "svg", "head-only", "cut", "large-picture", "heavy"],
)
async def test_what_is_no_small_jpeg_is_refused(site: Site, picture: bytes, code: str) -> None:
    one = await candidate_in(site.server, "Linear Algebra")
    async with (
        candidate_page(site.server, one) as page,
        proctor_page(site.people["ada"], site.algebra) as (ada, _),
    ):
        await ada.send("stills", connections=[one.id])
        await ada.barrier()
        await page.socket.send_bytes(picture)
        assert (await page.until(t="error"))["code"] == code
        assert [f for f in await ada.barrier() if isinstance(f, bytes)] == []
        assert one.wire.live.page.last_still_at is None


async def test_a_flood_of_stills_is_refused(site: Site) -> None:
    one = await candidate_in(site.server, "Linear Algebra")
    async with candidate_page(site.server, one) as page:
        pictures = [jpeg(mark=number) for number in range(20)]
        for number in range(400):
            if page.socket.closed:
                break
            try:
                await page.socket.send_bytes(pictures[number % 20])
            except ConnectionError:
                break
        assert await page.closing() == 4008
        assert {f["code"] for f in page.new if f["t"] == "error"} == {"too_many"}


async def _seen_candidate(site: Site, page: Page, one: Candidate) -> None:
    """Everything well but the picture."""
    if page.place["room"] is None:
        await page.until(t="placed")
    await page.send("confirm", revision=page.place["revision"])
    await page.send("self_check", camera="ok", microphone="ok", path="ok")
    await page.send("media", camera="live", microphone="live", visible=True, exam_opened=True)
    await one.wire.ping()


async def test_a_black_picture_is_named(site: Site) -> None:
    one = await candidate_in(site.server, "Linear Algebra")
    async with (
        candidate_page(site.server, one) as page,
        proctor_page(site.people["ada"], site.algebra) as (ada, _),
    ):
        await _seen_candidate(site, page, one)
        await page.socket.send_bytes(jpeg(grey=2))
        await ada.row(one.id, frames="black", cause="picture_black")


async def test_a_picture_that_never_changes_is_named(site: Site) -> None:
    """No camera gives the same bytes twice: eight seconds of them are a photograph."""
    one = await candidate_in(site.server, "Linear Algebra")
    async with (
        candidate_page(site.server, one) as page,
        proctor_page(site.people["ada"], site.algebra) as (ada, _),
    ):
        await page.socket.send_bytes(jpeg(mark=7))
        await page.barrier()
        site.clock.move(timedelta(seconds=9))
        await _seen_candidate(site, page, one)
        await page.socket.send_bytes(jpeg(mark=7))
        await ada.row(one.id, frames="frozen", cause="picture_frozen")
        await page.socket.send_bytes(jpeg(mark=8))
        await ada.row(one.id, frames="ok")
