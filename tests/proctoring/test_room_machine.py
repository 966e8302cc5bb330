"""Any order of arrivals, losses, returns, restarts and kills: the promises about rooms hold after each step.

Always the same examples, so that nobody's commit fails by somebody else's luck. `EXPLORE=1000` in the environment tries that
many others and makes a failure small (with `--timeout=0`).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from invigilo.accounts.model import Account
from invigilo.proctoring.model import Perception, RoomKind
from invigilo.simulate.stand_in import Mood
from tests.proctoring.day import SYSTEMS, Seb, open_day
from tests.proctoring.test_calls import ADA, BEA

USERS = [f"user-{n}" for n in range(8)]
MACHINES = [f"LAB-{n:02d}" for n in range(8)]
EXPLORE = int(os.environ.get("EXPLORE", "0"))

proctors = st.sampled_from([ADA, BEA])
wishes = st.builds(Perception, st.booleans(), st.booleans(), st.booleans())
users, machines, systems = st.sampled_from(USERS), st.sampled_from(MACHINES), st.sampled_from(SYSTEMS)
someone = st.integers(0, 30)
"""Any of those who fit, by position."""
jobs = st.booleans()
sizes = st.none() | st.integers(1, 4)


class RoomMachine(RuleBasedStateMachine):
    """Every rule is one thing that happens on an exam day."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="rooms"))
        self.runner = asyncio.Runner()
        self.day = self.runner.run(open_day(self.folder))

    def teardown(self) -> None:
        try:
            self.runner.run(self.day.let_pass(timedelta(seconds=11)))
            self.day.service.mood = Mood.WELL
            self.then(jobs=True)
            self.runner.run(self.day.let_pass(timedelta(seconds=31)))  # failed steps are due again
            self.then(jobs=True)
            self.runner.run(self.day.check_obeyed())
        finally:
            self.runner.run(self.day.over())
            self.runner.close()
            shutil.rmtree(self.folder)

    def pick(self, which: int, sebs: list[Seb]) -> Seb:
        return sebs[which % len(sebs)]

    @property
    def is_running(self) -> bool:
        return self.day.is_running

    @property
    def silent(self) -> list[Seb]:
        return [seb for seb in self.day.inside if not seb.is_pinging]

    @property
    def pinging(self) -> list[Seb]:
        return [seb for seb in self.day.inside if seb.is_pinging]

    def then(self, jobs: bool) -> None:
        """What happened meets jobs that had their turn since, or jobs that had not."""
        if jobs:
            self.runner.run(self.day.work())
            self.runner.run(self.day.check_settled())

    # --- candidates ---

    @initialize(count=st.integers(0, 8))
    def begin(self, count: int) -> None:
        self.arrive_together(count)

    @precondition(lambda self: self.is_running)
    @rule(user=users, machine=machines, system=systems)
    def arrive(self, user: str, machine: str, system: str) -> None:
        self.runner.run(self.day.arrive(user, machine, system))

    @precondition(lambda self: self.is_running)
    @rule(count=st.integers(2, 6))
    def arrive_together(self, count: int) -> None:
        async def arrive() -> None:
            pairs = zip(USERS[:count], MACHINES[:count], strict=True)
            await asyncio.gather(*(self.day.enter(user, machine) for user, machine in pairs))

        self.runner.run(arrive())

    @precondition(lambda self: self.is_running and self.pinging)
    @rule(which=someone, jobs=jobs)
    def activate(self, which: int, jobs: bool) -> None:
        self.runner.run(self.day.activate(self.pick(which, self.pinging)))
        self.then(jobs)

    @precondition(lambda self: self.pinging)
    @rule(which=someone, silent_for=st.sampled_from([121, 16]), jobs=jobs)
    def lose(self, which: int, silent_for: int, jobs: bool) -> None:
        self.pick(which, self.pinging).is_pinging = False
        self.runner.run(self.day.let_pass(timedelta(seconds=silent_for)))
        self.then(jobs)

    @precondition(lambda self: self.silent)
    @rule(which=someone, jobs=jobs)
    def resume(self, which: int, jobs: bool) -> None:
        seb = self.pick(which, self.silent)
        seb.is_pinging = True
        self.day.ping(seb)
        self.then(jobs)

    @precondition(lambda self: self.is_running and self.day.inside)
    @rule(which=someone, after=st.sampled_from([0, 3, 16, 121]), machine=st.none() | machines, jobs=jobs)
    def return_on_a_new_connection(self, which: int, after: int, machine: str | None, jobs: bool) -> None:
        """SEB died and starts again, on the same machine or on another."""
        old = self.pick(which, self.day.inside)
        old.is_pinging = False
        self.runner.run(self.day.let_pass(timedelta(seconds=after)))
        self.then(jobs)
        machine = machine or old.device.machine_name or ""
        self.runner.run(self.day.enter(old.user, machine, old.device.os_name or ""))

    @precondition(lambda self: self.day.inside)
    @rule(which=someone, jobs=jobs)
    def close(self, which: int, jobs: bool) -> None:
        self.runner.run(self.day.leave(self.pick(which, self.day.inside)))
        self.then(jobs)

    # --- the exam ---

    @rule(size=sizes, jobs=jobs)
    def resize(self, size: int | None, jobs: bool) -> None:
        self.runner.run(self.day.resize(size))
        self.then(jobs)

    @precondition(lambda self: self.is_running)
    @rule(jobs=jobs)
    def end(self, jobs: bool) -> None:
        self.runner.run(self.day.end())
        self.then(jobs)

    @precondition(lambda self: not self.is_running)
    @rule(jobs=jobs)
    def reopen(self, jobs: bool) -> None:
        self.runner.run(self.day.reopen())
        self.then(jobs)

    # --- proctors ---

    @precondition(lambda self: self.is_running)
    @rule(by=proctors, jobs=jobs)
    def open_town_hall(self, by: Account, jobs: bool) -> None:
        self.runner.run(self.day.open_call(RoomKind.TOWN_HALL, [], by))
        self.then(jobs)

    @precondition(lambda self: self.is_running and self.day.inside)
    @rule(which=st.lists(someone, min_size=1, max_size=3), by=proctors, jobs=jobs)
    def call_aside(self, which: list[int], by: Account, jobs: bool) -> None:
        sebs = [self.pick(one, self.day.inside) for one in which]
        self.runner.run(self.day.open_call(RoomKind.BREAK_OUT, sebs, by))
        self.then(jobs)

    @rule(which=someone, by=proctors, times=st.integers(1, 2), jobs=jobs)
    def close_call(self, which: int, by: Account, times: int, jobs: bool) -> None:
        calls = [room for room in self.runner.run(self.day.rooms()) if room.is_call]
        for _ in range(times if calls else 0):
            self.runner.run(self.day.close_call(calls[which % len(calls)].id, by))
        self.then(jobs)

    @precondition(lambda self: len(self.day.pages) < 4)
    @rule(by=proctors)
    def open_page(self, by: Account) -> None:
        self.day.open_page(by)

    @precondition(lambda self: self.day.pages)
    @rule(page=someone, which=someone, wish=wishes, jobs=jobs)
    def let_a_room_perceive(self, page: int, which: int, wish: Perception, jobs: bool) -> None:
        rooms = self.runner.run(self.day.rooms())
        if rooms:
            room = rooms[which % len(rooms)]
            mine = self.day.pages[page % len(self.day.pages)]
            self.runner.run(self.day.hold(mine, room.id, wish))
        self.then(jobs)

    @precondition(lambda self: self.day.pages)
    @rule(page=someone)
    def a_proctors_browser_dies(self, page: int) -> None:
        """Nobody says anything: its leases run out."""
        del self.day.pages[page % len(self.day.pages)]

    @rule(lossy=st.booleans(), times=st.integers(1, 3))
    def pings_bring_instructions(self, lossy: bool, times: int) -> None:
        for _ in range(times):
            self.runner.run(self.day.deliver(lossy=lossy))

    # --- the service, the server, time ---

    @rule(mood=st.sampled_from([Mood.WELL, Mood.DOWN]))
    def service_changes_its_mood(self, mood: Mood) -> None:
        self.day.service.mood = mood

    @rule(how=st.sampled_from(["gracefully", "killed", "killed in a call"]))
    def server_starts_again(self, how: str) -> None:
        match how:
            case "gracefully":
                self.runner.run(self.day.restart())
            case "killed":
                self.runner.run(self.day.kill())
            case _:
                self.runner.run(self.day.kill_in_a_call())

    @rule(seconds=st.sampled_from([1, 6, 16, 35]))
    def time_passes(self, seconds: int) -> None:
        self.runner.run(self.day.let_pass(timedelta(seconds=seconds)))
        self.then(jobs=True)

    @invariant()
    def holds(self) -> None:
        self.runner.run(self.day.check())


RoomMachine.TestCase.settings = settings(
    settings.get_profile("house"),
    max_examples=EXPLORE or 14,
    stateful_step_count=30,
    derandomize=not EXPLORE,
    database=None,
    phases=list(Phase) if EXPLORE else [Phase.generate],  # making a failure small takes minutes
)
TestRoomMachine = RoomMachine.TestCase
