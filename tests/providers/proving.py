"""A proof against a stand-in in some mood, quickly."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack
from typing import Any

from invigilo.clock import Clock, SystemClock
from invigilo.providers.description import DESCRIPTIONS, check_values
from invigilo.providers.proof import Outcome, Patience, Step, collected, prove
from invigilo.simulate.jitsi import JitsiStandIn, Mood, jitsi_stand_in
from invigilo.simulate.jitsi_rules import Deployment
from tests.providers.keys import jitsi_values

QUICK = Patience(step=60.0, comes=30.0, settle=0.25, spacing=0.0)
SURE = Patience(step=60.0, comes=30.0, settle=3.0, spacing=0.0)
"""Where what should not come does: it is waited for no longer than it takes."""
BRIEF = Patience(step=60.0, comes=0.25, settle=0.25, spacing=0.0)
"""Where what should come does not."""
SECRET = jitsi_values()["app_secret"]
WELL = Deployment(jwt_app_id="exam-office", jwt_app_secret=SECRET)


class Proof:
    """The steps by code, and shorthands to ask them."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = {one.code: one for one in steps}

    def failed(self) -> dict[str, str | None]:
        return {code: s.cause for code, s in self.steps.items() if s.outcome is Outcome.FAILED}

    def unproven(self) -> dict[str, str | None]:
        return {code: s.cause for code, s in self.steps.items() if s.outcome is Outcome.NOT_PROVABLE}

    def notes(self) -> dict[str, str | None]:
        return {code: s.cause for code, s in self.steps.items() if s.outcome is Outcome.OK and s.cause}

    def values(self, code: str) -> dict[str, Any]:
        return dict(self.steps[code].values)


async def proof_of(
    service: str, values: dict[str, str], *, trust: ssl.SSLContext | None = None,
    patience: Patience = QUICK, clock: Clock | None = None,
) -> Proof:  # fmt: skip
    checked = check_values(DESCRIPTIONS[service], values, stored=frozenset())
    steps = prove(service, checked, clock=clock or SystemClock(), trust=trust, patience=patience)
    return Proof(await collected(steps))


async def jitsi_proof(
    mood: Mood = Mood.WELL, *, server: Deployment = WELL, path: str = "", stand_ins: list[JitsiStandIn] | None = None,
    patience: Patience = QUICK, **values: str
) -> Proof:  # fmt: skip
    """Start a Jitsi in this mood, prove it, stop it; `stand_ins` is told which one it was."""
    async with AsyncExitStack() as stack:
        stand_in = await stack.enter_async_context(jitsi_stand_in(server, mood, path=path))
        if stand_ins is not None:
            stand_ins.append(stand_in)
        return await proof_of("jitsi", jitsi_values(server_url=stand_in.url) | values, patience=patience)
