"""Declared set-up: what a file says becomes so, once, completely or not at all."""

from __future__ import annotations

import json
import tomllib
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from invigilo.accounts import passwords
from invigilo.clock import SystemClock
from invigilo.declared import Report, apply_file, apply_text, read_declared
from invigilo.errors import BadInput
from invigilo.sebconfig import plist
from invigilo.sebconfig.connection_file import password_hash
from invigilo.storage.opening import Storage, open_storage
from invigilo.storage.tables import (
    activity,
    connection_configurations,
    exam_configurations,
    exam_supporters,
    exams,
    institutions,
    rooms,
    service_definitions,
    sessions,
    users,
)
from tests.server import SET_UP, settings_for

ALL_TABLES = (institutions, users, exams, exam_supporters, connection_configurations, activity)
MADE_SECRET = '[[institution]]\nname = "Example University"\n[[institution.connection]]\nname = "Lab"\nclient_id = "made"\n'


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    storage = await open_storage(settings_for(tmp_path), clock=SystemClock())
    yield storage
    await storage.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def untouched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Storage]:
    """One for all who promise to change nothing."""
    storage = await open_storage(settings_for(tmp_path_factory.mktemp("untouched")), clock=SystemClock())
    yield storage
    await storage.close()


async def _apply(storage: Storage, text: str) -> Report:
    return await apply_text(text, storage, SystemClock())


async def _everything(storage: Storage) -> dict[str, list[Any]]:
    async with storage.reading() as w:
        return {t.name: [tuple(row) for row in await w.db.execute(select(t))] for t in ALL_TABLES}


async def _rows(storage: Storage, table: Any) -> list[Any]:
    async with storage.reading() as w:
        return list(await w.db.execute(select(table)))


async def test_everything_declared_is_there_and_on_record(storage: Storage) -> None:
    report = await _apply(storage, SET_UP)
    assert [(c.deed, c.kind, c.name) for c in report.changes] == [
        ("created", "institution", "Example University"),
        ("created", "user", "ada"),
        ("created", "user", "grace"),
        ("created", "exam", "Linear Algebra"),
        ("created", "connection", "Lab PCs"),
    ]
    assert [row.deed for row in await _rows(storage, activity)] == [
        f"{c.kind}_created" for c in report.changes
    ]
    (exam,) = await _rows(storage, exams)
    assert (exam.collecting_room_size, exam.proctoring_enabled, exam.service) == (5, True, "builtin")
    assert len(await _rows(storage, exam_supporters)) == 1


async def test_applying_twice_changes_nothing(storage: Storage) -> None:
    await _apply(storage, SET_UP)
    before = await _everything(storage)
    report = await _apply(storage, SET_UP)
    assert (report.changes, report.unchanged) == ([], 5)
    assert await _everything(storage) == before


async def test_only_what_differs_is_changed_and_told(storage: Storage) -> None:
    await _apply(storage, SET_UP)
    text = SET_UP.replace("collecting_room_size = 5", 'collecting_room_size = "no limit"')
    text = text.replace('supporters = ["ada"]', 'supporters = ["ada", "grace"]')
    report = await _apply(storage, text)
    assert [str(change) for change in report.changes] == [
        "changed exam 'Linear Algebra': room size 5 → no limit, supporters"
    ]
    (exam,) = await _rows(storage, exams)
    assert exam.collecting_room_size is None


async def test_what_the_file_does_not_mention_stays_as_it_is(storage: Storage) -> None:
    """Somebody deactivated by hand must not come back by applying an old file; nor may supporters or sizes be lost."""
    await _apply(storage, SET_UP)
    async with storage.work() as w:
        await w.db.execute(update(users).values(is_active=False, language="de", display_name="Ada L."))
        await w.db.execute(update(connection_configurations).values(is_active=False, ping_interval_ms=2_000))
        await w.db.execute(update(exams).values(join_by="native", browser_exam_key="a" * 64))
    before = await _everything(storage)
    shorter = SET_UP.replace('supporters = ["ada"]', "").replace("collecting_room_size = 5", "")
    report = await _apply(storage, shorter.replace("enabled = true", ""))
    assert report.changes == []
    assert await _everything(storage) == before


async def test_a_new_proctored_exam_has_rooms_of_twenty(storage: Storage) -> None:
    """Nobody gets rooms without a limit by forgetting a line."""
    text = SET_UP.replace("collecting_room_size = 5", "").replace("enabled = true", "")
    await _apply(storage, text)
    (exam,) = await _rows(storage, exams)
    assert (exam.proctoring_enabled, exam.collecting_room_size) == (True, 20)


