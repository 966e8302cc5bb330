"""What a connection configuration may say (seb-config-files.md §7)."""

from __future__ import annotations

from datetime import datetime, timedelta

from invigilo import fields
from invigilo.errors import BadInput, Invalid, Problem, Refused
from invigilo.exams.model import (
    ConfigurationState,
    ConnectionDetails,
    ConnectionWish,
    FallbackWish,
    FileProtection,
)
from invigilo.sebconfig.container import load_certificate

NAME_SHORTEST = 3
PING_INTERVAL = (500, 60_000)  # ms
TIMEOUT = (1_000, 600_000)  # ms
ATTEMPTS = (1, 100)
ATTEMPT_INTERVAL = (100, 600_000)  # ms
CERTIFICATE_LONGEST = 20_000
PASSWORD_LONGEST = 255
EXAMS_MOST = 500
LINK_LONGEST = timedelta(days=180)
"""Whoever has a link has the file: it is for handing out before an exam, not for good."""


def problems(wish: ConnectionWish, before: ConnectionDetails | None = None) -> list[Problem]:
    """Everything that is wrong with a wish; `before` is what it changes."""
    return [
        *fields.found(
            fields.text("name", wish.name, shortest=NAME_SHORTEST),
            fields.number("ping_interval_ms", wish.ping_interval_ms, *PING_INTERVAL),
            _password_problem("password", wish.password),
            _password_problem("quit_password", wish.quit_password),
            _certificate_problem(wish),
            _exams_problem(wish, before),
        ),
        *([] if wish.fallback is None else _fallback_problems(wish.fallback)),
    ]


def _password_problem(field: str, password: str | None) -> Problem | None:
    """Blanks count in a password, so one of blanks alone is a mistake and not a password."""
    if not password:
        return None
    return fields.text(field, password, longest=PASSWORD_LONGEST)


def _certificate_problem(wish: ConnectionWish) -> Problem | None:
    if not wish.protection.is_by_certificate:
        return None
    problem = fields.text("certificate", wish.certificate, longest=CERTIFICATE_LONGEST, lines=True)
    if problem is not None:
        return problem
    if "PRIVATE KEY" in wish.certificate:
        return Problem(
            "certificate",
            "private_key_given",
            "This holds a private key, which belongs on the devices only. Paste the certificate alone.",
        )
    try:
        load_certificate(wish.certificate.encode())
    except BadInput:
        return Problem(
            "certificate",
            "not_a_certificate",
            "Paste a certificate in PEM form (-----BEGIN CERTIFICATE-----) with an RSA key of 2048 bits or more.",
        )
    return None


def _exams_problem(wish: ConnectionWish, before: ConnectionDetails | None) -> Problem | None:
    if wish.only_exams is None:
        return None
    was_empty = before is not None and before.only_exams == frozenset()
    if not wish.only_exams and not was_empty:
        return Problem("only_exams", "no_exam_chosen", "Choose at least one exam, or do not limit to exams.")
    if len(wish.only_exams) > EXAMS_MOST:
        return Problem(
            "only_exams", "too_many_exams", f"Choose at most {EXAMS_MOST} exams.", {"most": EXAMS_MOST}
        )
    return None


def _fallback_problems(wish: FallbackWish) -> list[Problem]:
    return fields.found(
        fields.url("fallback_url", wish.url),
        fields.number("fallback_timeout_ms", wish.timeout_ms, *TIMEOUT),
        fields.number("fallback_attempts", wish.attempts, *ATTEMPTS),
        fields.number("fallback_interval_ms", wish.interval_ms, *ATTEMPT_INTERVAL),
        _password_problem("fallback_password", wish.password),
    )


def link_problem(expires_at: datetime, now: datetime) -> Problem | None:
    if expires_at <= now:
        return Problem("expires_at", "in_the_past", "Choose a time that is still to come.")
    if expires_at > now + LINK_LONGEST:
        days = LINK_LONGEST.days
        return Problem("expires_at", "link_too_long", f"A link lasts at most {days} days.", {"days": days})
    return None


def check_may_change(configuration: ConnectionDetails) -> None:
    """Raises Refused for one that is revoked: that is for ever."""
    if configuration.state is ConfigurationState.REVOKED:
        raise Refused(
            "connection_revoked",
            "This connection configuration is revoked for good. Create another one.",
        )


def check_may_hand_out(configuration: ConnectionDetails) -> None:
    """Raises Refused for one whose clients would be refused."""
    check_may_change(configuration)
    if configuration.state is not ConfigurationState.ACTIVE:
        raise Refused(
            "connection_inactive",
            "This connection configuration is not active; SEBs with its file would be refused. Activate it first.",
        )


def check_may_link(configuration: ConnectionDetails) -> None:
    """A link asks nobody anything, so everything its file needs must be stored. Raises Refused."""
    check_may_hand_out(configuration)
    if configuration.asks_for_password:
        raise Refused(
            "connection_password_missing",
            "The file of this connection configuration needs a password and none is stored. "
            "Store one, or choose another protection; then a link can be made.",
        )


def password_for_file(configuration: ConnectionDetails, stored: str | None, given: str | None) -> str | None:
    """With what the file is encrypted: the stored password, or the one given for this download.

    Raises Invalid when one is needed and not given, or given where it changes nothing.
    """
    found: Problem | None = None
    if configuration.protection.is_by_certificate or stored is not None:
        if given:
            found = Problem(
                "password",
                "password_not_needed",
                "This file is protected already. Leave the password out.",
            )
    elif configuration.protection is FileProtection.PASSWORD and not given:
        found = Problem("password", "password_needed", "Enter the password that the file is to have.")
    else:
        found = _password_problem("password", given)
    if found is not None:
        raise Invalid(found)
    return stored if stored is not None else given or None
