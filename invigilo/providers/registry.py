"""Which provider serves an exam."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from invigilo.clock import Clock
from invigilo.exams.model import Exam, Service
from invigilo.providers.base import Provider
from invigilo.providers.builtin import BuiltinProvider
from invigilo.providers.jaas import JaasProvider
from invigilo.providers.jitsi import JitsiProvider
from invigilo.providers.jitsi_settings import JaasSettings, JitsiSettings

ProviderOf = Callable[[Exam], Provider]

_builtin = BuiltinProvider()


def provider_of(exam: Exam) -> Provider:
    match exam.proctoring.service:
        case Service.BUILTIN:
            return _builtin


def provider_from(service: str, values: Mapping[str, str], *, clock: Clock) -> Provider:
    """The provider of a service definition: its kind, and its values with their secrets revealed."""
    match service:
        case "jitsi":
            return JitsiProvider(JitsiSettings.of(values), clock=clock)
        case "jaas":
            return JaasProvider(JaasSettings.of(values), clock=clock)
        case _:
            return _builtin
