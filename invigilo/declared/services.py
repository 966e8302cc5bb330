"""What a file says about a meeting service: its fields by name, each secret as itself or in a file of its own."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from invigilo.errors import BadInput
from invigilo.providers.description import ServiceDescription


def read_values(
    content: Mapping[str, object], description: ServiceDescription, folder: Path
) -> dict[str, str]:
    """The values of a service's fields. `<secret>_file` names a file, looked for in `folder`, that holds the secret.

    Raises BadInput that names the field; whether the values fit is judged by `check_values`.
    """
    values: dict[str, str] = {}
    for name, value in content.items():
        field, text = _value(description, folder, name, value)
        if field in values:
            raise BadInput(f"{field} stands twice, as itself and as a file.", field=field)
        values[field] = text
    return values


def _value(description: ServiceDescription, folder: Path, name: str, value: object) -> tuple[str, str]:
    field = description.field(name)
    secret = description.field(name.removesuffix("_file"))
    if field is None and name.endswith("_file") and secret is not None and secret.kind.is_secret:
        if not isinstance(value, str):
            raise BadInput(f"{name} is the name of a file.", field=name)
        return secret.name, _secret_in(folder / value, secret.name)
    if field is None:
        near = difflib.get_close_matches(name, [one.name for one in description.fields], 1)
        known = ", ".join(one.name for one in description.fields)
        hint = f"Did you mean {near[0]}?" if near else f"It has {known}."
        raise BadInput(f"{description.service} has no field {name}. {hint}", field=name)
    if isinstance(value, bool):
        return name, "true" if value else "false"
    if not isinstance(value, str):
        raise BadInput(f"{name} is a text: put it in quotes.", field=name)
    return name, value


def _secret_in(path: Path, field: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BadInput(
            f"The file of {field} {path} cannot be read: {error.strerror}.", field=field
        ) from error
    except (UnicodeDecodeError, ValueError) as error:
        raise BadInput(
            f"The file of {field} {path} cannot be read: it is not in UTF-8. Save it as UTF-8 in your editor.",
            field=field,
        ) from error
