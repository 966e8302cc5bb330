"""The steps of a service's test in the reader's language: the same for pages, streams and the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invigilo.web.render import Renderer


@dataclass(frozen=True, slots=True)
class StepView:
    """One step. `outcome` is `ok`, `failed` or `not_provable`."""

    step: str
    number: str
    outcome: str
    title: str
    cause: str
    remedy: str


def step_view(renderer: Renderer, language: str, step: Mapping[str, Any]) -> StepView:
    """From a step as it is kept (`Step.as_json`)."""
    values: dict[str, Any] = dict(step.get("values") or {})
    if "step" in values:
        values["step"] = renderer.catalogue.text(language, f"proof.{values['step']}", **values)

    def said(prefix: str, code: str | None) -> str:
        if not code:
            return ""
        key = f"{prefix}{code}"
        text = renderer.catalogue.text(language, key, **values)
        return code.replace("_", " ").capitalize() if text == key else text

    return StepView(
        step=step["step"],
        number=step["number"],
        outcome=step["outcome"],
        title=said("proof.", step["step"]),
        cause=said("proof.cause.", step["cause"]),
        remedy=said("proof.remedy.", step["remedy"]),
    )
