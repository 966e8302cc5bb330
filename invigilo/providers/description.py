"""What a meeting service needs to be told, said once: forms, declared files and the command line are all read from here.

A service's texts stand in the message catalogue under `service.<service>.<field>` (its label), the same with `.help`,
`service.cannot.<code>` and `service.problem.<code>`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from invigilo.errors import BadInput, Sentence
from invigilo.providers.base import CALLS, Feature
from invigilo.providers.keys import APP_ID_PREFIX, app_id_problem, key_id_problem, key_problem
from invigilo.providers.zoom_settings import (
    API_BASE,
    OAUTH_BASE,
    PACES,
    PASSCODE_FORMS,
    PER_HOST,
    SDK_BASE,
    SDK_VERSION,
    WEB_BASE,
    host_problem,
    hosts_of,
    version_problem,
)
from invigilo.settings import LOCAL_NAMES


class FieldKind(StrEnum):
    TEXT = "text"
    URL = "url"
    SECRET = "secret"  # noqa: S105  (a kind of field)
    SECRET_LINES = "secret_lines"  # noqa: S105
    """A private key in PEM form."""
    CHOICE = "choice"
    FLAG = "flag"
    LINES = "lines"
    """Several short texts, one a line."""

    @property
    def is_secret(self) -> bool:
        """Write-only: shown as set or not set, never as it is."""
        return self in {FieldKind.SECRET, FieldKind.SECRET_LINES}


@dataclass(frozen=True, slots=True)
class ServiceField:
    """One thing to be told."""

    name: str
    kind: FieldKind
    is_required: bool = False
    is_identity: bool = False
    """Says which service and account it is: not to be changed while rooms are open (live-proctoring.md §2.5)."""
    choices: tuple[str, ...] = ()
    default: str = ""
    is_rare: bool = False
    """Folded away in forms, as texts are that may stay open."""
    needs_entry: bool = False
    """Nothing but somebody's entry into a meeting proves it."""


@dataclass(frozen=True, slots=True)
class ServiceDescription:
    """A service as its form shows it."""

    service: str
    fields: tuple[ServiceField, ...]
    features: frozenset[Feature]
    cannot: tuple[str, ...] = ()
    """Codes of honest limitations."""
    calls_missing: Mapping[Feature, Sentence] = dataclasses.field(default_factory=dict[Feature, Sentence])
    """Of `CALLS` those it lacks, each with the reason for proctors."""
    hall_size: int | None = None
    """How many candidates its town hall bears; None: as many as come."""

    def field(self, name: str) -> ServiceField | None:
        return next((one for one in self.fields if one.name == name), None)

    @property
    def needs_entry(self) -> frozenset[str]:
        """Fields that only an entry into a meeting proves."""
        return frozenset(one.name for one in self.fields if one.needs_entry)


SYMMETRIC = ("HS256", "HS384", "HS512")
ASYMMETRIC = ("RS256", "RS384", "RS512")
JAAS_ADDRESS = "https://8x8.vc"

HALL_SIZE = 100
"""Candidates in a built-in town hall: the proctor's browser sends to each of them by itself."""

PROCTOR_SEATS = 3
"""Of a Zoom meeting's places, those a town hall keeps for proctors."""
ZOOM_HALL_SIZE = 100 - PROCTOR_SEATS
"""Until a host's own settings say how many a meeting of theirs holds: what every licence does (zoom.md §1)."""

BUILTIN = ServiceDescription(
    "builtin",
    (),
    frozenset(
        {
            Feature.ISOLATES_CANDIDATES,
            Feature.REPORTS_PRESENCE,
            Feature.OPENS_AT_ONCE,
            Feature.TAKES_ALL_AT_ONCE,
            *CALLS,
        }
    ),
    ("large_rooms",),
    hall_size=HALL_SIZE,
)

