"""The proof of a Zoom account, mood by mood: what is wrong is named, with its user or scope, and nothing is left behind."""

from __future__ import annotations

from contextlib import aclosing
from datetime import date

import pytest

from invigilo.clock import SetClock, SystemClock, from_ms
from invigilo.errors import ProviderCredentials, ProviderError, ProviderRefused, ProviderUnavailable
from invigilo.providers.base import ZoomTicket
from invigilo.providers.description import ZOOM, BadFields, check_values
from invigilo.providers.proof import Outcome, prove
from invigilo.providers.steps import ZOOM_STEPS, ProofFailed, Step
from invigilo.providers.zoom import ZoomProvider
from invigilo.providers.zoom_client import Waits
from invigilo.providers.zoom_join import put_in, steps_of_join, wants_join
from invigilo.providers.zoom_proof import meeting_to_join, next_raise
from invigilo.providers.zoom_settings import ZoomSettings
from invigilo.simulate.zoom import ZoomMood, ZoomStandIn, zoom_stand_in
from invigilo.simulate.zoom_api import Fault
from invigilo.simulate.zoom_rules import JoinRefused, Seed, User
from tests.providers.keys import zoom_values
from tests.providers.proving import Proof, proof_of
from tests.providers.zoom_world import START

HOST = "host1@example.org"
UNPROVEN = {
    "zoom_sdk": "zoom_sdk_needs_join",
    "zoom_account": "zoom_account_needs_join",
    "zoom_reports": "zoom_reports_unset",
    "zoom_media": "zoom_media_needs_people",
}


async def zoom_proof(
    mood: ZoomMood = ZoomMood.WELL, seed: Seed | None = None, stand_ins: list[ZoomStandIn] | None = None, **values: str
) -> Proof:  # fmt: skip
    async with zoom_stand_in(seed, mood) as stand_in:
        if stand_ins is not None:
            stand_ins.append(stand_in)
        proof = await proof_of("zoom", zoom_values(stand_in.url, **values))
        assert stand_in.core.meetings == {}, "whatever came of it, no meeting stays"
        assert stand_in.api.ignored == []
        return proof


async def test_an_account_that_is_well_is_proven_as_far_as_it_can_be() -> None:
    stand_ins: list[ZoomStandIn] = []
    proof = await zoom_proof(stand_ins=stand_ins)
    assert list(proof.steps) == list(ZOOM_STEPS)
    assert proof.failed() == {}
    assert proof.unproven() == UNPROVEN
    assert stand_ins[0].core.created_ever == 1
    assert stand_ins[0].api.given == 1
    assert proof.values("zoom_host") == {"host": HOST}


@pytest.mark.spec("live-proctoring", 17)
@pytest.mark.parametrize(
    ("mood", "failed"),
    [
        (ZoomMood.WRONG_SECRET, {"zoom_token": "zoom_wrong_client"}),
        (ZoomMood.APP_OFF, {"zoom_token": "zoom_wrong_client"}),
        (ZoomMood.OTHER_ACCOUNT, {"zoom_token": "zoom_wrong_account"}),
        (ZoomMood.BASIC_HOST, {"zoom_host": "zoom_host_basic"}),
        (ZoomMood.INACTIVE_HOST, {"zoom_host": "zoom_host_inactive"}),
        (ZoomMood.NO_HOST, {"zoom_host": "zoom_host_unknown"}),
        (ZoomMood.FOREIGN_HOST, {"zoom_account": "zoom_other_account"}),
        (ZoomMood.MAY_NOT_HOST, {"zoom_meeting": "zoom_may_not_host"}),
        (ZoomMood.NO_ZAK, {"zoom_host_key": "zoom_no_host_key"}),
        (ZoomMood.LOCKED_WAITING_ROOM, {"zoom_meeting": "zoom_waiting_room_locked"}),
        (ZoomMood.LOCKED_AUTHENTICATION, {"zoom_meeting": "zoom_authentication_locked"}),
        (ZoomMood.NUMERIC_PASSCODES, {}),
        (ZoomMood.CLOCK_AHEAD, {"zoom_clock": "zoom_clock_off"}),
        (ZoomMood.CLOCK_OFF_BY_A_MINUTE, {}),
        (ZoomMood.OLD_SCOPES, {}),
        (ZoomMood.SDK_NOT_SERVED, {"zoom_sdk_version": "zoom_sdk_not_served"}),
        (ZoomMood.SMALL_ROOMS, {"zoom_capacity": "zoom_capacity_small"}),
        (ZoomMood.OTHER_SDK_SECRET, {}),
    ],
)
async def test_what_is_wrong_is_named(mood: ZoomMood, failed: dict[str, str]) -> None:
    proof = await zoom_proof(mood)
    assert {code: cause for code, cause in proof.failed().items() if code != "zoom_scopes"} == failed
    for step in proof.steps.values():
        if step.code in {"zoom_host", "zoom_meeting", "zoom_host_key"}:
            assert step.values["host"] == HOST, "the user is named"


