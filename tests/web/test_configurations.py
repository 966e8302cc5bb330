"""Exam configurations over the wire: the editor's own requests, forms without script, files, and the API."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio
from sqlalchemy import update

from invigilo.accounts.model import Right, Scope
from invigilo.sebconfig import container, exam_settings, values
from invigilo.sebconfig.catalogue import exported_defaults
from invigilo.sebconfig.config_key import config_key
from invigilo.storage.queries import accounts as account_queries
from invigilo.storage.tables import exams
from tests.server import Answer, Server, running
from tests.web.people import TWO_INSTITUTIONS, Browser, exam_called, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Desk:
    """grace's browser, and a token of hers."""

    server: Server
    browser: Browser
    key: str

    async def new(self, **more: str) -> int:
        answer = await self.browser.post("/configurations/new", {"name": uuid4().hex, **more})
        assert answer.status == 303, answer.body
        return int(answer.headers["location"].rpartition("/")[2])

    async def page(self, path: str) -> str:
        answer = await self.browser.get(path, accept="text/html")
        assert answer.status == 200, answer.body
        return unescape(answer.body.decode())

    async def edit(self, number: int, base: int, **changes: object) -> Answer:
        return await self.send(number, json.dumps({"base": base, "changes": changes}))

    async def send(self, number: int, body: str) -> Answer:
        headers = {
            "Cookie": self.browser.cookie,
            "Accept": "application/json",
            "X-CSRFToken": self.browser.cookies["csrftoken"],
            "Content-Type": "application/json",
        }
        return await self.server.request(
            "POST", f"/configurations/{number}/changes", headers=headers, body=body
        )

    async def upload(self, path: str, files: dict[str, bytes], **fields: str) -> Answer:
        """A form with files, as a browser sends it."""
        form = aiohttp.FormData()
        for name, value in fields.items():
            form.add_field(name, value)
        for name, content in files.items():
            form.add_field(name, content, filename=f"{name}.seb", content_type="application/octet-stream")
        headers = {"Cookie": self.browser.cookie, "X-CSRFToken": self.browser.cookies["csrftoken"]}
        async with self.server.session.post(
            self.server.url + path, headers=headers, data=form, allow_redirects=False
        ) as found:
            headers = {name.lower(): value for name, value in found.headers.items()}
            return Answer(found.status, headers, await found.read())

    async def call(self, method: str, path: str, body: Any = None) -> Answer:
        headers = {"Authorization": f"Bearer {self.key}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = body if isinstance(body, str) else None if body is None else json.dumps(body)
        return await self.server.request(method, f"/api/v1{path}", headers=headers, body=data)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with running(tmp_path_factory.mktemp("desk"), text=TWO_INSTITUTIONS) as server:
        app = server.app
        async with app.reading() as w:
            people = {one.username: one for one in await account_queries.all_accounts(w.db)}
        lasts = app.clock.now() + timedelta(hours=1)
        _, key = await app.tokens.make("test", list(Scope), expires_at=lasts, by=people["grace"])
        yield Desk(server, await sign_in(server, "grace"), key)


# --- the editor's requests ---


async def test_an_edit_is_answered_with_everything_that_follows_from_it(desk: Desk) -> None:
    number = await desk.new()
    state = (await desk.edit(number, 0, browserMediaAutoplay=False, quitURL="x")).json
    assert state["revision"] == 1
    assert "browserMediaAutoplayAudio" in state["locks"]
    assert state["values"]["browserMediaAutoplayVideo"] is False
    assert [one["path"] for one in state["findings"] if one["severity"] == "error"] == ["quitURL"]
    assert {"browserMediaAutoplay", "quitURL"} <= set(state["changed"])
    assert state["tabs"]["exam"] == "error"


async def test_the_second_editor_gets_both_values_to_choose_from(desk: Desk) -> None:
    number = await desk.new()
    assert (await desk.edit(number, 0, quitURL="https://one.example.org")).status == 200
    answer = await desk.edit(number, 0, quitURL="https://two.example.org")
    assert answer.status == 409
    [conflict] = answer.json["conflicts"]
    assert (conflict["id"], conflict["actor"]) == ("quitURL", "grace")
    assert conflict["shown"] == "https://one.example.org"
    assert answer.json["state"]["revision"] == 1


async def test_an_open_editor_hears_of_others(desk: Desk) -> None:
    number = await desk.new()
    assert (await desk.browser.get(f"/configurations/{number}/state?since=0")).status == 204
    await desk.edit(number, 0, allowQuit=False)
    state = (await desk.browser.get(f"/configurations/{number}/state?since=0")).json
    assert state["values"] == {"allowQuit": False}
    assert [one["actor"] for one in state["others"]] == ["grace"]


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{}", '{"base":"0"}', "[" * 5000, '{"base":0,"changes":{"a\\ud800":1}}', '{"base":0,"reset":["\\u0000"]}',
     '{"base":0,"changes":{"quitURL":"\\ud800 \\u0000"}}', '{"base":99999999999999999999}', '{"base":-1,"changes":{}}'],
)  # fmt: skip
async def test_a_broken_edit_is_no_accident(desk: Desk, body: str) -> None:
    number = await desk.new()
    assert (await desk.send(number, body)).status in {200, 400}


