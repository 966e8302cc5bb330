"""Which provider serves an exam, and which services can be chosen at all."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass

from invigilo.clock import Clock
from invigilo.errors import ProviderRefused
from invigilo.exams.model import Exam, Service
from invigilo.providers.base import Provider
from invigilo.providers.builtin import BuiltinProvider
from invigilo.providers.description import BUILTIN, ServiceDescription
from invigilo.providers.jaas import JaasProvider
from invigilo.providers.jitsi import JitsiProvider
from invigilo.providers.jitsi_settings import JaasSettings, JitsiSettings
from invigilo.providers.proof import Step, prove

ProviderOf = Callable[[Exam], Provider]
Prove = Callable[[Service, Mapping[str, str]], AsyncGenerator[Step]]
"""From a service and its values, secrets revealed, to the steps of its proof as they are known."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The services that exams can choose here, in the order the dialog shows them, and how one is proven."""

    descriptions: Mapping[Service, ServiceDescription]
    prove: Prove


def offer(clock: Clock) -> Offer:
    """What `provider_of` can serve."""

    def steps(service: Service, values: Mapping[str, str]) -> AsyncGenerator[Step]:
        return prove(service.value, values, clock=clock)

    return Offer({Service.BUILTIN: BUILTIN}, steps)


_builtin = BuiltinProvider()


def provider_of(exam: Exam) -> Provider:
    """Raises ProviderRefused for a service that `offer` does not name."""
    match exam.proctoring.service:
        case Service.BUILTIN:
            return _builtin
        case Service.JITSI | Service.JAAS as service:
            raise ProviderRefused(f"{service.value} cannot be used here. Choose built-in rooms.")


def provider_from(service: str, values: Mapping[str, str], *, clock: Clock) -> Provider:
    """The provider of a service definition: its kind, and its values with their secrets revealed."""
    match service:
        case "jitsi":
            return JitsiProvider(JitsiSettings.of(values), clock=clock)
        case "jaas":
            return JaasProvider(JaasSettings.of(values), clock=clock)
        case _:
            return _builtin