@pytest.mark.spec("live-proctoring", 17)
async def test_missing_scopes_are_named_one_by_one() -> None:
    proof = await zoom_proof(ZoomMood.FEW_SCOPES)
    assert proof.failed()["zoom_scopes"] == "zoom_scopes_missing"
    values = proof.values("zoom_scopes")
    assert values == {"scopes": "user:read:token:admin, meeting:update:status:admin", "count": 2}


@pytest.mark.spec("live-proctoring", 18)
@pytest.mark.parametrize(
    "mood", [ZoomMood.OTHER_SDK_SECRET, ZoomMood.OTHER_SDK_KEY, ZoomMood.SDK_DISABLED, ZoomMood.WELL]
)
async def test_without_a_browser_the_sdks_pair_is_never_said_to_be_right(mood: ZoomMood) -> None:
    """On the command line and by the API: nothing but a join could tell."""
    proof = await zoom_proof(mood)
    assert proof.steps["zoom_sdk"].outcome is Outcome.NOT_PROVABLE


@pytest.mark.spec("live-proctoring", 17, 18)
@pytest.mark.parametrize(
    ("mood", "outcome", "cause"),
    [
        (ZoomMood.WELL, "ok", "zoom_joined"),
        (ZoomMood.OTHER_SDK_KEY, "failed", "zoom_sdk_wrong_key"),
        (ZoomMood.OTHER_SDK_SECRET, "failed", "zoom_sdk_wrong_secret"),
        (ZoomMood.SDK_DISABLED, "failed", "zoom_sdk_key_off"),
        (ZoomMood.SDK_TOO_OLD, "failed", "zoom_sdk_outdated"),
        (ZoomMood.LOCKED_WAITING_ROOM, "not_provable", "zoom_join_unclear"),
    ],
)
async def test_a_join_says_what_the_pair_is_worth(mood: ZoomMood, outcome: str, cause: str) -> None:
    """As a browser's SDK would join; whatever Zoom says, the meeting made for it is gone afterwards."""
    async with zoom_stand_in(None, mood) as stand_in:
        settings = ZoomSettings.of(zoom_values(stand_in.url))
        async with meeting_to_join(settings, clock=SystemClock()) as ticket:
            state, code = joined_by(stand_in, ticket, settings.sdk_version)
        assert stand_in.core.meetings == {}
        steps = {one.code: one for one in steps_of_join(state, code, sdk="there", version="6.2.0")}
    assert (steps["zoom_sdk"].outcome.value, steps["zoom_sdk"].cause) == (outcome, cause)


def joined_by(stand_in: ZoomStandIn, ticket: ZoomTicket, version: str) -> tuple[str, int]:
    wish = {"signature": ticket.signature, "meetingNumber": ticket.number, "sdkVersion": version}
    try:
        member = stand_in.core.join({**wish, "passcode": ticket.passcode})
    except JoinRefused as refused:
        return "failed", refused.code
    return ("joined", 0) if member.state == "in_meeting" else ("failed", 3008)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Fault("GET", "meetings$", 9, status=200, body={"meetings": [{"id": 1}]}), "zoom_join_hosts_busy"),
        (Fault("POST", "meetings$", 9, status=400, body={"code": 3161, "message": "x"}), "zoom_may_not_host"),
        (Fault("POST", "meetings$", drop="after"), "zoom_down"),
    ],
)
async def test_without_a_meeting_there_is_no_join_and_nothing_stays(fault: Fault, cause: str) -> None:
    async with zoom_stand_in() as stand_in:
        stand_in.api.faults.append(fault)
        settings = ZoomSettings.of(zoom_values(stand_in.url))
        with pytest.raises(ProofFailed) as why:
            async with meeting_to_join(settings, clock=SystemClock()):
                pytest.fail("there is no meeting to join")
        assert why.value.cause == cause
        assert stand_in.core.meetings == {}


