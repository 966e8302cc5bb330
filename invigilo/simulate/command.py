"""The command `invigilo simulate`: SEB clients against any server that speaks the protocol."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from invigilo.commands import password_in, say
from invigilo.settings import Settings
from invigilo.simulate.run import SimulateOptions, simulate


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
    summary = asyncio.run(simulate(options, report=say))
    say(str(summary))
    return 0
