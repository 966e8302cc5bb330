"""The proctor at one node, the candidate at the other: calls, what is perceived, messages; and a node that dies."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.proctoring.processes import Node, Stored, handshake
from tests.proctoring.test_two_nodes import eventually, knows, nodes
from tests.rtc.pages import Page, candidate_page, proctor_page
from tests.server import Answer
from tests.web.people import Browser, Candidate, sign_in

__all__ = ["nodes"]
pytestmark = pytest.mark.postgresql


async def ask(browser: Browser, method: str, path: str, body: Any = None) -> Answer:
    node = browser.server
    assert isinstance(node, Node)
    headers = {
        "Cookie": browser.cookie,
        "Accept": "application/json",
        "X-CSRFToken": browser.cookies["csrftoken"],
        "Content-Type": "application/json",
    }
    data = None if body is None else json.dumps(body)
    return await node.request(method, f"/monitoring/{node.the_exam}{path}", headers=headers, body=data)


async def candidate_at(node: Node, stored: Stored) -> Candidate:
    wire = await handshake(node, await node.bearer(), "lea")
    key: str = wire.created.json[0]["url"].rpartition("/e/")[2]
    return Candidate(wire, await stored.connection_id(wire.token), key)


async def placed(page: Any, kind: str, **wanted: Any) -> dict[str, Any]:
    while True:
        frame = await page.until(t="placed", **wanted)
        if frame["room"] is not None and frame["room"]["kind"] == kind and frame["room"]["state"] == "open":
            return frame


async def _hold_on(wall: Page, room: int) -> None:
    """As a proctor's page does while it is there."""
    while True:
        await wall.send("hold", room=room, audio=True, chat=True)
        await asyncio.sleep(1)


@pytest.mark.spec("live-proctoring", 34)
@pytest.mark.spec("live-proctoring", 48)
async def test_a_proctor_here_a_candidate_there(nodes: tuple[Node, Node, Stored]) -> None:
    """Whoever opens first, wherever: it is one town hall. A node that dies is perceived no longer than the lease."""
    one, two, stored = nodes
    lea = await candidate_at(one, stored)
    ada = await sign_in(two, "ada")
    ada_here = Browser(one, ada.cookies)
    async with candidate_page(one, lea) as page, proctor_page(ada, two.the_exam) as (wall, _):
        await knows(wall, lea)
        body = {"kind": "town_hall"}
        first, second = await asyncio.gather(
            ask(ada, "POST", "/calls", body), ask(ada_here, "POST", "/calls", body)
        )
        assert sorted([first.status, second.status]) == [200, 201], (first.body, second.body)
        hall = first.json["id"]
        assert second.json["id"] == hall
        await placed(page, "town_hall", receive_audio=False)

        holding = asyncio.create_task(_hold_on(wall, hall))
        assert (await wall.until(t="held"))["audio"] is True
        await placed(page, "town_hall", receive_audio=True, chat=True)
        page.new.clear()  # from here on one of its places says that nothing is to be heard any more

        sent = await ask(ada, "POST", "/messages", {"text": "Hello", "connections": [lea.id]})
        assert sent.status == 201, sent.body
        shown = await page.until(t="message")
        assert (shown["text"], shown["id"]) == ("Hello", sent.json["id"])
        await page.send("message_read", id=shown["id"])
        await wall.row(lea.id, messages={"sent": 1, "delivered": 1, "read": 1})
        await page.send("say", text="I hear you")
        assert (await wall.until(t="said"))["text"] == "I hear you"

        holding.cancel()
        await two.kill()
        assert (await eventually(page, "placed"))["receive_audio"] is False
        assert (await ask(ada_here, "DELETE", f"/calls/{hall}")).status == 204
        await placed(page, "collecting")
