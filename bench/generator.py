"""Starting load generators (`bench.load`) and hearing their results."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from bench.servers import ROOT, Child, Exam
from invigilo import demo
from invigilo.sebconfig.connection_file import read_connection_file


class Generator:
    """One job in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, kind: str, **job: Any) -> Generator:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.load", cwd=ROOT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(json.dumps({"kind": kind, **job}).encode())
        await process.stdin.drain()
        process.stdin.close()
        return cls(process)

    async def ready(self) -> None:
        """Until it says that it is in full swing."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if line.strip() != b"ready":
            raise SystemExit("The load generator did not start; its message stands above.")

    async def result(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        lines = (await self._process.stdout.read()).splitlines()
        await self._process.wait()
        if not lines:
            raise SystemExit("The load generator failed; its message stands above.")
        return json.loads(lines[-1])

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


async def generate(kind: str, **job: Any) -> dict[str, Any]:
    generator = await Generator.start(kind, **job)
    try:
        return await generator.result()
    finally:
        await generator.end()


def arrival(exam: Exam, server: Child) -> dict[str, Any]:
    """What a client needs to begin: address, institution, exam and credentials."""
    secret = read_connection_file(exam.connection_file.read_bytes(), password=None).client_secret
    return {
        "port": server.port, "institution": exam.institution_id, "exam": exam.exam_id,
        "client_id": demo.CLIENT_ID, "client_secret": secret,
    }  # fmt: skip