async def test_a_password_is_never_shown_again(desk: Desk) -> None:
    number = await desk.new()
    state = await desk.edit(number, 0, hashedQuitPassword={"password": "correct horse"})
    async with desk.server.app.reading() as w:
        configuration = await desk.server.app.configurations.get_in(w, number, None, Right.SEE)
        held = (await desk.server.app.configurations.draft_in(w, configuration)).values["hashedQuitPassword"]
    shown = state.body.decode() + await desk.page(f"/configurations/{number}?tab=general")
    shown += (await desk.call("GET", f"/configurations/{number}/values")).body.decode()
    shown += await desk.page(f"/configurations/{number}/history")
    assert state.json["values"]["hashedQuitPassword"] is True
    assert held
    assert held not in shown
    assert "correct horse" not in shown


async def test_every_tab_shows_every_setting_of_the_catalogue_with_a_help_text(desk: Desk) -> None:
    """Generated from the catalogue: what has a tab is there, with a text of its own and who honours it."""
    number = await desk.new()
    for language in ("en", "de"):
        shown = ""
        for tab in sorted({row.tab for row in values.editable().values() if row.tab}):
            shown += await desk.page(f"/configurations/{number}/tabs/{tab}?lang={language}")
        for setting_id, row in values.editable().items():
            if row.tab:
                assert f'data-setting="{setting_id}"' in shown, setting_id
        assert re.findall(r'[>"]((?:setting|configuration|finding)\.[\w.]+)', shown) == [], (
            "a text is missing"
        )


# --- without script ---


def form_of(page: str) -> dict[str, str]:
    """What a browser would send of a tab's form."""
    form = page[page.index('class="tab-form"') :]
    found: dict[str, str] = {}
    for tag in re.findall(r"<input [^>]*>", form):
        name = re.search(r'name="([^"]*)"', tag)
        if name is None or " disabled" in tag or "[#]" in name[1]:
            continue
        is_box = 'type="checkbox"' in tag or 'type="radio"' in tag
        if not is_box or " checked" in tag:
            value = re.search(r'value="((?:[^"]|"(?=[^ >]))*)"', tag)
            found[name[1]] = value[1] if value else ""
    for name, body in re.findall(r'<select name="([^"]*)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', body)
        if chosen and "[#]" not in name:
            found[name] = chosen[1]
    return found


async def tab_form(desk: Desk, number: int, tab: str) -> dict[str, str]:
    answer = await desk.browser.get(f"/configurations/{number}/tabs/{tab}", accept="text/html")
    page = answer.body.decode()
    form = form_of(page)
    return {name: unescape(value) for name, value in form.items()}


