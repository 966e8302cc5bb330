"""What a real join with the SDK says of its key and secret, and of what else only a join can tell (zoom.md §7.4, §8 step 9).

The browser of whoever tests joins a meeting made for it, in role 0: the pair signs that like a host's entry, and no host key
has to leave the server. Only being in proves the pair. A code that has nothing to do with the settings proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from invigilo.providers.steps import Outcome, Step

JOINED, NO_SCRIPT, NO_FRAME, NO_ANSWER = "joined", "script_failed", "no_frame", "no_answer"
"""What became of it, beside the SDK's codes."""

REFUSED: Mapping[int, str] = {
    3704: "zoom_sdk_wrong_key",
    3710: "zoom_sdk_key_off",
    3712: "zoom_sdk_wrong_secret",
    3705: "zoom_sdk_signature_over",
    6603: "zoom_sdk_key_blocked",
    10000: "zoom_sdk_outdated",
    4011: "zoom_sdk_outside",
    4013: "zoom_sdk_outside",
    4012: "zoom_sdk_sign_in",
    3100: "zoom_sdk_sign_in",
    3051: "zoom_sdk_sign_in",
    3603: "zoom_sdk_no_browsers",
    3611: "zoom_sdk_no_browsers",
}
"""From the SDK's code to what an administrator has to change."""

_ALSO = {"zoom_sdk_outdated": "zoom_sdk_version", "zoom_sdk_outside": "zoom_account"}
"""The other step that is wrong then, whatever was found without a join."""


def wants_join(steps: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a join would tell more than these steps do: a meeting can be made, and nothing is known against the pair."""
    can_meet = any(one["step"] == "zoom_meeting" and one["outcome"] == Outcome.OK for one in steps)
    return can_meet and any(
        one["step"] == "zoom_sdk" and one["outcome"] == Outcome.NOT_PROVABLE for one in steps
    )


def steps_of_join(state: str, code: int, *, sdk: str, version: str) -> list[Step]:
    """The steps that the join answers, in place of those that said that only a join could."""
    if state == JOINED:
        return [
            Step("zoom_sdk", Outcome.OK, "zoom_joined"),
            Step("zoom_account", Outcome.OK, "zoom_account_joined"),
        ]
    if state == NO_SCRIPT:
        return [Step("zoom_sdk", Outcome.FAILED, "zoom_sdk_no_script", {"address": sdk})]
    cause = REFUSED.get(code)
    if cause is not None:
        values = {"code": code, "version": version}
        return [
            Step(one, Outcome.FAILED, cause, values)
            for one in ("zoom_sdk", _ALSO.get(cause))
            if one is not None
        ]
    if state == NO_FRAME:
        return [Step("zoom_sdk", Outcome.NOT_PROVABLE, "zoom_join_no_frame")]
    if code == 0:
        return [Step("zoom_sdk", Outcome.NOT_PROVABLE, "zoom_join_no_answer")]
    return [Step("zoom_sdk", Outcome.NOT_PROVABLE, "zoom_join_unclear", {"code": code})]


def without_meeting(cause: str, values: Mapping[str, object]) -> Step:
    """There was no meeting to join."""
    return Step("zoom_sdk", Outcome.NOT_PROVABLE, cause, values)


def put_in(steps: Sequence[Mapping[str, Any]], fresh: Sequence[Step]) -> list[Mapping[str, Any]]:
    """These steps, with the fresh ones in their places. What failed without a join stays failed."""
    by_code = {one.code: one for one in fresh}
    found: list[Mapping[str, Any]] = []
    for one in steps:
        new = by_code.get(one["step"])
        stays = new is None or (one["outcome"] == Outcome.FAILED and new.outcome is not Outcome.FAILED)
        found.append(one if stays or new is None else new.as_json())
    return found
