"""Institutions: made, renamed, deleted when empty; and what changes with them for everybody else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.server import running
from tests.web.people import TWO_INSTITUTIONS
from tests.web.test_people import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("institutions"), text=TWO_INSTITUTIONS) as server:
        yield Site(server)


async def test_an_institution_from_its_making_to_its_end(site: Site) -> None:
    """Deleting says what hinders it."""
    root = await site.browser("root")
    made = await root.post("/institutions", {"name": "Öko <b>Akademie", "time_zone": "Europe/Vienna"})
    assert made.status == 303
    path = made.headers["location"]
    institution_id = int(path.rpartition("/")[2])
    assert "Öko &lt;b&gt;Akademie" in (await root.get(path, accept="text/html")).body.decode()
    await site.add("vera", "institution_admin", by="root", institution_id=institution_id)
    refused = await site.call("root", "DELETE", f"/institutions/{institution_id}")
    assert (refused.status, refused.json["code"]) == (409, "in_use")
    assert "1 people" in refused.json["message"]
    empty = await site.call("root", "POST", "/institutions", {"name": "Short-lived"})
    assert (await root.post(f"/institutions/{empty.json['id']}/delete")).status == 303
    assert (await site.call("root", "GET", f"/institutions/{empty.json['id']}")).status == 404


async def test_a_new_name_is_known_to_the_rest_of_the_server_at_once(site: Site) -> None:
    ines = await site.account("ines")
    path = f"/institutions/{ines.institution_id}"
    now = (await site.call("ines", "GET", path)).json
    assert (await site.call("ines", "PATCH", path, {"name": "Renamed University"})).status == 200
    await site.server.app.directory.follow()
    assert site.server.app.directory.institutions[ines.institution_id or 0] == "Renamed University"
    assert (await site.call("ines", "PATCH", path, {"name": "X", "revision": now["revision"]})).status == 409
    assert (await site.call("ines", "PATCH", path, {"name": now["name"]})).status == 200


async def test_names_differ_and_zones_exist(site: Site) -> None:
    taken = await site.call("root", "POST", "/institutions", {"name": "Other College"})
    assert taken.json["problems"][0]["code"] == "institution_taken"
    wrong = await site.call("root", "POST", "/institutions", {"name": " ", "time_zone": "Moon/Base"})
    assert {one["field"] for one in wrong.json["problems"]} == {"name", "time_zone"}


async def test_everybody_sees_their_own_institution_only(site: Site) -> None:
    for who, sees in (("ines", 1), ("aude", 1), ("other-grace", 1)):
        found = (await site.call(who, "GET", "/institutions")).json
        assert found["total"] == sees
        assert found["items"][0]["id"] == (await site.account(who)).institution_id
    assert (await site.call("root", "GET", "/institutions?q=%C3%96KO")).status == 200
