"""What may be said of a configuration, and how the edits of two people come together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from invigilo import fields
from invigilo.configurations.model import Change, ConfigurationWish, Conflict, Use
from invigilo.errors import CHANGED_MEANWHILE, BadInput, Problem, Refused
from invigilo.sebconfig import checks, values

LARGEST_NUMBER = 10**15
"""Beyond what any setting takes; larger ones are refused before they are stored. Smaller wrong ones are findings."""
LONGEST_NOTE = 500


def problems(wish: ConfigurationWish) -> list[Problem]:
    return fields.found(
        fields.text("name", wish.name),
        fields.text("description", wish.description, longest=fields.TEXT_LONGEST, shortest=0, lines=True),
    )


def note_problems(note: str) -> list[Problem]:
    """What is wrong with the words a version is published with."""
    return fields.found(fields.text("note", note, longest=LONGEST_NOTE, shortest=0))


def setting_of(path: str) -> str:
    """The id a change is asked for by: `permittedProcesses[2].executable` belongs to the table as a whole."""
    return re.split(r"\[", path, maxsplit=1)[0]


def id_of(path: str) -> str:
    """The setting or column a path stands at: `permittedProcesses[2].executable` → `permittedProcesses.executable`."""
    return re.sub(r"\[[0-9]+\]", "", path)


def touched_by_others(changes: Iterable[Change]) -> dict[str, Conflict]:
    """By setting: who changed it last, and when."""
    found: dict[str, Conflict] = {}
    for change in sorted(changes, key=lambda one: one.draft_revision):
        setting_id = setting_of(change.path)
        found[setting_id] = Conflict(setting_id, change.actor, change.at)
    return found


def conflicts(
    touched: Mapping[str, Conflict],
    current: Mapping[str, Any],
    wished: Mapping[str, Any],
    asked: Iterable[str],
) -> list[Conflict]:
    """Those of the asked settings that somebody else changed meanwhile, to something else than is wished now.

    Other settings are merged: nobody loses anything by that. A repeated request (its answer was lost) finds its
    own values there already, and is no conflict.
    """
    return [
        touched[setting_id]
        for setting_id in asked
        if setting_id in touched and value_of(current, setting_id) != value_of(wished, setting_id)
    ]


def value_of(found: Mapping[str, Any], setting_id: str) -> Any:
    """The value of a setting, or of one key of `proxies`."""
    root, _, key = setting_id.partition(".")
    return found[root][key] if key else found[root]


def apply(found: values.Values, changes: Mapping[str, object], reset: Iterable[str]) -> values.Values:
    """Give the draft after an edit, with what follows from it. Raises BadInput with the path of what does not fit."""
    edited = found
    for setting_id, raw in changes.items():
        check_sizes(raw, setting_id)
        edited = values.change(edited, setting_id, raw)
    defaults = values.default_values()
    for setting_id in reset:
        if setting_id.partition(".")[0] not in defaults:
            raise BadInput(f"There is no setting {setting_id[:80]!r} to reset.", field=setting_id[:80])
        try:
            default = value_of(defaults, setting_id)
        except (KeyError, TypeError):
            raise BadInput(
                f"There is no setting {setting_id[:80]!r} to reset.", field=setting_id[:80]
            ) from None
        edited = values.change(edited, setting_id, default)
    return checks.settle(edited)


def check_sizes(raw: object, path: str) -> None:
    """Refuse what no database should hold, wherever in a value it stands."""
    waiting = [raw]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        elif isinstance(one, list):
            waiting += one  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(one, int) and abs(one) > LARGEST_NUMBER:
            raise BadInput(f"{path[:80]} must be a smaller number.", field=path[:80])


def may_publish(found: Mapping[str, Any], published: Mapping[str, Any] | None) -> None:
    """Raises Refused with what is in the way."""
    wrong = [one for one in checks.findings(found) if one.severity is checks.Severity.ERROR]
    if wrong:
        named = ", ".join(dict.fromkeys(one.setting_id for one in wrong[:5]))
        raise Refused(
            "configuration_has_errors",
            f"This cannot be published yet; mend first: {named}. Warnings do not stop publishing.",
            values={"settings": named},
        )
    if published is not None and published == found:
        raise Refused("nothing_to_publish", "Nothing was changed since the last version.")


def changed_meanwhile(found: Iterable[Conflict]) -> Refused:
    who = ", ".join(dict.fromkeys(f"{one.setting_id} (by {one.actor})" for one in found))
    return ChangedMeanwhile(tuple(found), f"Changed by somebody else meanwhile: {who}. Nothing was saved.")


class ChangedMeanwhile(Refused):
    """The same settings were changed by somebody else after they were read."""

    def __init__(self, found: tuple[Conflict, ...], message: str) -> None:
        super().__init__(CHANGED_MEANWHILE, message)
        self.conflicts = found


def may_delete(uses: list[Use]) -> None:
    """Raises Refused while an exam or a template uses it."""
    if uses:
        raise Refused(
            "configuration_in_use",
            f"It is used by {named(uses)}. Assign another one there first.",
            values={"uses": names(uses)},
        )


def may_be_template(uses: list[Use]) -> None:
    exams = [use for use in uses if use.kind == "exam"]
    if exams:
        raise Refused(
            "configuration_in_use",
            f"It is used by {named(exams)}, and a template is assigned to no exam.",
            key="configuration_of_exams",
            values={"uses": names(exams)},
        )


def names(uses: list[Use]) -> str:
    """Names alone, for a sentence of any language."""
    return ", ".join(f"“{use.name}”" for use in uses[:5]) + (f" (+{len(uses) - 5})" if len(uses) > 5 else "")


def named(uses: list[Use]) -> str:
    shown = ", ".join(f"the {use.kind} “{use.name}”" for use in uses[:5])
    return shown + (f" and {len(uses) - 5} more" if len(uses) > 5 else "")