async def test_a_tab_is_a_form_and_only_what_was_edited_is_saved(desk: Desk) -> None:
    """A form that was opened before others saved takes nothing of theirs back."""
    number = await desk.new()
    form = await tab_form(desk, number, "exam")
    await desk.edit(number, 0, quitURLConfirm=False)
    answer = await desk.browser.post(
        f"/configurations/{number}/tabs/exam", form | {"quitURL": "https://lms.example.org/quit"}
    )
    assert answer.status == 303, answer.body
    held = (await desk.call("GET", f"/configurations/{number}/values")).json["values"]
    assert held["quitURL"] == "https://lms.example.org/quit"
    assert held["quitURLConfirm"] is False


async def test_an_untouched_form_changes_nothing_on_any_tab(desk: Desk) -> None:
    number = await desk.new()
    for tab in ("general", "user_interface", "browser", "network", "security", "proctoring", "applications"):
        form = await tab_form(desk, number, tab)
        assert (await desk.browser.post(f"/configurations/{number}/tabs/{tab}", form)).status == 303
    assert (await desk.call("GET", f"/configurations/{number}")).json["revision"] == 0


async def test_rows_are_added_moved_and_removed_by_plain_buttons(desk: Desk) -> None:
    number = await desk.new()

    async def press(name: str, value: str, **more: str) -> list[str]:
        form = await tab_form(desk, number, "network") | more | {name: value}
        answer = await desk.browser.post(f"/configurations/{number}/tabs/network", form)
        assert answer.status == 303, answer.body
        held = (await desk.call("GET", f"/configurations/{number}/values")).json["values"]
        return [row["expression"] for row in held["URLFilterRules"]]

    assert await press("add", "URLFilterRules") == [""]
    assert await press("add", "URLFilterRules", **{"URLFilterRules[0].expression": "a"}) == ["a", ""]
    assert await press("up", "URLFilterRules[1]", **{"URLFilterRules[1].expression": "b"}) == ["b", "a"]
    assert await press("remove", "URLFilterRules[0]") == ["a"]


# --- files ---


async def test_an_exported_file_has_the_config_key_that_is_shown_and_that_clients_compute(desk: Desk) -> None:
    """The key of an export is the one of what the exam API serves for the same values."""
    number = await desk.new()
    await desk.edit(number, 0, allowQuit=False, **{"proxies.HTTPPort": 3128})
    published = await desk.call("POST", f"/configurations/{number}/publish", {"revision": 1})
    shown = published.json["config_key"]
    for form, more in (("xml", {}), ("plain", {}), ("password", {"password": "grüezi"})):
        answer = await desk.upload(
            f"/configurations/{number}/export", {}, form=form, version="1", deed="file", **more
        )
        assert answer.status == 200, answer.body
        settings = container.decode(answer.body, password=more.get("password")).settings
        assert config_key(settings) == shown
        file = exam_settings.exam_settings_bytes(settings)
        exam_id = exam_called(desk.server, "Biology")
        async with desk.server.app.work() as w:
            await w.db.execute(update(exams).where(exams.c.id == exam_id).values(settings=file))
        desk.server.app.served_files._files.clear()
        wire = await desk.server.connect()
        served = (await wire.configuration(str(exam_id))).body
        assert config_key(container.decode(served).settings) == shown
    assert shown in await desk.page(f"/configurations/{number}/export")


async def test_a_file_for_use_without_server_has_its_start_address_and_another_key(desk: Desk) -> None:
    number = await desk.new()
    wish = {
        "start_url": "https://lms.example.org/quiz",
        "purpose": "configure",
        "form": "plain",
        "version": "draft",
    }
    answer = await desk.upload(f"/configurations/{number}/export", {}, **wish)
    settings = container.decode(answer.body).settings
    assert settings["startURL"] == "https://lms.example.org/quiz"
    assert settings["sebConfigPurpose"] == 1
    page = await desk.upload(f"/configurations/{number}/export", {}, deed="key", **wish)
    assert config_key(settings) in page.body.decode()


