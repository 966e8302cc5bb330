"""What can go wrong, in the product's own words. Domain errors know no HTTP.

    InvigiloError
    ├── Refused               a rule said no; `code` is stable and may be shown to programs
    ├── NotFound              no such object, or none that this person may know about
    ├── NotAllowed            the object is known, the deed is not this person's
    ├── BadInput              what came from outside cannot be used; `field` says where
    │   └── Invalid           several things at once, each with its field: what a form or an API call is answered
    ├── Unavailable           our own storage or another part cannot answer now; try later
    └── ProviderError
        ├── ProviderUnavailable   the meeting service did not answer: later
        ├── ProviderRefused       it will never do this as asked
        └── ProviderCredentials   an administrator must act

Each edge (exam API, pages, sockets) has one table from these to its own answers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class Sentence:
    """What people are told, complete, in English.

    Pages say it in the reader's language (`refused.<key>`), filling its holes with `values`.
    """

    key: str
    english: str
    values: Mapping[str, object] = dataclasses.field(default_factory=dict[str, object])


class InvigiloError(Exception):
    """Base of all errors that carry a message meant for people: it says what to do next.

    `message` is English; without a `key` nobody reads it in another language.
    """

    def __init__(
        self, message: str | Sentence, *, key: str = "", values: Mapping[str, object] | None = None
    ) -> None:
        self.sentence = message if isinstance(message, Sentence) else Sentence(key, message, values or {})
        super().__init__(self.message)

    @property
    def message(self) -> str:
        return self.sentence.english


class Refused(InvigiloError):
    """A rule said no. Where one code has several sentences, each has a `key` of its own; else the code is the key."""

    def __init__(
        self,
        code: str,
        message: str | Sentence,
        *,
        key: str | None = None,
        values: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message, key=key or code, values=values)
        self.code = code


CHANGED_MEANWHILE = "changed_meanwhile"
"""The code of a Refused save: somebody saved between reading and saving. Nothing was lost on either side."""


class NotFound(InvigiloError):
    """There is no such thing, or nothing this person may know of."""


class NotAllowed(InvigiloError):
    """This person may not do that."""


class BadInput(InvigiloError):
    """Something from outside cannot be used; `field` names the part, dotted."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one field.

    `message` is English and complete. `code` is stable: programs read it, and pages say it in the reader's language
    (`problem.<code>`), filling its holes with `values`.
    """

    field: str
    code: str
    message: str
    values: Mapping[str, object] = dataclasses.field(default_factory=dict[str, object])


class Invalid(BadInput):
    """Everything that is wrong with an input, at once."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(" ".join(one.message for one in problems), field=problems[0].field)
        self.problems = problems


class Unavailable(InvigiloError):
    """The database cannot answer now. Nothing was written; the same request may be sent again."""


class ProviderError(InvigiloError):
    """A meeting service did not do what was asked."""


class ProviderUnavailable(ProviderError):
    """Not now: worth trying again."""


class ProviderRefused(ProviderError):
    """Never, as asked: trying again changes nothing."""


class ProviderCredentials(ProviderError):
    """The service does not accept our credentials; an administrator must act."""
