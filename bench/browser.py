"""A proctor's Chromium, signed in to one exam, and simulated candidates."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
from playwright.async_api import Page, async_playwright

from bench import machine
from bench.servers import ROOT, Child, Exam
from scripts import chromium
from tests.conftest import CHROMIUM_FLAGS

SIZE = {"width": 1920, "height": 1080}


@asynccontextmanager
async def proctor(exam: Exam, server: Child) -> AsyncGenerator[Page]:
    """A page that is signed in."""
    path = chromium.find()
    if path is None:
        raise SystemExit(
            "No Chromium was found. `make bench` installs one; or name one in INVIGILO_CHROMIUM."
        )
    async with async_playwright() as playwright:
        machine.pin(0, machine.ALL_CORES)  # a proctor's browser has a whole machine
        browser = await playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        machine.pin(0, machine.LOAD_CORE)
        try:
            page = await (await browser.new_context(viewport=SIZE)).new_page()
            await page.goto(server.url + exam.link)
            await page.goto("about:blank")
            yield page
        finally:
            await browser.close()


def browser_processes() -> list[int]:
    """Every process of the Chromium that runs now; playwright's own driver is not one of them."""
    return [pid for pid in machine.tree(os.getpid()) if "chrom" in psutil.Process(pid).name()]


@asynccontextmanager
async def candidates(count: int, connection_file: Path) -> AsyncGenerator[None]:
    """`invigilo simulate --camera`, bound to the server's core: the proctor's machine is another one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "invigilo.cli", "simulate", "--connection", str(connection_file),
        "--candidates", str(count), "--camera", "--rate", "20", "--log-lines", "5",
        stdout=asyncio.subprocess.DEVNULL, cwd=ROOT,
    )  # fmt: skip
    machine.pin(process.pid, machine.SERVER_CORE)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            process.terminate()
        await process.wait()