JITSI = ServiceDescription(
    "jitsi",
    (
        ServiceField("server_url", FieldKind.URL, is_required=True, is_identity=True),
        ServiceField("app_id", FieldKind.TEXT, is_required=True, is_identity=True),
        ServiceField("algorithm", FieldKind.CHOICE, choices=(*SYMMETRIC, *ASYMMETRIC), default="HS256"),
        ServiceField("app_secret", FieldKind.SECRET),
        ServiceField("key_id", FieldKind.TEXT, is_identity=True),
        ServiceField("private_key", FieldKind.SECRET_LINES),
        ServiceField("issuer", FieldKind.TEXT),
        ServiceField("audience", FieldKind.TEXT, default="jitsi"),
        ServiceField("subject", FieldKind.TEXT, default="*"),
        ServiceField("xmpp_domain", FieldKind.TEXT),
        ServiceField("muc_domain", FieldKind.TEXT),
        ServiceField("events_secret", FieldKind.SECRET),
    ),
    frozenset({Feature.NATIVE_JOIN, Feature.REPORTS_PRESENCE, *CALLS}),
    ("isolation_not_enforced", "tokens_not_revocable", "media_not_provable"),
)
"""A Jitsi Meet of one's own (jitsi.md §1, §5)."""

JAAS = ServiceDescription(
    "jaas",
    (
        ServiceField("app_id", FieldKind.TEXT, is_required=True, is_identity=True),
        ServiceField("key_id", FieldKind.TEXT, is_required=True, is_identity=True),
        ServiceField("private_key", FieldKind.SECRET_LINES, is_required=True),
        ServiceField("events_secret", FieldKind.SECRET),
        ServiceField("server_url", FieldKind.URL, is_identity=True, default=JAAS_ADDRESS),
    ),
    frozenset({Feature.NATIVE_JOIN, Feature.REPORTS_PRESENCE, *CALLS}),
    ("isolation_not_enforced", "billed_by_person", "media_not_provable"),
)
"""Jitsi as a service, by 8x8 (jitsi.md §4)."""

ZOOM = ServiceDescription(
    "zoom",
    (
        ServiceField("account_id", FieldKind.TEXT, is_required=True, is_identity=True),
        ServiceField("client_id", FieldKind.TEXT, is_required=True),
        ServiceField("client_secret", FieldKind.SECRET, is_required=True),
        ServiceField("sdk_key", FieldKind.TEXT, is_required=True, needs_entry=True),
        ServiceField("sdk_secret", FieldKind.SECRET, is_required=True, needs_entry=True),
        ServiceField("hosts", FieldKind.LINES, is_required=True),
        ServiceField("per_host", FieldKind.CHOICE, choices=PER_HOST, default=PER_HOST[0]),
        ServiceField("events_secret", FieldKind.SECRET),
        ServiceField("focus_mode", FieldKind.FLAG, default="true"),
        ServiceField("sdk_version", FieldKind.TEXT, default=SDK_VERSION),
        ServiceField("sdk_base", FieldKind.URL, default=SDK_BASE, is_rare=True),
        ServiceField(
            "native_passcode",
            FieldKind.CHOICE,
            choices=PASSCODE_FORMS,
            default=PASSCODE_FORMS[0],
            is_rare=True,
        ),
        ServiceField("pace", FieldKind.CHOICE, choices=PACES, default=PACES[1], is_rare=True),
        ServiceField("web_base", FieldKind.URL, default=WEB_BASE, is_rare=True),
        ServiceField("oauth_base", FieldKind.URL, is_identity=True, default=OAUTH_BASE, is_rare=True),
        ServiceField("api_base", FieldKind.URL, is_identity=True, default=API_BASE, is_rare=True),
    ),
    frozenset({Feature.NATIVE_JOIN, Feature.REPORTS_PRESENCE, Feature.KEEPS_MEETINGS, *CALLS}),
    (
        "zoom_hosts",
        "zoom_isolation",
        "zoom_no_calls",
        "zoom_chat",
        "zoom_native",
        "zoom_versions",
        "zoom_one_account",
        "media_not_provable",
    ),
    hall_size=ZOOM_HALL_SIZE,
)
"""Zoom, with licensed users of one account as hosts (zoom.md §3.1, §11)."""

