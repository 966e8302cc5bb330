"""Bytes and words of the exam client API: tolerant in, exact out (seb-client-api.md §0, §2, §3).

Outside spellings (`SEBConnectionToken`, `seb_os_name`) live in this folder and nowhere else.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from invigilo.exams.model import Exam
from invigilo.monitoring.model import ClientEvent, Device, EventType, Instruction

Headers = list[tuple[bytes, bytes]]

JSON_TYPE = (b"content-type", b"application/json")
LONGEST_VALUE = 2_000  # characters of a form value we keep; machine names and keys are far shorter


def parse_form(*bodies: bytes) -> dict[str, str]:
    """Read form bytes as clients write them: unescaped UTF-8, anything goes (§0).

    Split on `&`, then on the first `=`, then plus- and percent-decode as UTF-8. The first value of a repeated parameter
    counts; an empty value means "not given", so it is left out. Never raises.
    """
    values: dict[str, str] = {}
    for body in bodies:
        for pair in body.split(b"&"):
            name, _, value = pair.partition(b"=")
            if not value:
                continue
            key = _decode(name)
            if key and key not in values:
                values[key] = _decode(value)[:LONGEST_VALUE]
    return values


def _decode(raw: bytes) -> str:
    decoded = unquote_to_bytes(raw.replace(b"+", b" ")) if b"%" in raw or b"+" in raw else raw
    # PostgreSQL text knows no NUL; other control characters are harmless and shown as they are.
    return decoded.decode("utf-8", "replace").replace("\x00", "").strip()


def header(headers: Headers, name: bytes) -> bytes | None:
    for key, value in headers:
        if key == name:
            return value
    return None


def basic_credentials(value: bytes | None) -> tuple[str, str] | None:
    """(client id, secret) of a Basic header; None when there is none that can be read."""
    if value is None or value[:6].lower() != b"basic ":
        return None
    try:
        decoded = base64.b64decode(value[6:].strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, colon, secret = decoded.partition(":")
    return (name, secret) if colon else None


def device_of(form: dict[str, str], address: str | None) -> Device:
    return Device(
        account_name=form.get("client_id"),
        machine_name=form.get("seb_machine_name"),
        os_name=form.get("seb_os_name"),
        seb_version=form.get("seb_version"),
        address=address,
    )


class _WireEvent(msgspec.Struct):
    type: str = "UNKNOWN"
    timestamp: int | str | float | None = None
    numericValue: float | str | None = None  # noqa: N815  (the wire's spelling)
    text: str | None = None


_event_decoder = msgspec.json.Decoder(_WireEvent, strict=False)


def parse_event(body: bytes, *, connection_id: int, now: int) -> ClientEvent | None:
    """One event; None when it cannot be read, which is answered 204 all the same (§2.8)."""
    try:
        wire = _event_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
        return None
    kind = EventType.__members__.get(wire.type)
    if kind is None:
        return None
    return ClientEvent(
        connection_id=connection_id,
        type=kind,
        server_time=now,
        client_time=_whole(wire.timestamp),
        numeric_value=_number(wire.numericValue),
        text=(wire.text or "").replace("\x00", ""),
    )


def _number(value: float | str | None) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < 2**53 else None  # also refuses NaN: comparisons with it are false


def _whole(value: float | str | None) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def exam_entry(exam: Exam, url: str) -> dict[str, str]:
    """An exam as the handshake lists it: every value a non-empty string (§2.3)."""
    return {"examId": str(exam.id), "name": exam.name, "url": url, "lmsType": "--"}


def exam_headers(exam: Exam | None) -> Headers:
    """Salt and server Browser Exam Key, on every handshake answer whose connection has an exam (§8 Q3)."""
    if exam is None:
        return []
    found = [(b"SEBExamSalt", exam.salt.encode())]
    if exam.browser_exam_key:
        found.append((b"SEBServerBEK", exam.browser_exam_key.encode()))
    return found


def instruction_body(instruction: Instruction) -> bytes:
    """One instruction; attributes always an object of strings, with the confirm id where we ask for it (§4.1, §4.3)."""
    attributes = dict(instruction.attributes)
    if instruction.type.is_confirmed:
        attributes["instruction-confirm"] = str(instruction.id)
    return msgspec.json.encode({"instruction": instruction.type.value, "attributes": attributes})


QUIT_BODY = msgspec.json.encode({"instruction": "SEB_QUIT", "attributes": {}})


@dataclass(frozen=True, slots=True)
class ApiError:
    """A refusal in the shapes of §2.10: an array of messages, or the OAuth object for 401."""

    status: int
    code: str
    details: str

    def body(self) -> bytes:
        message = {
            "messageCode": self.code,
            "systemMessage": _SYSTEM[self.code],
            "details": self.details,
            "attributes": [],
        }
        return msgspec.json.encode([message])


_SYSTEM = {
    "0": "Generic error",
    "1001": "Forbidden",
    "1002": "Resource not found",
    "1010": "Illegal API request argument",
    "1100": "Unexpected error",
}


def oauth_error(error: str, description: str) -> bytes:
    return msgspec.json.encode({"error": error, "error_description": description})


def discovery_document(server_location: str) -> dict[str, Any]:
    """Section 3, complete: Apple clients fail on any key that is missing."""

    def endpoint(name: str, description: str, location: str, authorization: str = "Bearer") -> dict[str, str]:
        return {
            "name": name,
            "description": description,
            "location": location,
            "authorization": authorization,
        }

    return {
        "title": "Exam API",
        "description": "Endpoints for SEB clients",
        "server-location": server_location,
        "api-versions": [
            {
                "name": "v1",
                "endpoints": [
                    endpoint("access-token-endpoint", "client credentials", TOKEN, "Basic"),
                    endpoint("seb-handshake-endpoint", "connection", HANDSHAKE),
                    endpoint("seb-configuration-endpoint", "exam settings", CONFIGURATION),
                    endpoint("seb-ping-endpoint", "ping", PING),
                    endpoint("seb-log-endpoint", "events", LOG),
                ],
            }
        ],
    }


DISCOVERY = "/exam-api/discovery"
TOKEN = "/oauth/token"  # noqa: S105  (a path)
HANDSHAKE = "/exam-api/v1/handshake"
CONFIGURATION = "/exam-api/v1/examconfig"
PING = "/exam-api/v1/sebping"
LOG = "/exam-api/v1/seblog"
PATHS = frozenset({DISCOVERY, TOKEN, HANDSHAKE, CONFIGURATION, PING, LOG})