async def test_a_new_password_ends_the_sessions_it_opened(storage: Storage) -> None:
    await _apply(storage, SET_UP)
    async with storage.work() as w:
        await w.db.execute(
            sessions.insert().values(token_hash="x", user_id=1, created_at=0, expires_at=2**40)
        )
    report = await _apply(storage, SET_UP.replace('password = "correct', 'password = "in', 1))
    assert [str(change) for change in report.changes] == ["changed user 'ada': password"]
    assert await _rows(storage, sessions) == []


async def test_passwords_are_hashed_and_kept_to_the_letter(storage: Storage) -> None:
    """Blanks at its ends are part of a password: it is what people will type."""
    await _apply(storage, SET_UP.replace('"correct horse battery staple"', '"  correct horse  "', 1))
    ada = (await _rows(storage, users))[0]
    assert passwords.verify(ada.password_hash, "  correct horse  ")
    assert not passwords.verify(ada.password_hash, "correct horse")


async def test_a_client_secret_left_out_is_made_once_and_shown_nowhere_in_the_report(
    storage: Storage,
) -> None:
    report = await _apply(storage, MADE_SECRET)
    (row,) = await _rows(storage, connection_configurations)
    secret = storage.box.decrypt(row.client_secret_encrypted)
    assert len(secret) >= 32
    assert report.changes[-1].details == ("client secret made; it is in the connection file",)
    assert secret not in json.dumps(report.as_json())
    assert secret not in repr(await _everything(storage))
    again = await _apply(storage, MADE_SECRET)
    assert (again.changes, again.unchanged) == ([], 2)
    (row,) = await _rows(storage, connection_configurations)
    assert storage.box.decrypt(row.client_secret_encrypted) == secret


async def test_the_report_is_json(storage: Storage) -> None:
    report = await _apply(storage, SET_UP)
    found = json.loads(json.dumps(report.as_json()))
    assert found["unchanged"] == 0
    assert found["changes"][1] == {"kind": "user", "name": "ada", "deed": "created", "details": []}


async def test_no_secret_is_in_report_or_record(storage: Storage) -> None:
    await _apply(storage, SET_UP)
    changed = SET_UP.replace("correct horse battery staple", "another long password").replace(
        "0123456789abcdef", "secret-" * 3
    )
    report = await _apply(storage, changed)
    assert len(report.changes) == 3
    told = json.dumps(report.as_json()) + repr(await _rows(storage, activity))
    assert "another long password" not in told
    assert "secret-secret" not in told


# --- mistakes ---