async def test_a_host_whose_room_waits_for_its_people_is_left_to_them() -> None:
    """Nobody is in it yet, so it is not live: the exam begins in a minute."""
    async with zoom_stand_in() as stand_in:
        settings = ZoomSettings.of(zoom_values(stand_in.url))
        for host in settings.hosts:
            user = stand_in.core.user(host)
            assert user is not None
            stand_in.core.create(user, {"agenda": "invigilo:0f3a:room", "type": 2})
        with pytest.raises(ProofFailed) as why:
            async with meeting_to_join(settings, clock=SystemClock()):
                pytest.fail("the hosts are taken")
        assert why.value.cause == "zoom_join_hosts_busy"


async def test_a_meeting_that_still_ends_is_deleted_once_it_has() -> None:
    async def at_once(_seconds: float) -> None:
        return

    async with zoom_stand_in() as stand_in:
        settings = ZoomSettings.of(zoom_values(stand_in.url))
        async with meeting_to_join(settings, clock=SystemClock(), waits=Waits(at_once)):
            still = {"code": 3002, "message": "in progress"}
            stand_in.api.faults.append(Fault("DELETE", "meetings/", 2, status=400, body=still))
        assert stand_in.core.meetings == {}


def test_a_join_takes_the_places_of_the_steps_it_answers_and_of_no_others() -> None:
    before = [
        Step(code, Outcome(outcome)).as_json()
        for code, outcome in {
            "zoom_meeting": "ok",
            "zoom_sdk": "not_provable",
            "zoom_account": "failed",
            "zoom_media": "not_provable",
        }.items()
    ]
    assert wants_join(before)
    after = put_in(before, steps_of_join("joined", 0, sdk="there", version="6.2.0"))
    assert [one["outcome"] for one in after] == ["ok", "ok", "failed", "not_provable"]
    assert not wants_join(after), "it is asked for once"
    no_meeting = [Step("zoom_meeting", Outcome.FAILED).as_json(), *before[1:]]
    assert not wants_join(no_meeting)


async def test_the_pair_of_the_other_app_is_recognised() -> None:
    proof = await zoom_proof(client_id="sdk-key-1", client_secret="sdk-secret-1", sdk_key="client-1")
    assert proof.failed()["zoom_token"] == "zoom_not_s2s"
    proof = await zoom_proof(sdk_key="client-1")
    assert proof.failed() == {"zoom_sdk": "zoom_sdk_is_s2s"}


async def test_warnings_stop_nobody() -> None:
    async with zoom_stand_in(None, ZoomMood.CLOCK_OFF_BY_A_MINUTE) as stand_in:
        stand_in.clock.fixed = START
        proof = await proof_of(
            "zoom", zoom_values(stand_in.url), clock=SetClock(from_ms(round(START * 1000)))
        )
    assert proof.notes()["zoom_clock"] == "zoom_clock_near"
    assert proof.values("zoom_clock")["seconds"] == 60
    assert proof.notes()["zoom_capacity"] == "zoom_capacity_is"


async def test_more_rooms_at_once_than_the_plan_allows_are_refused() -> None:
    proof = await zoom_proof(per_host="2")
    assert proof.failed() == {"zoom_capacity": "zoom_too_many_live"}
    assert (await zoom_proof(seed=Seed(plan="business"), per_host="2")).failed() == {}


async def test_every_host_is_looked_at() -> None:
    users = [User("zu1", HOST), User("zu2", "host2@example.org", type=1), User("zu3", "host3@example.org")]
    async with zoom_stand_in(Seed(users=users)) as stand_in:
        values = zoom_values(stand_in.url, hosts="\n".join(user.email for user in users))
        steps = [step async for step in prove("zoom", values, clock=SystemClock())]
        assert stand_in.core.meetings == {}
    hosts = [(one.values["host"], one.outcome) for one in steps if one.code == "zoom_host"]
    assert hosts == [
        (HOST, Outcome.OK),
        ("host2@example.org", Outcome.FAILED),
        ("host3@example.org", Outcome.OK),
    ]