@pytest.mark.parametrize(
    "wish",
    [{"form": "password"}, {"form": "certificate"}, {"start_url": "lms"}, {"form": "none"}, {"version": "x"}],
)
async def test_an_export_that_lacks_something_says_what(desk: Desk, wish: dict[str, str]) -> None:
    number = await desk.new()
    answer = await desk.upload(f"/configurations/{number}/export", {}, **({"version": "draft"} | wish))
    assert answer.status == 400
    assert b"field-problem" in answer.body


async def test_an_import_is_shown_before_it_is_kept(desk: Desk) -> None:
    settings = exported_defaults() | {
        "unknownToAll": True,
        "allowQuit": "yes",
        "sebMode": 1,
        "hashedQuitPassword": "AB" * 32,
        "quitURL": "https://lms.example.org/quit",
    }
    file = container.encode(settings, password="grüezi")
    wrong = await desk.upload("/configurations/import", {"file": file}, password="nothing")
    assert wrong.status == 400
    shown = await desk.upload("/configurations/import", {"file": file}, password="grüezi")
    page = unescape(shown.body.decode())
    assert shown.status == 200
    for said in (
        "unknownToAll",
        "sebMode",
        "allowQuit",
        "https://lms.example.org/quit",
        config_key(settings),
    ):
        assert said in page, said
    sealed = re.search(r'name="sealed" value="([^"]*)"', page)
    assert sealed is not None
    name = uuid4().hex
    kept = await desk.browser.post("/configurations/import/apply", {"sealed": sealed[1], "name": name})
    number = kept.headers["location"].rpartition("/")[2]
    held = (await desk.call("GET", f"/configurations/{number}/values")).json["values"]
    assert held["quitURL"] == "https://lms.example.org/quit"
    assert held["hashedQuitPassword"] == {"is_set": True}
    again = await desk.browser.post("/configurations/import/apply", {"sealed": sealed[1], "name": name})
    assert again.status == 400, "the name is taken, and nothing is lost: the page comes back"
    assert b'name="sealed"' in again.body


async def test_an_import_into_a_draft_changed_meanwhile_is_refused(desk: Desk) -> None:
    number = await desk.new()
    file = container.encode(exported_defaults())
    page = (await desk.upload("/configurations/import", {"file": file}, into=str(number))).body.decode()
    fields = dict(re.findall(r'type="hidden" name="(sealed|into|revision)" value="([^"]*)"', page))
    await desk.edit(number, 0, allowQuit=False)
    assert (await desk.browser.post("/configurations/import/apply", fields)).status == 409
    answer = await desk.browser.post("/configurations/import/apply", fields | {"revision": "1"})
    assert answer.status == 303
    held = (await desk.call("GET", f"/configurations/{number}/values")).json
    assert held["values"]["prohibitedProcesses"] == []