UNFOCUSED = Sentence(
    "zoom_without_focus_mode",
    "Without focus mode Zoom would show candidates each other, so you can speak to them, but not show yourself. An "
    "administrator can switch focus mode on, here and in the Zoom account.",
)
"""Why nobody is shown to candidates there: focus mode alone makes hosts the only ones they see."""

DESCRIPTIONS: Mapping[str, ServiceDescription] = {one.service: one for one in (BUILTIN, JITSI, JAAS, ZOOM)}

PROBLEMS: Mapping[str, str] = {
    "unknown": "There is no such field.",
    "missing": "This is needed.",
    "missing_secret": "This is needed with the chosen algorithm.",
    "too_long": "This is too long: at most {longest} characters.",
    "odd_characters": "Only letters, digits and plain signs in one line are allowed here.",
    "not_a_choice": "One of {choices} is needed.",
    "not_a_flag": "true or false is needed.",
    "url_absolute": "A full address is needed, like https://meet.example.org.",
    "url_https": "The address must begin with https://; http:// is allowed for this machine itself only.",
    "url_user": "Leave the user name and password out of the address.",
    "url_query": "Leave everything from the question mark on out of the address.",
    "url_fragment": "Leave everything from the # on out of the address.",
    "domain": "A plain domain name is needed, like meet.jitsi.",
    "short_secret": "A secret this short can be guessed: at least {least} characters are needed.",
    "not_pem": "This is no private key in PEM form: it begins with -----BEGIN PRIVATE KEY-----.",
    "public_key": "This is the public key. Paste the private one; the public one goes to the meeting service.",
    "key_has_passphrase": "This key has a passphrase. Remove it with `openssl pkey -in key.pem -out new-key.pem`.",
    "key_not_rsa": "This key is of another type; an RSA key is needed.",
    "key_too_short": "This RSA key is too short: 2048 bits are needed.",
    "app_id_form": "An AppID begins with {prefix} and goes on with 32 letters and digits.",
    "key_id_form": "A key id is the part after the slash of the API key's name, or all of it, AppID and slash included.",
    "hosts_form": "Ids or e-mail addresses of Zoom users are needed, one a line.",
    "version_form": "A version like 6.2.0 is needed.",
    "key_id_of_other_app": "This key id belongs to another AppID: what stands before its slash must be the AppID.",
}
"""Code → what to do, in English; the catalogue holds the same for pages."""

LONGEST_TEXT, LONGEST_URL, LONGEST_SECRET, LONGEST_PEM = 255, 500, 1_000, 20_000  # characters
LONGEST_LIST = 10_000
LEAST_SECRET = 8  # characters


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field."""

    field: str
    code: str
    values: Mapping[str, object] = dataclasses.field(default_factory=dict[str, object])

    @property
    def sentence(self) -> str:
        return PROBLEMS[self.code].format(**self.values)


class BadFields(BadInput):
    """Some fields of a service cannot be used; `problems` holds one per field, in the form's order."""

    def __init__(self, problems: tuple[FieldProblem, ...]) -> None:
        super().__init__(" ".join(f"{p.field}: {p.sentence}" for p in problems), field=problems[0].field)
        self.problems = problems


def check_values(
    description: ServiceDescription, values: Mapping[str, str], *, stored: AbstractSet[str]
) -> dict[str, str]:
    """What to store of what was entered: trimmed, and what was left open as the default.

    `stored` names the secrets kept from before; a blank one stays as it is and is left out of the answer. Raises BadFields
    with every field's problem at once (live-proctoring.md §2.3).
    """
    given = {name: value.strip() for name, value in values.items()}
    kept: dict[str, str] = {}
    problems = {name: FieldProblem(name, "unknown") for name in given if description.field(name) is None}
    for one in description.fields:
        value = given.get(one.name, "") or one.default
        if problem := _problem_of(one, value, is_stored=one.name in stored):
            problems[one.name] = problem
        elif value or not one.kind.is_secret:
            kept[one.name] = _normal(one, value)
    for problem in _problems_together(description, kept, stored=stored):
        problems.setdefault(problem.field, problem)
    if problems:
        order = {one.name: at for at, one in enumerate(description.fields)}
        raise BadFields(tuple(sorted(problems.values(), key=lambda p: order.get(p.field, len(order)))))
    return kept


