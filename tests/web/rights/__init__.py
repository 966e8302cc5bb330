"""Who may reach which address: one module per subject, each with `RULES`, and `ids` for the holes of its paths.

`RULES` maps (method, path) to a rule made by `rule(...)`. `async def ids(site, address) -> dict[str, str]` gives what stands in
the path's holes (`{exam_id}` …): things of Example University, made anew where the deed uses them up. API addresses
(`/api/v1/…`) are tried with a token of each person that has every scope, and besides with one that lacks the scope.
`BODIES` may give a JSON body or form for an address; without one an empty body is sent, and "ok" then only means that it
was not refused for rights. `ANY_SCOPE` names the addresses that every token may call,
`ENDS_SESSIONS` those after which one signs in anew.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

PEOPLE = {
    "nobody": "nobody is signed in",
    "ada": "exam supporter of this exam",
    "bea": "exam supporter of another exam of this institution",
    "grace": "exam administrator of this institution",
    "ines": "institution administrator of this institution",
    "aude": "auditor of this institution",
    "root": "server administrator",
    "other-ada": "exam supporter of another institution",
    "other-grace": "exam administrator of another institution",
    "other-ines": "institution administrator of another institution",
    "other-aude": "auditor of another institution",
}
SIGNED_IN = [name for name in PEOPLE if name != "nobody"]
OTHERS = [name for name in PEOPLE if name.startswith("other-")]
STAFF = ["ada", "bea", "grace", "ines", "aude"]
"""Everybody of Example University."""

Rule = dict[str, str]
"""Person → `ok`, `sign in`, `refused` (known, not allowed) or `hidden` (as if it did not exist)."""
Address = tuple[str, str]


def rule(**outcomes: list[str]) -> Rule:
    """Everybody must be named; `nobody` is sent to the sign-in unless said otherwise."""
    made = {"nobody": "sign in"}
    for outcome, names in outcomes.items():
        made |= dict.fromkeys(names, outcome)
    assert made.keys() == PEOPLE.keys(), PEOPLE.keys() ^ made.keys()
    return made


def modules() -> list[ModuleType]:
    return [importlib.import_module(f"{__name__}.{one.name}") for one in pkgutil.iter_modules(__path__)]


def all_rules() -> dict[Address, Rule]:
    found: dict[Address, Rule] = {}
    for module in modules():
        assert not found.keys() & module.RULES.keys(), "an address has two rules"
        found |= module.RULES
    return found


def module_of(address: Address) -> ModuleType:
    return next(module for module in modules() if address in module.RULES)