@pytest.mark.parametrize("file", [b"", b"no seb file", b"plnd\x1f\x8b\x08", b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a/>"])  # fmt: skip
async def test_what_is_no_seb_file_gets_one_sentence(desk: Desk, file: bytes) -> None:
    answer = await desk.upload("/configurations/import", {"file": file})
    assert answer.status == 400
    assert b"field-problem" in answer.body


async def test_only_uploads_may_be_large(desk: Desk) -> None:
    """Forms elsewhere stay at 64 KiB."""
    settings = exported_defaults() | {"embeddedCertificates": [{"certificateData": bytes(300_000)}]}
    file = container.encode(settings, prefix=container.Prefix.XML, is_gzipped=False)
    assert (await desk.upload("/configurations/import", {"file": file})).status == 200
    assert (await desk.browser.post("/configurations/new", {"name": "x" * 70_000})).status == 413


# --- the API ---


async def test_the_api_does_what_the_pages_do(desk: Desk) -> None:
    made = await desk.call("POST", "/configurations", {"name": uuid4().hex, "description": "d"})
    assert made.status == 201, made.body
    one = f"/configurations/{made.json['id']}"
    edited = await desk.call("PATCH", f"{one}/values", {"revision": 0, "changes": {"allowQuit": False}})
    assert edited.json["revision"] == 1
    assert edited.json["values"]["allowQuit"] is False
    refused = await desk.call("PATCH", f"{one}/values", {"revision": 0, "changes": {"allowQuit": True}})
    assert (refused.status, refused.json["code"]) == (409, "changed_meanwhile")
    version = await desk.call("POST", f"{one}/publish", {"revision": 1, "note": "First"})
    assert version.json["config_key"] == edited.json["config_key"]
    await desk.call("PATCH", f"{one}/values", {"revision": 1, "changes": {"allowQuit": True}})
    differences = await desk.call("GET", f"{one}/compare?left=1")
    assert differences.json == [{"path": "allowQuit", "before": False, "after": True}]
    assert (await desk.call("POST", f"{one}/undo", {"revision": 2})).json["values"]["allowQuit"] is False
    assert (await desk.call("GET", f"{one}/history")).json["total"] == 2
    assert [v["number"] for v in (await desk.call("GET", f"{one}/versions")).json] == [1]
    renamed = await desk.call("PATCH", one, {"description": "For quizzes"})
    assert renamed.json["description"] == "For quizzes"
    file = await desk.call("POST", f"{one}/export", {"form": "plain", "version": 1})
    assert file.headers["x-config-key"] == version.json["config_key"]
    body = {"file": base64.b64encode(file.body).decode(), "only_look": True}
    assert (await desk.call("POST", "/configurations/import", body)).json["unknown"] == []
    assert (await desk.call("DELETE", one)).status == 204
    assert (await desk.call("GET", one)).status == 404


async def test_the_catalogue_is_there_for_programs(desk: Desk) -> None:
    settings = {one["id"]: one for one in (await desk.call("GET", "/settings")).json}
    assert settings["quitURL"]["tab"] == "exam"
    assert settings["jitsiMeetEnable"]["macos"] == "refuses"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/configurations/99999999999999999999", None),
        ("GET", "/configurations/" + "9" * 5000, None),
        ("GET", "/configurations?q=%00%ff&sort=name", None),
        ("GET", "/configurations?sort=nothing", None),
        ("GET", "/configurations/1/values?version=99999999999", None),
        ("GET", "/configurations/1/values?version=%C2%B2", None),
        ("GET", "/configurations/1/compare?left=9&right=2147483649", None),
        ("POST", "/configurations", '{"name":"a\\u0000b"}'),
        ("POST", "/configurations", '{"name":"\\ud800"}'),
        ("POST", "/configurations", '{"name":"n","template_id":99999999999999999999999}'),
        ("PATCH", "/configurations/1/values", '{"revision":0,"changes":{"\\ud800":"\\ud800"}}'),
        ("PATCH", "/configurations/1/values", '{"revision":0,"changes":{"a":1e999}}'),
        ("PATCH", "/configurations/1/values", '{"revision":0,"changes":{"proxies":{"HTTPPort":%s}}}' % ("9" * 400)),
        ("PATCH", "/configurations/1/values", '{"revision":0,"reset":["proxies","x","URLFilterRules","proxies."]}'),
        ("POST", "/configurations/1/publish", '{"revision":99999999999999999999,"note":"\\u0000"}'),
        ("POST", "/configurations/1/export", '{"version":99999999999999999999}'),
        ("POST", "/configurations/1/export", '{"form":"certificate","certificate":"\\ud800"}'),
        ("POST", "/configurations/1/export", '{"form":"password","password":"\\ud800"}'),
        ("POST", "/configurations/import", '{"file":"????"}'),
        ("POST", "/configurations/import", '{"file":"","key":"\\ud800","key_password":"\\ud800"}'),
    ],
)  # fmt: skip
async def test_odd_calls_are_answered_with_a_sentence(
    desk: Desk, method: str, path: str, body: str | None
) -> None:
    await desk.new()
    answer = await desk.call(method, path, body)
    assert answer.status in {200, 400, 404, 409}, answer.body
    if answer.status != 200:
        assert answer.json["message"]