EXAM = "institution[0].exam[0]"
MISTAKES: list[tuple[str, str, str]] = [
    ('name = "Example University"', "", "institution[0].name: is missing"),
    ('name = "Example University"', "name = 3", "institution[0].name: a text is needed"),
    ('name = "Example University"', 'name = " "', "institution[0].name: a text is needed"),
    ('name = "Example University"', f'name = "{"x" * 256}"', "at most 255 characters"),
    ('name = "Example University"', 'name = "E"\ncolour = 1', "institution[0].colour: there is no such key"),
    ('username = "ada"', 'username = "a da"', "institution[0].user[0].username: a user name has no blanks"),
    ('username = "ada"', 'username = "grace"', "grace: stands twice; user names must differ"),
    ('role = "exam_supporter"', 'role = "boss"', "user[0].role: one of server_admin,"),
    ('role = "exam_supporter"', 'role = "server_admin"', "stands outside institutions"),
    ('role = "exam_supporter"', "", "user[0].role: is missing"),
    ('password = "correct horse battery staple"', 'password = "short"', "8 to 256 characters"),
    ('password = "correct horse battery staple"', 'pasword = "correct horse"', "Did you mean 'password'?"),
    ('start = "2026-01-01T08:00:00Z"', 'start = "2026-01-01T08:00:00"', f"{EXAM}.start: the time zone is missing"),
    ('start = "2026-01-01T08:00:00Z"', 'start = "tomorrow"', f"{EXAM}.start: write a time like"),
    ('start = "2026-01-01T08:00:00Z"', "start = 2026-01-01", f"{EXAM}.start: write a time like"),
    ('start = "2026-01-01T08:00:00Z"', "start = 1767254400", f"{EXAM}.start: write a time like"),
    ('start = "2026-01-01T08:00:00Z"', "start = 0001-01-01T00:00:00+14:00", f"{EXAM}.start: write a time like"),
    ('start = "2026-01-01T08:00:00Z"', 'start = "2036-01-01T12:00:00Z"', f"{EXAM}.end: the end must be later"),
    ('url = "https://lms', 'url = "lms', f"{EXAM}.url: an absolute address is needed"),
    ('url = "https://lms', 'url = "javascript:lms', f"{EXAM}.url: an absolute address is needed"),
    ('url = "https://lms.example.org', 'url = "https://[', f"{EXAM}.url: "),
    ('supporters = ["ada"]', 'supporters = ["nobody"]', f"{EXAM}.supporters: there is no user 'nobody'"),
    ('supporters = ["ada"]', 'supporters = "ada"', f"{EXAM}.supporters: a list of user names is needed"),
    ('supporters = ["ada"]', "supporters = [7]", f"{EXAM}.supporters: a text is needed"),
    ("enabled = true", 'enabled = "yes"', f"{EXAM}.proctoring.enabled: write true or false"),
    ('service = "builtin"', 'service = "jitsi"', f"{EXAM}.proctoring.definition: Choose a service"),
    ('service = "builtin"', 'definition = "Nowhere"', "no service 'Nowhere' in this institution"),
    ('service = "builtin"', 'service = "skype"', f"{EXAM}.proctoring.service: one of"),
    ("collecting_room_size = 5", "collecting_room_size = 0", "from 1 to 500"),
    ("collecting_room_size = 5", "collecting_room_size = 501", 'or "no limit"'),
    ("collecting_room_size = 5", "collecting_room_size = true", 'or "no limit"'),
    ("collecting_room_size = 5", "collecting_room_size = 5.0", 'or "no limit"'),
    ("collecting_room_size = 5", 'join_by = "telephone"', f"{EXAM}.proctoring.join_by: one of"),
    ("collecting_room_size = 5", "colecting_room_size = 5", "Did you mean 'collecting_room_size'?"),
    ('client_id = "lab-pcs"', 'client_id = "lab:pcs"', "plain ASCII without a colon"),
    ('client_id = "lab-pcs"', "", "institution[0].connection[0].client_id: is missing"),
    ('client_secret = "0123456789abcdef"', 'client_secret = "short"', "at least 16 characters"),
    ('client_secret = "0123456789abcdef"', "ping_interval = 10", "from 500 to 60000"),
    ("[[institution.connection]]", "[institution.connection]", "write it as [[connection]]"),
    ("[[institution]]", "[[institutions]]\n[[institution]]", "Did you mean 'institution'?"),
]  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("right", "wrong", "said"), MISTAKES, ids=lambda text: text[:40])
async def test_a_mistake_is_named_with_its_place_and_changes_nothing(
    untouched: Storage, right: str, wrong: str, said: str
) -> None:
    """Also when the database already holds the right thing, and when the mistake shows only half way through."""
    before = await _everything(untouched)
    assert right in SET_UP
    with pytest.raises(BadInput) as refused:
        await _apply(untouched, SET_UP.replace(right, wrong, 1))
    assert said in refused.value.message
    assert "correct horse" not in refused.value.message
    assert await _everything(untouched) == before


async def test_all_mistakes_are_told_at_once(storage: Storage) -> None:
    text = (
        SET_UP.replace('username = "ada"', "username = 1")
        .replace('start = "2026', 'start = "x2026')
        .replace('"lab-pcs"', "7")
    )
    with pytest.raises(BadInput) as refused:
        await _apply(storage, text)
    for place in ("user[0].username", "exam[0].start", "connection[0].client_id"):
        assert place in refused.value.message


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "text", ["[[", "a", "= 1", "\x00", "[institution]", "institution = 3", "institution = [1]"]
)
async def test_what_is_no_set_up_is_refused(untouched: Storage, text: str) -> None:
    with pytest.raises(BadInput):
        await _apply(untouched, text)


async def test_names_taken_in_another_institution_are_refused(storage: Storage) -> None:
    await _apply(storage, SET_UP)
    before = await _everything(storage)
    with pytest.raises(BadInput, match="taken in another institution"):
        await _apply(storage, SET_UP.replace("Example University", "Other College"))
    with pytest.raises(BadInput, match="taken in another institution"):
        await _apply(storage, MADE_SECRET.replace("Example", "Other").replace('"made"', '"lab-pcs"'))
    assert await _everything(storage) == before


async def test_a_supporter_is_of_the_same_institution(storage: Storage) -> None:
    await _apply(storage, SET_UP)
    text = (
        SET_UP.replace("Example University", "Other")
        .replace('"grace"', '"eve"')
        .replace('"ada"', '"adam"', 1)
    )
    with pytest.raises(BadInput, match="no user 'ada' in this institution"):
        await _apply(storage, text.replace('"lab-pcs"', '"other"'))