def _problem_of(one: ServiceField, value: str, *, is_stored: bool) -> FieldProblem | None:
    if not value:
        is_missing = one.is_required and not (one.kind.is_secret and is_stored)
        return FieldProblem(one.name, "missing") if is_missing else None
    longest = _LONGEST[one.kind]
    if len(value) > longest:
        return FieldProblem(one.name, "too_long", {"longest": longest})
    match one.kind:
        case FieldKind.URL:
            code = url_problem(value)
        case FieldKind.CHOICE:
            if value not in one.choices:
                return FieldProblem(one.name, "not_a_choice", {"choices": ", ".join(one.choices)})
            return None
        case FieldKind.FLAG:
            code = None if value in {"true", "false"} else "not_a_flag"
        case FieldKind.SECRET_LINES:
            code = key_problem(value)
        case FieldKind.SECRET:
            if len(value) < LEAST_SECRET:
                return FieldProblem(one.name, "short_secret", {"least": LEAST_SECRET})
            code = None if value.isprintable() else "odd_characters"
        case FieldKind.LINES:
            code = host_problem(value)
        case FieldKind.TEXT:
            code = _text_problem(one.name, value)
    return FieldProblem(one.name, code) if code else None


_LONGEST = {
    FieldKind.TEXT: LONGEST_TEXT,
    FieldKind.URL: LONGEST_URL,
    FieldKind.SECRET: LONGEST_SECRET,
    FieldKind.SECRET_LINES: LONGEST_PEM,
    FieldKind.CHOICE: LONGEST_TEXT,
    FieldKind.FLAG: LONGEST_TEXT,
    FieldKind.LINES: LONGEST_LIST,
}


def _text_problem(name: str, value: str) -> str | None:
    if not value.isprintable():
        return "odd_characters"
    if name == "sdk_version":
        return version_problem(value)
    is_domain = name.endswith("_domain")
    if is_domain and not all(part and part.replace("-", "").isalnum() for part in value.split(".")):
        return "domain"
    return None


def _problems_together(
    description: ServiceDescription, kept: Mapping[str, str], *, stored: AbstractSet[str]
) -> Iterator[FieldProblem]:
    """What only shows when fields are looked at together."""
    if description is JITSI and "algorithm" in kept:
        needed = (
            ("app_secret",) if kept["algorithm"] in SYMMETRIC else ("private_key", "key_id")
        )  # a key server is asked by key id (jitsi.md §1.1)
        for name in needed:
            if not kept.get(name) and name not in stored:
                yield FieldProblem(name, "missing_secret")
    if description is JAAS and "app_id" in kept:
        if code := app_id_problem(kept["app_id"]):
            yield FieldProblem("app_id", code, {"prefix": APP_ID_PREFIX})
        elif "key_id" in kept and (code := key_id_problem(kept["app_id"], kept["key_id"])):
            yield FieldProblem("key_id", code)


def _normal(one: ServiceField, value: str) -> str:
    if one.kind is FieldKind.LINES:
        return "\n".join(hosts_of(value))
    if one.kind is not FieldKind.URL:
        return value
    parts = urlsplit(value)
    return SplitResult(parts.scheme.lower(), parts.netloc.lower(), parts.path.rstrip("/"), "", "").geturl()


def url_problem(url: str) -> str | None:
    """Why this cannot be the address of a meeting service; None when it can (live-proctoring.md §2.3, check 4)."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return "url_absolute"
    if not host or not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>^`{|}'):
        return "url_absolute"
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOCAL_NAMES):
        return "url_https"
    if "@" in parts.netloc:
        return "url_user"
    if "?" in url:
        return "url_query"
    return "url_fragment" if "#" in url else None
