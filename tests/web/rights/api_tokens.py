"""Whose token it is: every token that may read exams may ask."""

from __future__ import annotations

from tests.web.rights import SIGNED_IN, rule

RULES = {("GET", "/api/v1/me"): rule(ok=SIGNED_IN)}
