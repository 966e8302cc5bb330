"""Rosters as people have them: whatever wrote the file, it is understood, or the very line that is not is named."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from invigilo.errors import Invalid
from invigilo.exams import roster_file
from invigilo.exams.model import Candidate
from invigilo.exams.roster_file import Line, Mode, RosterFile

TEXT = (
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
    .map(str.strip)
    .filter(bool)
)
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        id=st.integers(1, 10**6),
        exam_id=st.just(1),
        user_id=TEXT,
        name=TEXT,
        group=st.one_of(st.just(""), TEXT),
        extra_minutes=st.integers(0, 1_440),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda one: one.user_id,
)


def lines_of(text: str | bytes) -> list[tuple[str, str, str, int]]:
    file = roster_file.read(text.encode() if isinstance(text, str) else text)
    assert file.bad == ()
    return [(one.user_id, one.name, one.group, one.extra_minutes) for one in file.lines]


ZOE = [("s1", "Zoë Müller", "B2", 30)]


@pytest.mark.parametrize(
    "text",
    [
        "user_id,name,group,extra_minutes\ns1,Zoë Müller,B2,30\n",
        "Benutzerkennung;Vollständiger Name;Gruppe;Zusatzzeit\r\ns1;Zoë Müller;B2;30 Minuten\r\n",
        "Vorname;Nachname;Matrikelnummer;Kurs;Zeitverlängerung\nZoë;Müller;s1;B2;30\n",
        'Group\tUser ID\tFull name\tExtra time\nB2\ts1\t"Zoë Müller"\t30 min\n',
        "s1;Zoë Müller;B2;30",
        "\n\nuser_id,Email,name,group,extra time\ns1,z@example.org,Zoë Müller,B2,30\n\n",
    ],
)
def test_every_way_of_writing_it_means_the_same(text: str) -> None:
    assert lines_of(text) == ZOE
    assert lines_of(text.encode("utf-8-sig")) == ZOE
    assert lines_of(text.encode("cp1252")) == ZOE
    assert lines_of(text.encode("utf-16")) == ZOE


def test_quotes_hold_separators_and_line_breaks_keep_the_count() -> None:
    text = 'user_id,name,group\ns1,"Müller, Zoë",B2\n\ns2,,A\ns3,Ida,"a ""quoted"" one"\n'
    file = roster_file.read(text.encode())
    assert [one.name for one in file.lines] == ["Müller, Zoë", "Ida"]
    assert file.lines[1].group == 'a "quoted" one'
    assert [(one.number, one.problem.code) for one in file.bad] == [(4, "no_name")]


def test_each_bad_line_is_named_with_its_number_and_reason() -> None:
    text = "user_id,name,group,extra_minutes\n,Ada,,\ns2,Bea,,soon\ns3,Cy,,1441\ns4,Di,,\ns4,Di again,,\ns5,E\x07,,\n"
    found = [(one.number, one.problem.code) for one in roster_file.read(text.encode()).bad]
    assert found == [
        (2, "no_user_id"), (3, "not_minutes"), (4, "not_minutes"), (6, "stands_twice"), (7, "control_characters"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_file"),
        (b"user_id,name\n", "empty_file"),
        (b"PK\x03\x04\x00\x00\x00\x00", "not_text"),
        (b"name,group\nAda,B\n", "no_column"),
        (b"user_id,group\ns1,B\n", "no_column"),
        (b"x" * (roster_file.LARGEST + 1), "too_large_file"),
        (b"user_id,name\n" + b'"' + b"x" * 200_000, "broken_quotes"),
        (b"user_id,name\n" + b"s,n\n" * (roster_file.MOST + 1), "too_many_lines"),
    ],
)
def test_what_is_no_roster_gets_one_clear_answer(data: bytes, code: str) -> None:
    with pytest.raises(Invalid) as error:
        roster_file.read(data)
    assert [one.code for one in error.value.problems] == [code]


@given(
    st.one_of(st.binary(max_size=400), st.text(max_size=200).map(lambda one: one.encode("utf-8", "ignore")))
)
@example(b"\xff\xfe\x00")
@example(b'"')
def test_no_file_at_all_brings_it_down(data: bytes) -> None:
    try:
        file = roster_file.read(data)
    except Invalid:
        return
    assert file.lines or file.bad


@given(CANDIDATES)
@example([Candidate(1, 1, "=1+1", "'=x", "-")])
@example([Candidate(1, 1, "user_id", "name")])
def test_what_is_exported_is_imported_as_the_same(candidates: list[Candidate]) -> None:
    """Also what a spreadsheet would compute."""
    file = roster_file.read(roster_file.write(candidates))
    assert file.bad == ()
    assert [(one.user_id, one.name, one.group, one.extra_minutes) for one in file.lines] == [
        (one.user_id, one.name, one.group, one.extra_minutes) for one in candidates
    ]


@pytest.mark.parametrize("active", ["=1", "+1", "-1", "@x"])
def test_no_exported_cell_is_computed(active: str) -> None:
    text = roster_file.write([Candidate(1, 1, "s1", active)]).decode("utf-8-sig")
    assert f'"{active}"' not in text


@given(CANDIDATES, CANDIDATES, st.sampled_from(Mode))
def test_a_plan_carried_out_leaves_nothing_to_do(
    before: list[Candidate], after: list[Candidate], mode: Mode
) -> None:
    current = {one.user_id: one for one in before}
    lines = tuple(
        Line(number, one.user_id, one.name, one.group, one.extra_minutes)
        for number, one in enumerate(after, 2)
    )
    plan = roster_file.plan(current, RosterFile(lines, ()), mode)
    for one in plan.removed:
        del current[one.user_id]
    for line in [*plan.new, *[line for _, line in plan.changed]]:
        current[line.user_id] = Candidate(1, 1, line.user_id, line.name, line.group, line.extra_minutes)
    again = roster_file.plan(current, RosterFile(lines, ()), mode)
    assert not again.does_something
    assert (mode is Mode.REPLACE) <= (current.keys() == {one.user_id for one in after})
    assert len(plan.new) + len(plan.changed) + plan.unchanged == len(after)