async def test_a_new_user_needs_a_password(storage: Storage) -> None:
    with pytest.raises(BadInput, match="'ada' is new and needs a password"):
        await _apply(storage, SET_UP.replace('password = "correct horse battery staple"', "", 1))
    assert await _rows(storage, institutions) == []


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
async def test_a_file_that_cannot_be_read_is_named(
    storage: Storage, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "exams.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match="cannot be read"):
        await apply_file(path, storage, SystemClock())


# --- anything at all ---


def _toml(value: Any) -> str:
    """A value as inline TOML."""
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(_toml(one) for one in value) + "]"
        case datetime():
            return value.isoformat()
        case float():
            return {"inf": "inf", "-inf": "-inf", "nan": "nan"}.get(repr(value), repr(value))
        case str():
            return json.dumps(value).replace("\x7f", "\\u007f")
        case _:
            return json.dumps(value)


PLAIN_TEXT = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=20)
ANYTHING = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | PLAIN_TEXT
    | st.datetimes()
    | st.just("no limit"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN_TEXT, inner, max_size=3),
    max_leaves=5,
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at] * bool(at) + [place for key, one in inner for place in _places(one, (*at, key))]


@settings(max_examples=150, deadline=None)
@given(place=st.sampled_from(_places(tomllib.loads(SET_UP))), value=ANYTHING)
def test_whatever_stands_in_a_place_the_answer_is_a_sentence(place: tuple[Any, ...], value: Any) -> None:
    content: Any = tomllib.loads(SET_UP)
    inside = content
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    text = "\n".join(f"{key} = {_toml(one)}" for key, one in content.items())
    try:
        read_declared(text)
    except BadInput as refused:
        assert refused.message  # noqa: PT017


CONFIGURED = """
[[institution]]
name = "Example University"
[[institution.configuration]]
name = "Maths"
[institution.configuration.settings]
quitURL = "https://lms.example.org/quit"
[[institution.exam]]
name = "Linear Algebra"
start = "2026-01-01T08:00:00Z"
end = "2036-01-01T12:00:00Z"
url = "https://lms.example.org/mod/quiz/view.php?id=88"
configuration = "Maths"
quit_password = "let me out"
[institution.exam.proctoring]
enabled = true
features = ["chat"]
"""


async def _served(storage: Storage) -> plist.Settings:
    async with storage.reading() as w:
        return plist.read((await w.db.execute(select(exams.c.settings))).scalar_one())


async def test_what_clients_load_follows_the_declared_configuration(storage: Storage) -> None:
    await _apply(storage, CONFIGURED)
    served = await _served(storage)
    assert served["quitURL"] == "https://lms.example.org/quit"
    assert served["hashedQuitPassword"] == password_hash("let me out")
    assert served["browserMediaCaptureCamera"] is True
    changed = CONFIGURED.replace("org/quit", "org/bye").replace("2026-01-01", "2035-12-01")
    report = await _apply(storage, changed)
    assert [str(one) for one in report.changes] == [
        "changed configuration 'Maths': version 2",
        "changed exam 'Linear Algebra': start",
    ]
    assert (await _served(storage))[
        "quitURL"
    ] == "https://lms.example.org/quit"  # it was running when it was published
    await _apply(storage, changed.replace("org/bye", "org/gone"))
    assert (await _served(storage))["quitURL"] == "https://lms.example.org/gone"  # it is still to come


async def test_a_declared_configuration_twice_changes_nothing(storage: Storage) -> None:
    await _apply(storage, CONFIGURED)
    before = await _everything(storage)
    assert (await _apply(storage, CONFIGURED)).changes == []
    assert await _everything(storage) == before


async def test_a_draft_that_somebody_edits_is_not_published_by_the_way(storage: Storage) -> None:
    await _apply(storage, CONFIGURED)
    async with storage.work() as w:
        draft = (await w.db.execute(select(exam_configurations.c.draft))).scalar_one()
        await w.db.execute(update(exam_configurations).values(draft=draft | {"allowQuit": False}))
    report = await _apply(storage, CONFIGURED.replace("org/quit", "org/bye"))
    assert "left as a draft" in str(report.changes[0])
    async with storage.reading() as w:
        row = (await w.db.execute(select(exam_configurations))).one()
    assert (row.published_version, row.draft["allowQuit"]) == (1, False)
    assert row.draft["quitURL"] == "https://lms.example.org/bye"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("quitURL = 7", "configuration[0].settings.quitURL"),
        ("noSuchSetting = true", "configuration[0].settings.noSuchSetting"),
        ('quitURL = "nowhere"', "configuration[0]"),
    ],
)
async def test_a_setting_that_does_not_fit_is_named_and_nothing_is_done(
    untouched: Storage, wrong: str, said: str
) -> None:
    text = CONFIGURED.replace('quitURL = "https://lms.example.org/quit"', wrong)
    with pytest.raises(BadInput) as refused:
        await _apply(untouched, text)
    assert said in refused.value.message
    assert await _everything(untouched) == {t.name: [] for t in ALL_TABLES}


