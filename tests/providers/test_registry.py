"""Which provider serves an exam: the definition's as it stands now, and one that says what is missing otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from invigilo.clock import SystemClock
from invigilo.errors import ProviderCredentials
from invigilo.exams.model import Exam, ProctoringSettings, SealedDefinition, Service
from invigilo.providers.base import Feature, Guest, JitsiTicket, RoomHandle
from invigilo.providers.jitsi_tokens import new_room_name
from invigilo.providers.meeting_page import meeting_page
from invigilo.providers.registry import NoProvider, Registry
from invigilo.secrets_box import SecretBox, new_key
from tests.providers.keys import APP_ID, jaas_values, jitsi_values
from tests.world import MORNING

BOX = SecretBox([new_key()])
SECRETS = {"app_secret", "private_key", "events_secret"}
GUEST = Guest("7", "Lea", is_proctor=False, expires_at=4_000_000_000_000)


@dataclass
class Held:
    definitions: dict[int, SealedDefinition] = field(default_factory=dict)


def sealed(
    service: Service, values: dict[str, str], *, box: SecretBox = BOX, revision: int = 0
) -> SealedDefinition:
    plain = {name: value for name, value in values.items() if name not in SECRETS}
    secrets = {name: box.encrypt(value) for name, value in values.items() if name in SECRETS}
    return SealedDefinition(1, 5, service, plain, secrets, revision)


def exam(service: Service, definition_id: int | None = 1, institution_id: int = 5) -> Exam:
    settings = ProctoringSettings(enabled=True, service=service, definition_id=definition_id)
    return Exam(
        9, institution_id, "Algebra", MORNING, MORNING + timedelta(hours=3), "", "00", proctoring=settings
    )


def registry(*definitions: SealedDefinition) -> Registry:
    return Registry(Held({one.id: one for one in definitions}), BOX, SystemClock())


def test_a_definition_is_opened_once_and_anew_when_anything_of_it_changed() -> None:
    before = sealed(Service.JITSI, jitsi_values())
    found = registry(before)
    first = found.provider_of(exam(Service.JITSI))
    assert found.provider_of(exam(Service.JITSI)) is first
    found.directory.definitions[1] = replace(
        before, sealed={"app_secret": BOX.encrypt("rotated-just-now")}, revision=1
    )
    second = found.provider_of(exam(Service.JITSI))
    assert second is not first
    room = RoomHandle(new_room_name(), "Room 1")
    one, other = (provider.ticket(room, GUEST) for provider in (first, second))
    assert isinstance(one, JitsiTicket)
    assert isinstance(other, JitsiTicket)
    assert one.token != other.token


@pytest.mark.parametrize(
    ("definition_id", "institution_id"),
    [(None, 5), (2, 5), (1, 6)],
    ids=["none", "unknown", "another institution's"],
)
async def test_an_exam_without_a_definition_of_its_own_says_what_is_missing(
    definition_id: int | None, institution_id: int
) -> None:
    found = registry(sealed(Service.JITSI, jitsi_values()))
    asked = exam(Service.JITSI, definition_id, institution_id)
    provider = found.provider_of(asked)
    assert isinstance(provider, NoProvider)
    assert Feature.NATIVE_JOIN in provider.features
    assert found.page_of(asked) is None
    with pytest.raises(ProviderCredentials, match="chosen"):
        await provider.check()


async def test_a_secret_sealed_with_another_key_stops_its_own_exams_only() -> None:
    stranger = sealed(Service.JITSI, jitsi_values(), box=SecretBox([new_key()]))
    found = registry(stranger)
    with pytest.raises(ProviderCredentials, match="another key"):
        await found.provider_of(exam(Service.JITSI)).check()
    await found.provider_of(exam(Service.BUILTIN)).check()


@pytest.mark.parametrize(
    ("address", "script", "domain", "origin"),
    [
        (
            "https://meet.example.org",
            "https://meet.example.org/external_api.js",
            "meet.example.org",
            "https://meet.example.org",
        ),
        (
            "https://meet.example.org:8443/halls",
            "https://meet.example.org:8443/halls/external_api.js",
            "meet.example.org:8443/halls",
            "https://meet.example.org:8443",
        ),
    ],
)
def test_port_and_path_survive(address: str, script: str, domain: str, origin: str) -> None:
    page = meeting_page(sealed(Service.JITSI, jitsi_values(server_url=address)))
    assert page is not None
    assert (page.script, page.domain, page.origin) == (script, domain, origin)


def test_jaas_lies_under_its_app_id() -> None:
    """jitsi.md §4."""
    page = meeting_page(sealed(Service.JAAS, jaas_values()))
    assert page is not None
    assert page.script == f"https://8x8.vc/{APP_ID}/external_api.js"
    assert (page.domain, page.origin) == ("8x8.vc", "https://8x8.vc")
