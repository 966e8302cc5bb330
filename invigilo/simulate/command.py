"""The command `invigilo simulate`: SEB clients against any server that speaks the protocol."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from pathlib import Path

from invigilo.commands import password_in, say
from invigilo.settings import Settings
from invigilo.simulate.run import SimulateOptions, Summary, simulate


def run(arguments: argparse.Namespace, _settings: Settings) -> int:
    options = SimulateOptions(
        server=arguments.server,
        connection_file=Path(arguments.connection),
        password=password_in(arguments.password_file),
        candidates=arguments.candidates,
        camera=arguments.camera,
        rate=arguments.rate,
        client=arguments.client,
        seconds=arguments.seconds,
        log_lines=arguments.log_lines,
        ping_interval=arguments.ping_interval,
        exam=arguments.exam,
    )
    summary = asyncio.run(_until_interrupted(options))
    say(str(summary))
    return 0 if summary.arrived == summary.candidates else 1


async def _until_interrupted(options: SimulateOptions) -> Summary:
    """The first Ctrl-C lets every client say goodbye and the summary be printed; a second one ends it at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    with contextlib.suppress(NotImplementedError):  # Windows has no such handlers
        loop.add_signal_handler(signal.SIGINT, interrupted)
    return await simulate(options, report=say, stop=stop)