async def test_an_exam_cannot_have_a_configuration_that_is_not_there(untouched: Storage) -> None:
    with pytest.raises(
        BadInput, match=r"exam\[0\].configuration: there is no published configuration 'Physics'"
    ):
        await _apply(untouched, CONFIGURED.replace('configuration = "Maths"', 'configuration = "Physics"'))


# --- meeting services ---

JITSI = """
[[institution.service]]
name = "Jitsi of the exam office"
service = "jitsi"
server_url = "https://meet.example.org"
app_id = "exam-office"
app_secret_file = "jitsi.secret"
"""
ON_JITSI = SET_UP.replace(
    'service = "builtin"',
    'service = "jitsi"\ndefinition = "Jitsi of the exam office"\naccept_unproven = true',
).replace("[[institution.connection]]", JITSI + "[[institution.connection]]", 1)


async def _apply_beside(
    storage: Storage, folder: Path, text: str, secret: str = "a-secret-of-tests"
) -> Report:
    (folder / "jitsi.secret").write_text(f"{secret}\n", encoding="utf-8")
    return await apply_text(text, storage, SystemClock(), folder=folder)


async def test_a_meeting_service_is_entered_and_used_and_its_secret_is_in_a_file(
    storage: Storage, tmp_path: Path
) -> None:
    report = await _apply_beside(storage, tmp_path, ON_JITSI)
    assert "created service 'Jitsi of the exam office': test it before exams use it" in map(
        str, report.changes
    )
    (exam,) = await _rows(storage, exams)
    (definition,) = await _rows(storage, service_definitions)
    assert (exam.service, exam.service_definition_id) == ("jitsi", definition.id)
    assert "a-secret-of-tests" not in json.dumps(definition.secrets_encrypted)
    assert exam.unproven_accepted_by == "server"
    again = await _apply_beside(storage, tmp_path, ON_JITSI)
    assert (again.changes, again.unchanged) == ([], 6)


async def test_a_rotated_secret_is_stored_and_the_service_is_to_be_tested_again(
    storage: Storage, tmp_path: Path
) -> None:
    await _apply_beside(storage, tmp_path, ON_JITSI)
    report = await _apply_beside(storage, tmp_path, ON_JITSI, secret="another-secret-of-tests")
    assert [str(change) for change in report.changes] == [
        "changed service 'Jitsi of the exam office': test it again"
    ]


async def test_an_untested_service_needs_the_word_of_whoever_applies(
    storage: Storage, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=r"proctoring\.accept_unproven: This service has not passed its test"):
        await _apply_beside(storage, tmp_path, ON_JITSI.replace("\naccept_unproven = true", ""))
    assert await _rows(storage, institutions) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (('app_id = "exam-office"', ""), "service[0].app_id:"),
        (('app_id = "exam-office"', 'ap_id = "exam-office"'), "Did you mean app_id?"),
        (('server_url = "https://meet.example.org"', 'server_url = "http://a:b@meet?x"'), "server_url"),
        (('service = "jitsi"\nserver_url', 'service = "builtin"\nserver_url'), "one of jitsi, jaas"),
        (("jitsi.secret", "missing.secret"), "cannot be read: No such file"),
    ],
)
async def test_what_is_wrong_with_a_service_is_said_with_its_place(
    storage: Storage, tmp_path: Path, change: tuple[str, str], complaint: str
) -> None:
    with pytest.raises(BadInput) as caught:
        await _apply_beside(storage, tmp_path, ON_JITSI.replace(*change))
    assert complaint in caught.value.message
    assert await _rows(storage, institutions) == []


async def test_the_service_of_an_exam_with_rooms_stays(storage: Storage, tmp_path: Path) -> None:
    """Rooms at one service cannot be closed at another (live-proctoring.md §2.5)."""
    await _apply_beside(storage, tmp_path, ON_JITSI)
    async with storage.work() as w:
        (exam,) = await w.db.execute(select(exams.c.id))
        values = {"kind": "collecting", "number": 1, "name": "a" * 32, "state": "open", "created_at": 1}
        await w.db.execute(insert(rooms).values(exam_id=exam.id, **values))
    with pytest.raises(BadInput, match=r"cannot be changed\. Reset the rooms first"):
        await _apply(storage, SET_UP)
