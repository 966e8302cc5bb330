"""Somebody who has never seen it prepares a proctored exam by what the pages offer, and a SEB accepts what comes of it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from playwright.async_api import Browser

from invigilo.sebconfig import container
from invigilo.sebconfig.config_key import config_key
from invigilo.sebconfig.connection_file import read_connection_file
from scripts import first_exam
from tests.server import SebWire, running

pytestmark = pytest.mark.browser


async def test_from_two_people_to_a_proctored_exam_that_seb_can_enter(
    browser: Browser, tmp_path: Path
) -> None:
    async with running(tmp_path, text=first_exam.PEOPLE) as server:
        context = await browser.new_context(locale="en", viewport={"width": 1440, "height": 860})
        page = await context.new_page()
        file = read_connection_file(await first_exam.walk(page, server.url))
        shown = (await page.locator("#config-key-1").first.inner_text()).replace("\n", "")

        basic = base64.b64encode(f"{file.client_id}:{file.client_secret}".encode()).decode()
        await server.app.directory.follow()
        bearer = await server.bearer(f"Basic {basic}")
        created = await server.create(bearer)
        (exam,) = created.json
        assert exam["name"] == "Linear Algebra"
        assert "/e/" in exam["url"]
        seb = SebWire(server, bearer, created.headers["sebconnectiontoken"], created)
        settings = container.decode((await seb.configuration(exam["examId"])).body).settings
        assert settings["browserMediaCaptureCamera"] is True
        assert config_key(settings) == shown
        await context.close()
