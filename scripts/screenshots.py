"""Pictures of every page of a running demo, light and dark, desktop and phone: `make screenshots`, then look at them.

`--url LINK` photographs a demo that runs already; its address is the one the demo printed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from scripts import chromium

ROOT = Path(__file__).resolve().parent.parent
SIZES = {"desktop": (1280, 800), "phone": (400, 800)}
SCHEMES = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Link:
    """How to get into a running demo."""

    address: str
    """Signs a proctor in."""
    password: str
    """Of the exam administrator, grace."""

    @property
    def origin(self) -> str:
        return "/".join(self.address.split("/")[:3])


@asynccontextmanager
async def demo(seconds: int, candidates: int) -> AsyncIterator[Link]:
    """A demo as a child; yields what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "invigilo.cli", "demo", "--candidates", str(candidates), "--seconds", str(seconds),
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    address = ""
    try:
        async for line in process.stdout:
            if (watch := re.search(rb"Watch\s+(http\S+)", line)) is not None:
                address = watch[1].decode()
            if (found := re.search(rb"\sgrace\s+(\S+)", line)) is not None:
                break
        else:
            raise SystemExit("The demo did not start; its message stands above.")
        drain = asyncio.create_task(process.stdout.read())
        yield Link(address, found[1].decode())
        drain.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def photograph(browser: Browser, link: str, folder: Path) -> None:
    origin = re.match(r"https?://[^/]+", link)
    assert origin is not None
    for scheme in SCHEMES:
        for size, (width, height) in SIZES.items():
            context = await browser.new_context(
                color_scheme="light" if scheme == "light" else "dark",
                viewport={"width": width, "height": height},
            )
            page = await context.new_page()
            page.on("pageerror", lambda error: print(f"  page error: {error}"))
            page.on(
                "console",
                lambda m: print(f"  console {m.type}: {m.text}") if m.type in {"error", "warning"} else None,
            )

            async def take(name: str, page: Page = page, mark: str = f"{size}-{scheme}") -> None:
                await page.screenshot(path=folder / f"{name}-{mark}.png")

            await page.goto(f"{origin[0]}/login")
            await take("login")
            await page.goto(link)
            await page.wait_for_selector(".table-row")
            await page.wait_for_timeout(1500)
            await take("monitoring")
            monitoring = page.url
            connection = await page.locator(".table-row[data-severity=ok] .cell-name a").first.get_attribute(
                "href"
            )
            problem = await page.locator(
                ".table-row[data-severity=problem] .cell-name a"
            ).first.get_attribute("href")
            await page.goto(f"{monitoring}/rooms/1")
            await page.wait_for_selector(".tile.has-video", timeout=10_000)
            await page.wait_for_timeout(1500)
            await take("room")
            await page.locator(".tile.has-video .stage-button").first.click()
            await page.wait_for_timeout(500)
            await take("room-enlarged")
            await page.goto(f"{monitoring}/overview")
            await page.wait_for_timeout(2500)
            await take("overview")
            for name, address in (("connection", connection), ("connection-problem", problem)):
                if address:
                    await page.goto(origin[0] + address)
                    await page.wait_for_timeout(2500)
                    await take(name)
            await page.goto(f"{origin[0]}/monitoring")
            await take("exams")
            await page.goto(f"{origin[0]}/monitoring/99999")
            await take("error")
            await context.close()


OFFICE = {
    "office-exams": "/exams",
    "office-exam": "/exams/1",
    "office-exam-edit": "/exams/1/edit",
    "office-roster": "/exams/1/roster",
    "office-proctoring": "/exams/1/proctoring",
    "office-templates": "/templates",
    "office-template-new": "/templates/new",
    "office-configurations": "/configurations",
    "office-editor": "/configurations/1",
    "office-editor-proctoring": "/configurations/1?tab=proctoring",
    "office-history": "/configurations/1/history",
    "office-import": "/configurations/import",
    "office-export": "/configurations/1/export",
    "office-connections": "/connections",
    "office-connection": "/connections/1",
    "office-connection-new": "/connections/new",
    "office-services": "/services",
    "office-people": "/people",
    "office-activity": "/activity",
    "office-account": "/account",
}
"""What the exam administrator of a fresh demo may open."""


async def photograph_office(browser: Browser, origin: str, password: str, folder: Path) -> None:
    """The pages of the exam office, from top to bottom."""
    for scheme in SCHEMES:
        for size, (width, height) in SIZES.items():
            context = await browser.new_context(
                color_scheme="light" if scheme == "light" else "dark",
                viewport={"width": width, "height": height},
            )
            page = await context.new_page()
            page.on("pageerror", lambda error: print(f"  page error: {error}"))
            await page.goto(f"{origin}/login")
            await page.fill("input[name=username]", "grace")
            await page.fill("input[name=password]", password)
            await page.click("button[type=submit]")
            for name, path in OFFICE.items():
                answer = await page.goto(origin + path)
                if answer is None or answer.status != 200:
                    print(f"  {path}: {answer and answer.status}")
                await page.wait_for_timeout(300)
                await page.screenshot(path=folder / f"{name}-{size}-{scheme}.png", full_page=True)
            await context.close()


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="the address a running demo printed")
    parser.add_argument("--to", type=Path, default=ROOT / "screenshots", help="folder (default: screenshots)")
    parser.add_argument("--candidates", type=int, default=12)
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    path = chromium.find()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=chromium.FAKE_CAMERA)
        if arguments.url:
            await photograph(browser, arguments.url, arguments.to)
        else:
            async with demo(400, arguments.candidates) as link:
                print("Waiting for the candidates to arrive …")
                await asyncio.sleep(45)  # arrivals take 20 s; by then one is away and one has no network
                await photograph(browser, link.address, arguments.to)
                await photograph_office(browser, link.origin, link.password, arguments.to)
        await browser.close()
    print(f"Look at {len(list(arguments.to.glob('*.png')))} pictures in {arguments.to}.")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
