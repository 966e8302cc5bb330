"""Which provider serves an exam."""

from __future__ import annotations

from collections.abc import Callable

from invigilo.exams.model import Exam, Service
from invigilo.providers.base import Provider
from invigilo.providers.builtin import BuiltinProvider

ProviderOf = Callable[[Exam], Provider]

_builtin = BuiltinProvider()


def provider_of(exam: Exam) -> Provider:
    match exam.proctoring.service:
        case Service.BUILTIN:
            return _builtin
