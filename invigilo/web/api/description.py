"""The API's own description (OpenAPI 3.1): what the framework reads off the handlers, and what all calls share."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar.openapi.plugins import JsonRenderPlugin

from invigilo.web.api.base import PREFIX, ApiError
from invigilo.web.parts import AnyRequest

_SHARED = {
    "400": "The input is what is wrong; `problems` says so field by field.",
    "401": "There is no token, or none that is in force.",
    "403": "The token lacks the scope, or its owner's role does not allow this.",
    "404": "There is no such thing, or nothing its owner may know of.",
    "409": "A rule stands against it now; `code` says which.",
    "413": "The body is too large.",
    "503": "The database cannot answer now. Nothing was saved.",
}


class Description(JsonRenderPlugin):
    """Adds to each call how it fails: `ApiError`, whatever the status."""

    def render(self, request: AnyRequest, openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        return msgspec.json.encode(described(openapi_schema))


def described(schema: dict[str, Any]) -> dict[str, Any]:
    """The framework's description, completed; done twice, nothing more is added."""
    components: dict[str, Any] = schema.setdefault("components", {}).setdefault("schemas", {})
    (error,), parts = msgspec.json.schema_components([ApiError], ref_template="#/components/schemas/{name}")
    components |= parts
    body = {"application/json": {"schema": error}}
    for path, operations in schema.get("paths", {}).items():
        if not path.startswith(PREFIX):
            continue
        for operation in operations.values():
            if isinstance(operation, dict) and "responses" in operation:
                shared = {
                    status: {"description": words, "content": body} for status, words in _SHARED.items()
                }
                operation["responses"] = operation["responses"] | shared
    return schema