async def test_an_old_sdk_is_refused_before_zoom_does() -> None:
    proof = await zoom_proof(sdk_version="2.8.0")
    assert proof.failed() == {"zoom_sdk_version": "zoom_sdk_old"}


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (date(2026, 6, 1), date(2026, 8, 1)),
        (date(2026, 8, 1), date(2026, 8, 1)),
        (date(2026, 11, 8), date(2027, 2, 6)),
    ],
)
def test_the_next_raise_is_on_a_first_weekend(today: date, expected: date) -> None:
    assert next_raise(today) == expected
    assert expected.weekday() == 5


async def test_an_asker_who_goes_away_leaves_no_meeting() -> None:
    async with zoom_stand_in() as stand_in:
        steps = prove("zoom", zoom_values(stand_in.url), clock=SystemClock())
        async with aclosing(steps):
            async for step in steps:
                if step.code == "zoom_meeting":
                    assert len(stand_in.core.meetings) == 1
                    break
        assert stand_in.core.meetings == {}


async def test_a_probe_whose_answer_was_lost_is_found_and_deleted() -> None:
    async with zoom_stand_in() as stand_in:
        stand_in.api.faults.append(Fault("POST", "meetings$", drop="after"))
        proof = await proof_of("zoom", zoom_values(stand_in.url))
        assert proof.failed()["zoom_meeting"] == "zoom_down"
        assert stand_in.core.created_ever == 1
        assert stand_in.core.meetings == {}


async def test_a_delete_that_is_refused_is_said() -> None:
    async with zoom_stand_in() as stand_in:
        stand_in.api.faults.append(
            Fault("DELETE", "/meetings/", status=400, body={"code": 9_999, "message": "x"})
        )
        proof = await proof_of("zoom", zoom_values(stand_in.url))
        assert proof.failed() == {"zoom_removed": "zoom_not_deleted"}
        assert stand_in.core.meetings == {}, "tried again at the end"


@pytest.mark.parametrize(
    ("mood", "raises"),
    [
        (ZoomMood.WRONG_SECRET, ProviderCredentials),
        (ZoomMood.FEW_SCOPES, ProviderCredentials),
        (ZoomMood.BASIC_HOST, ProviderRefused),
        (ZoomMood.PROXY_PAGE, ProviderUnavailable),
    ],
)
async def test_the_check_raises_what_a_room_would_meet(mood: ZoomMood, raises: type[ProviderError]) -> None:
    async with zoom_stand_in(None, mood) as stand_in:
        provider = ZoomProvider(ZoomSettings.of(zoom_values(stand_in.url)), clock=SystemClock())
        with pytest.raises(raises):
            await provider.check()


# --- what an administrator may enter ---


@pytest.mark.spec("live-proctoring", 3)
@pytest.mark.parametrize("name", ["account_id", "client_id", "client_secret", "sdk_key", "sdk_secret"])
def test_each_of_the_five_is_needed(name: str) -> None:
    values = zoom_values()
    del values[name]
    with pytest.raises(BadFields) as refused:
        check_values(ZOOM, values, stored=frozenset())
    assert [(one.field, one.code) for one in refused.value.problems] == [(name, "missing")]


@pytest.mark.spec("live-proctoring", 3)
def test_all_that_is_missing_is_said_at_once() -> None:
    with pytest.raises(BadFields) as refused:
        check_values(ZOOM, {}, stored=frozenset())
    assert [one.field for one in refused.value.problems] == [
        "account_id", "client_id", "client_secret", "sdk_key", "sdk_secret", "hosts",
    ]  # fmt: skip


def test_hosts_are_kept_one_a_line_and_odd_ones_refused() -> None:
    kept = check_values(ZOOM, zoom_values(hosts=" a@x.org, b@x.org\r\n zu3 ;a@x.org "), stored=frozenset())
    assert kept["hosts"] == "a@x.org\nb@x.org\nzu3"
    for hosts, version, field in (("a b@x.org/?", "6.2.0", "hosts"), ("a@x.org", "newest", "sdk_version")):
        with pytest.raises(BadFields) as refused:
            check_values(ZOOM, zoom_values(hosts=hosts, sdk_version=version), stored=frozenset())
        assert [one.field for one in refused.value.problems] == [field]
