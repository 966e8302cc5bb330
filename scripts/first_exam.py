"""The way from nothing to a proctored exam, clicked as a person clicks it: for the test, and for the pictures of the how-to.

`python -m scripts.first_exam` walks it on a server of its own and makes the pictures of docs/howto/first-exam.md anew.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from playwright.async_api import Page, async_playwright

from scripts import chromium

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
PASSWORD = "correct horse battery staple"  # noqa: S105  (of nobody: the server lives for a minute)
PEOPLE = f"""
[[institution]]
name = "Example University"
[[institution.user]]
username = "grace"
name = "Grace Hopper"
role = "exam_admin"
password = "{PASSWORD}"
[[institution.user]]
username = "ada"
name = "Ada Lovelace"
role = "exam_supporter"
password = "{PASSWORD}"
"""
"""All there is before: two people."""

Take = Callable[[str], Awaitable[None]]


async def nothing(_name: str) -> None:
    """Take no picture."""


async def walk(page: Page, url: str, *, take: Take = nothing) -> bytes:
    """Prepare “Linear Algebra” by what the pages offer; returns the connection file that was downloaded."""
    await page.goto(url)
    await page.get_by_label("User name").fill("grace")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()

    await page.get_by_role("link", name="SEB settings", exact=True).click()
    await page.get_by_role("link", name="New configuration").click()
    await page.get_by_label("Name").fill("Computer rooms")
    await page.get_by_role("button", name="Create").click()
    await page.get_by_role("tab", name="General").wait_for()
    await take("settings")
    await page.get_by_text("Publish", exact=True).click()
    await page.get_by_role("button", name="Publish now").click()
    await page.get_by_text("Version 1 is published").wait_for()

    await page.get_by_role("link", name="Exams", exact=True).click()
    await page.get_by_role("link", name="New exam").click()
    await page.get_by_label("Name").fill("Linear Algebra")
    await page.locator("#starts_at").fill("2026-01-01T08:00")
    await page.locator("#ends_at").fill("2036-01-01T12:00")
    await page.get_by_label("Start address").fill("https://lms.example.org/mod/quiz/view.php?id=88")
    await page.get_by_role("checkbox", name="Ada Lovelace").check()
    await page.get_by_label("SEB settings").select_option(label="Computer rooms (version 1)")
    await take("exam")
    await page.get_by_role("button", name="Create exam").click()
    await page.get_by_text("At a glance").wait_for()
    await take("missing")

    await page.get_by_role("link", name="Proctoring Settings").click()
    await page.get_by_role("switch", name="Proctor with live cameras").check()
    await take("proctoring")
    await page.get_by_role("button", name="Save settings").click()
    await page.get_by_text("On", exact=True).wait_for()

    await page.get_by_role("link", name="Linear Algebra").click()
    await page.locator("[data-check=connection_file]").get_by_role("link").click()
    await page.get_by_role("link", name="New connection configuration").click()
    await page.get_by_label("Name").fill("Computer rooms")
    await page.get_by_role("button", name="Create").click()
    async with page.expect_download() as coming:
        await page.get_by_role("button", name="Download .seb").click()
    file = Path(await (await coming.value).path()).read_bytes()
    await take("connection")

    await page.get_by_role("link", name="Exams", exact=True).click()
    await page.get_by_role("link", name="Linear Algebra").click()
    await page.get_by_text("Ready for a proctored exam.").wait_for()
    await take("ready")
    return file


async def main() -> None:
    """Walk it, and keep what one sees."""
    command = [sys.executable, "-m", "invigilo.cli"]
    with tempfile.TemporaryDirectory() as folder:
        declared = Path(folder) / "people.toml"
        declared.write_text(PEOPLE, "utf-8")
        applied = await asyncio.create_subprocess_exec(
            *command, "apply", declared, "--data-dir", folder, cwd=ROOT
        )
        assert await applied.wait() == 0
        server = await asyncio.create_subprocess_exec(
            *command, "serve", "--data-dir", folder, "--port", "0", stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        assert server.stdout is not None
        try:
            ready = (await server.stdout.readline()).decode()
            found = re.search(r"http://\S+", ready)
            assert found is not None, ready
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=chromium.find())
                size = {"width": 1440, "height": 860}
                page = await browser.new_page(locale="en", viewport=size)  # type: ignore[arg-type]

                async def take(name: str) -> None:
                    await page.screenshot(path=IMAGES / f"first-exam-{name}.png")
                    print(f"docs/images/first-exam-{name}.png")

                await walk(page, found[0], take=take)
                await browser.close()
        finally:
            server.terminate()
            await server.wait()


if __name__ == "__main__":
    asyncio.run(main())
