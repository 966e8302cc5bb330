"""The proof of a JaaS tenant: what can be known before anything is asked, and what only the service knows."""

from __future__ import annotations

import pytest

from invigilo.clock import SystemClock
from invigilo.providers.jitsi_settings import JaasSettings
from invigilo.providers.proof import collected, prove_jaas
from invigilo.providers.steps import JAAS_STEPS
from invigilo.simulate.jaas import JaasMood, jaas_stand_in
from tests.providers.keys import APP_ID, KEY_ID, OTHER_APP_ID, ec_key, jaas_values, public_half, rsa_key
from tests.providers.proving import QUICK, Proof

KEYS = {f"{APP_ID}/{KEY_ID}": public_half()}


async def jaas_proof(mood: JaasMood = JaasMood.WELL, **values: str) -> Proof:
    """Past the form, as the command line and a stored definition come."""
    async with jaas_stand_in(APP_ID, KEYS, mood, other_public_key=public_half("other")) as stand_in:
        settings = JaasSettings.of(jaas_values(server_url=stand_in.url) | values)
        proof = Proof(await collected(prove_jaas(settings, clock=SystemClock(), trust=None, patience=QUICK)))
        assert stand_in.rooms.by_name == {}, "nobody stays behind"
        names = {body["data"].get("id") for _, body in stand_in.reports.sent if "id" in body["data"]}
        assert len(names) <= 1, "every try is one person on the bill"
        return proof


@pytest.mark.spec("live-proctoring", 16)
@pytest.mark.parametrize("key_id", [KEY_ID, f"{APP_ID}/{KEY_ID}"])
async def test_a_tenant_set_up_well_is_proven_step_by_step(key_id: str) -> None:
    proof = await jaas_proof(key_id=key_id)
    assert list(proof.steps) == list(JAAS_STEPS)
    assert proof.failed() == {}
    assert proof.unproven() == {"media": "media_needs_people"}


@pytest.mark.spec("live-proctoring", 16)
@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"private_key": ec_key()}, "key_not_rsa"),
        ({"private_key": public_half()}, "public_key"),
        ({"app_id": "vpaas-magic-cookie-1"}, "app_id_form"),
        ({"app_id": OTHER_APP_ID}, "key_id_of_other_app"),
        ({"key_id": "two words"}, "key_id_form"),
    ],
)
async def test_what_the_key_itself_gives_away_is_said_without_asking(
    values: dict[str, str], cause: str
) -> None:
    proof = await jaas_proof(**values)
    assert proof.failed() == {"key": cause}
    assert proof.unproven()["credentials"] == "needs_step"


@pytest.mark.spec("live-proctoring", 16)
@pytest.mark.parametrize(
    ("mood", "step", "cause"),
    [
        (JaasMood.UNKNOWN_APP, "script", "app_id_unknown"),
        (JaasMood.UNKNOWN_KEY, "credentials", "key_id_unknown"),
        (JaasMood.OTHER_KEY, "credentials", "key_not_uploaded"),
        (JaasMood.DOWN, "conference", "jicofo_down"),
    ],
)
async def test_what_only_the_service_knows_has_its_own_name(mood: JaasMood, step: str, cause: str) -> None:
    assert (await jaas_proof(mood)).failed() == {step: cause}


async def test_a_key_that_was_never_uploaded_is_no_wrong_key_id() -> None:
    assert (await jaas_proof(private_key=rsa_key("third"))).failed() == {"credentials": "key_not_uploaded"}
