"""The API against its own description: thousands of calls made from it, none of which may fail in an undescribed way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks

from invigilo.accounts.model import Scope
from invigilo.storage.queries import accounts as account_queries
from tests.server import running
from tests.web.people import TWO_INSTITUTIONS

EXAMPLES = 12  # calls made up for each address and method


@dataclass
class Running:
    url: str
    tokens: dict[str, str]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The real server in a thread of its own: schemathesis calls it from this one."""
    started, end = threading.Event(), threading.Event()
    found: list[Running] = []

    async def serve() -> None:
        async with running(tmp_path_factory.mktemp("api"), text=TWO_INSTITUTIONS) as server:
            app = server.app
            async with app.reading() as w:
                accounts = {one.username: one for one in await account_queries.all_accounts(w.db)}
            lasts = app.clock.now() + timedelta(hours=1)
            tokens = {
                name: (await app.tokens.make("test", list(Scope), expires_at=lasts, by=accounts[name]))[1]
                for name in ("grace", "root", "ines")
            }
            found.append(Running(server.url, tokens))
            started.set()
            await asyncio.to_thread(end.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="server under test")
    thread.start()
    assert started.wait(100), "the server under test did not start"
    try:
        yield found[0]
    finally:
        end.set()
        thread.join(100)


def described(api: Running) -> dict[str, Any]:
    return requests.get(f"{api.url}/api/openapi.json", timeout=60).json()


load_all_checks()
NOT_CHECKED = [
    CHECKS.get_one(name)
    for name in ("positive_data_acceptance", "negative_data_rejection", "unsupported_method")
]
"""Rules between fields stand in no schema, so what fits it may still be refused; and a filter that is not known is passed over."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("person", ["grace", "root", "ines"])
def test_every_call_answers_as_described(api: Running, person: str) -> None:
    headers = {"Authorization": f"Bearer {api.tokens[person]}"}
    schema = schemathesis.openapi.from_dict(described(api))
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def answers_as_described(case: Any) -> None:
            response = case.call(headers=headers, base_url=api.url, timeout=60)
            assert response.status_code < 500 or response.status_code == 503, response.text
            case.validate_response(response, headers=headers, excluded_checks=NOT_CHECKED)

        answers_as_described()


def test_the_description_is_complete(api: Running) -> None:
    """Every call has a summary, a subject, and says how it fails; nothing but the API is described."""
    description = described(api)
    assert description["openapi"].startswith("3.1")
    lacking: list[str] = []
    for path, operations in description["paths"].items():
        assert path.startswith("/api/v1/"), path
        for method, operation in operations.items():
            if (
                not operation.get("summary")
                or not operation.get("tags")
                or "401" not in operation["responses"]
            ):
                lacking.append(f"{method} {path}")
    assert lacking == []


def test_two_calls_have_two_names(api: Running) -> None:
    """Programs are generated from these names."""
    names = [one["operationId"] for path in described(api)["paths"].values() for one in path.values()]
    assert len(names) == len(set(names))
