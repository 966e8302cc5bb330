"""Which provider serves an exam, and which services can be chosen at all.

An exam names a service definition, and the directory holds all of them, so a changed address or a rotated secret is used
by every node from its next look at the directory on. Nothing that was made of the old one is used again: a provider is kept
for as long as the definition it was made of stands, to the last character.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from invigilo.clock import Clock
from invigilo.errors import BadInput, ProviderCredentials, Sentence
from invigilo.exams.model import Exam, SealedDefinition, Service
from invigilo.providers.base import (
    Challenge,
    Feature,
    Guest,
    Headers,
    JoinTicket,
    Provider,
    ProviderEvent,
    RoomHandle,
    RoomSpec,
    ZoomTicket,
)
from invigilo.providers.builtin import BuiltinProvider
from invigilo.providers.description import DESCRIPTIONS, ServiceDescription
from invigilo.providers.jaas import JaasProvider
from invigilo.providers.jitsi import JitsiProvider
from invigilo.providers.jitsi_settings import JaasSettings, JitsiSettings
from invigilo.providers.meeting_page import MeetingPage, meeting_page
from invigilo.providers.proof import Step, prove
from invigilo.providers.zoom import ZoomProvider
from invigilo.providers.zoom_pool import HostBook
from invigilo.providers.zoom_proof import meeting_to_join
from invigilo.providers.zoom_settings import ZoomSettings

ProviderOf = Callable[[Exam], Provider]
Prove = Callable[[Service, Mapping[str, str]], AsyncGenerator[Step]]
"""From a service and its values, secrets revealed, to the steps of its proof as they are known."""
ToJoin = Callable[[Service, Mapping[str, str]], AbstractAsyncContextManager[ZoomTicket]]
"""A meeting of its own for one browser to join, where only that proves the rest. Raises ProofFailed."""


def _nothing_to_join(service: Service, values: Mapping[str, str]) -> AbstractAsyncContextManager[ZoomTicket]:  # noqa: ARG001
    raise BadInput("No step of this service's test needs a browser that joins.", field="service")


@dataclass(frozen=True, slots=True)
class Offer:
    """The services that exams can choose here, in the order the dialog shows them, and how one is proven."""

    descriptions: Mapping[Service, ServiceDescription]
    prove: Prove
    to_join: ToJoin = _nothing_to_join


def offer(clock: Clock) -> Offer:
    """What a `Registry` can serve."""

    def steps(service: Service, values: Mapping[str, str]) -> AsyncGenerator[Step]:
        return prove(service.value, values, clock=clock)

    def to_join(service: Service, values: Mapping[str, str]) -> AbstractAsyncContextManager[ZoomTicket]:
        if service is not Service.ZOOM:
            return _nothing_to_join(service, values)
        return meeting_to_join(ZoomSettings.of(values), clock=clock)

    return Offer({Service(one.service): one for one in DESCRIPTIONS.values()}, steps, to_join)


_builtin = BuiltinProvider()


def provider_of(exam: Exam) -> Provider:
    """Where there are no definitions: built-in rooms, and for every other service one that says what is missing."""
    service = exam.proctoring.service
    return _builtin if service is Service.BUILTIN else NoProvider(service)


def provider_from(
    service: str, values: Mapping[str, str], *, clock: Clock, book: HostBook | None = None
) -> Provider:
    """The provider of a service definition: its kind, and its values with their secrets revealed."""
    match service:
        case "jitsi":
            return JitsiProvider(JitsiSettings.of(values), clock=clock)
        case "jaas":
            return JaasProvider(JaasSettings.of(values), clock=clock)
        case "zoom":
            return ZoomProvider(ZoomSettings.of(values), clock=clock, book=book)
        case _:
            return _builtin


class NoProvider:
    """Stands where a definition is missing or cannot be opened: every call says so, and no other exam suffers."""

    def __init__(self, service: Service, message: str | Sentence = "") -> None:
        description = DESCRIPTIONS[service.value]
        self.features: frozenset[Feature] = description.features
        self.cannot: Mapping[Feature, Sentence] = description.calls_missing
        self.hall_size: int | None = description.hall_size
        self.message = message or Sentence(
            "no_service",
            "No meeting service is chosen for this exam. An administrator should choose one in its settings.",
        )

    async def check(self) -> None:
        raise ProviderCredentials(self.message)

    async def open_room(self, spec: RoomSpec) -> RoomHandle:  # noqa: ARG002
        raise ProviderCredentials(self.message)

    async def close_room(self, room: RoomHandle) -> None:  # noqa: ARG002
        raise ProviderCredentials(self.message)

    def ticket(self, room: RoomHandle, guest: Guest) -> JoinTicket:  # noqa: ARG002
        raise ProviderCredentials(self.message)

    def identity_of(self, room: RoomHandle, identity: str) -> str:  # noqa: ARG002
        return identity

    def read_webhook(self, headers: Headers, body: bytes) -> ProviderEvent | Challenge | None:  # noqa: ARG002
        raise ProviderCredentials(self.message)


class Definitions(Protocol):
    """What holds the definitions, newest first seen; the directory does."""

    @property
    def definitions(self) -> dict[int, SealedDefinition]: ...


class Opens(Protocol):
    def decrypt(self, sealed: str) -> str: ...


@dataclass(slots=True)
class Registry:
    """The providers of this node, made of the definitions as they stand."""

    directory: Definitions
    box: Opens
    clock: Clock
    book_of: Callable[[int], HostBook | None] = lambda _definition_id: None
    """Where a definition's bookings are kept, for services that have some."""
    _made: dict[int, tuple[SealedDefinition, Provider]] = field(
        default_factory=dict[int, "tuple[SealedDefinition, Provider]"]
    )

    def provider_of(self, exam: Exam) -> Provider:
        service = exam.proctoring.service
        if service is Service.BUILTIN:
            return _builtin
        definition = self.definition_of(exam)
        return NoProvider(service) if definition is None else self.provider(definition)

    def definition_of(self, exam: Exam) -> SealedDefinition | None:
        """The exam's service definition; None without one, or with one that is not of its service and institution."""
        found = self.directory.definitions.get(exam.proctoring.definition_id or 0)
        fits = found is not None and (found.service, found.institution_id) == (
            exam.proctoring.service,
            exam.institution_id,
        )
        return found if fits else None

    def page_of(self, exam: Exam) -> MeetingPage | None:
        """Where the exam's pages find its meetings; None for built-in rooms, and where nothing is set up."""
        definition = self.definition_of(exam)
        return None if definition is None else meeting_page(definition)

    def provider(self, definition: SealedDefinition) -> Provider:
        """The provider of this very definition, made once."""
        made = self._made.get(definition.id)
        if made is None or made[0] != definition:
            made = self._made[definition.id] = (definition, self._make(definition))
        return made[1]

    def _make(self, definition: SealedDefinition) -> Provider:
        try:
            secrets = {name: self.box.decrypt(sealed) for name, sealed in definition.sealed.items()}
        except BadInput as error:
            return NoProvider(definition.service, error.message)
        return provider_from(
            definition.service.value,
            {**definition.values, **secrets},
            clock=self.clock,
            book=self.book_of(definition.id),
        )
