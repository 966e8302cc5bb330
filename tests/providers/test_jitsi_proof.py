"""The proof of a Jitsi, against a Jitsi with each fault: every one is told apart and named by the setting to change."""

from __future__ import annotations

import re

import pytest

from invigilo.providers.steps import JITSI_STEPS
from invigilo.service_command import sentences_of
from invigilo.simulate.jitsi import Mood
from invigilo.web.catalogue import Catalogue
from tests.providers.proving import BRIEF, QUICK, SURE, jitsi_proof

CATALOGUE = Catalogue.load()
NEVER_PROVEN = {"room_size": "limit_unknown", "media": "media_needs_people"}


async def test_a_jitsi_set_up_well_is_proven_step_by_step() -> None:
    proof = await jitsi_proof()
    assert list(proof.steps) == list(JITSI_STEPS)
    assert proof.failed() == {}
    assert proof.unproven() == NEVER_PROVEN
    assert proof.notes() == {}


FAULTS: dict[Mood, dict[str, str]] = {
    Mood.NOT_A_JITSI: {"address": "not_a_jitsi"},
    Mood.REDIRECTING: {"address": "redirected_elsewhere"},
    Mood.ANONYMOUS: {
        "forged_refused": "tokens_not_required",
        "anonymous_refused": "tokens_not_required",
        "other_room_refused": "tokens_not_required",
        "proctor_role": "tokens_not_required",
        "identity": "identity_missing",
    },
    Mood.ALLOW_EMPTY: {"anonymous_refused": "empty_tokens_allowed"},
    Mood.SECURE_DOMAIN: {
        "forged_refused": "other_login",
        "anonymous_refused": "other_login",
        "credentials": "other_login",
    },
    Mood.OTHER_APP: {"credentials": "wrong_app_id"},
    Mood.OTHER_SECRET: {"credentials": "wrong_secret"},
    Mood.OTHER_AUDIENCE: {"credentials": "wrong_audience"},
    Mood.OLD_TEXTS: {"credentials": "wrong_audience"},
    Mood.OTHER_ALGORITHM: {"credentials": "wrong_algorithm"},
    Mood.NO_ROOM_CHECK: {"other_room_refused": "room_not_checked"},
    Mood.JICOFO_AUTH: {"participant_role": "jicofo_auth", "participant_stays": "jicofo_auth"},
    Mood.AUTO_OWNER: {"participant_role": "auto_owner", "participant_stays": "auto_owner"},
    Mood.ALL_OWNERS: {"participant_role": "everybody_owner", "participant_stays": "everybody_owner"},
    Mood.WAIT_FOR_HOST: {"participant_role": "everybody_owner", "participant_stays": "everybody_owner"},
    Mood.NO_ROLE_PLUGIN: {"proctor_role": "no_role_plugin"},
    Mood.FORGEABLE: {"identity": "identity_forgeable"},
    Mood.GUESTS: {"guests_refused": "guests_on"},
    Mood.CLOCK_AHEAD: {"clock": "clock_ahead", "credentials": "clock_ahead"},
    Mood.CLOCK_BEHIND: {"clock": "clock_behind", "credentials": "clock_behind"},
    Mood.JICOFO_DOWN: {"conference": "jicofo_down"},
    Mood.LOBBY: {"participant_joins": "lobby_on"},
    Mood.FULL: {"proctor_role": "server_full"},
    Mood.IFRAME_DISABLED: {"iframe": "iframe_disabled"},
}


PATIENCE = {
    **dict.fromkeys((Mood.JICOFO_AUTH, Mood.AUTO_OWNER, Mood.FORGEABLE), SURE),
    **dict.fromkeys((Mood.ANONYMOUS, Mood.NO_ROLE_PLUGIN), BRIEF),
}


@pytest.mark.spec("live-proctoring", 13)
@pytest.mark.spec("live-proctoring", 14)
@pytest.mark.spec("live-proctoring", 15)
@pytest.mark.parametrize("mood", FAULTS)
async def test_each_fault_has_its_own_name(mood: Mood) -> None:
    """jitsi.md §5.4 and §5.5, row by row; and each can be read, with no hole left in its sentence."""
    proof = await jitsi_proof(mood, patience=PATIENCE.get(mood, QUICK))
    assert proof.failed() == FAULTS[mood]
    for step in proof.steps.values():
        for sentence in sentences_of(step, CATALOGUE, "en").values():
            assert not re.search(r"\{\w+\}|^proof\.", sentence), sentence


@pytest.mark.parametrize(
    "mood", [Mood.BOSH_ONLY, Mood.DEBIAN, Mood.VERIFIED_DOMAIN, Mood.JICOFO_SLOW], ids=lambda m: m.value
)
async def test_other_ways_of_being_set_up_well_are_proven_too(mood: Mood) -> None:
    """No WebSocket, Debian's config.js and domains, checked domains, a focus that is slow to get ready."""
    proof = await jitsi_proof(mood)
    assert proof.failed() == {}
    assert proof.unproven() == NEVER_PROVEN
