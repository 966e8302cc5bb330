from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from invigilo.errors import BadInput
from invigilo.sebconfig import plist
from invigilo.sebconfig.config_key import config_key, seb_json
from invigilo.sebconfig.errors import DamagedFile, NotASebFile

from .vectors import any_settings, known

_HEAD = '<?xml version="1.0" encoding="utf-8"?>'


def document(body: str, *, head: str = _HEAD) -> bytes:
    return f'{head}<plist version="1.0">{body}</plist>'.encode()


def entry(value: str) -> bytes:
    return document(f"<dict><key>k</key>{value}</dict>")


@effort(deadline=None)
@given(any_settings)
def test_what_is_written_is_read_back_with_the_same_types_and_config_key(settings):
    again = plist.read(plist.write(settings))
    assert again == settings
    assert seb_json(again) == seb_json(settings)


@effort(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(document))
def test_no_document_raises_anything_but_bad_input(data):
    with contextlib.suppress(BadInput):
        plist.read(data)


@effort(deadline=None)
@given(st.lists(st.sampled_from([
    "<dict>", "</dict>", "<array>", "</array>", "<key>", "</key>", "<key>a</key>", "<true/>", "<false />", "<integer>",
    "1", "</integer>", "<integer>7</integer>", "<string/>", "<real>.5</real>", "<data>AA==</data>", "<plist>", "</plist>",
    "<date>", " ", "x", "<!-- c -->", "&amp;", "&x;", "<string>s</string>",
]), max_size=12))  # fmt: skip
def test_no_order_of_elements_raises_anything_but_bad_input(pieces):
    try:
        settings = plist.read(document("".join(pieces)))
    except BadInput:
        return
    assert plist.read(plist.write(settings)) == settings


@pytest.mark.parametrize(
    ("xml", "value"),
    [
        ("<real>1</real>", 1.0),
        ("<real> 0.2 </real>", 0.2),
        ("<real>1E-05</real>", 1e-05),
        ("<integer>1</integer>", 1),
        ("<integer>\n-2147483648 </integer>", -(2**31)),
        ("<true/>", True),
        ("<false></false>", False),
        ("<string/>", ""),
        ("<string>  not trimmed\t</string>", "  not trimmed\t"),
        ("<string>a&amp;b &lt;c&gt; &quot;&#100;&#13;</string>", 'a&b <c> "d\r'),
        ("<string><![CDATA[<&>]]></string>", "<&>"),
        ("<string>a\r\nb</string>", "a\nb"),
        ("<data>\n  AAEC\n  Aw==\n</data>", b"\x00\x01\x02\x03"),
        ("<data/>", b""),
        ("<array/>", []),
        ("<array><dict/><array> <!-- nothing --> </array></array>", [{}, []]),
    ],
)
def test_values_keep_their_type(xml, value):
    found = plist.read(entry(xml))["k"]
    assert found == value
    assert type(found) is type(value)


def test_of_a_key_that_comes_twice_the_last_value_counts():
    assert plist.read(document("<dict><key>a</key><true/><key>a</key><false/></dict>")) == {"a": False}


@pytest.mark.parametrize(
    "xml",
    [
        entry("<integer>2147483648</integer>"),
        entry("<integer>" + "9" * 5000 + "</integer>"),
        entry("<integer>1_0</integer>"),
        entry("<integer>٣</integer>"),
        entry("<integer>0x1F</integer>"),
        entry("<integer></integer>"),
        entry("<real>nan</real>"),
        entry("<real>1e999</real>"),
        entry("<real>1,5</real>"),
        entry("<real>" + "1" * 100_000 + "</real>"),
        entry("<data>not base64!</data>"),
        entry("<data>AAE</data>"),
        entry("<true>yes</true>"),
        entry("<string><b/></string>"),
        entry("<set/>"),
        entry(""),
        entry("text"),
        entry("<true/><true/>"),
        entry("<key>again</key>"),
        document("<dict><true/></dict>"),
        document("<array/>"),
        document("<string/>"),
        document("<dict/><dict/>"),
        document("<plist><dict/></plist>"),
    ],
)
def test_what_breaks_the_format_is_refused_as_damaged(xml):
    with pytest.raises(DamagedFile, match="fresh copy"):
        plist.read(xml)


@pytest.mark.parametrize(
    "xml",
    [
        b"",
        b"hello",
        document("") + b"",
        b"<?xml version='1.0'?><html/>",
        b"\xef\xbb\xbf" + entry("<true/>"),
        b" " + entry("<true/>"),
    ],
)
def test_what_is_no_property_list_is_told_apart(xml):
    with pytest.raises(NotASebFile):
        plist.read(xml)


def test_a_date_is_refused_with_its_key_named():
    """Its Config Key differs from client to client."""
    with pytest.raises(BadInput, match=r"k is a date.*Make it a text"):
        plist.read(entry("<date>2026-01-01T00:00:00Z</date>"))


@effort(deadline=None)
@given(st.data())
def test_a_changed_byte_of_a_real_file_raises_nothing_but_bad_input(data):
    xml = bytearray(known("seb_files.json")["examples"][0]["xml"].encode())
    xml[data.draw(st.integers(0, len(xml) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadInput):
        assert plist.read(bytes(xml)) is not None


_SUBSETS = {
    "internal entity": '<!DOCTYPE plist [<!ENTITY a "aaaa">]>',
    "expansion": '<!DOCTYPE plist [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY k "&b;&b;&b;&b;">]>',
    "external entity": '<!DOCTYPE plist [<!ENTITY k SYSTEM "file:///etc/hostname">]>',
    "parameter entity": '<!DOCTYPE plist [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x.dtd"> %p;]>',
    "empty subset": "<!DOCTYPE plist []>",
}


@pytest.mark.parametrize("subset", _SUBSETS.values(), ids=_SUBSETS.keys())
def test_a_document_type_with_declarations_is_refused(subset):
    with pytest.raises(BadInput, match="entities"):
        plist.read(document("<dict><key>k</key><string>&k;</string></dict>", head=_HEAD + subset))


def test_an_entity_that_might_be_declared_elsewhere_is_refused_not_skipped():
    head = _HEAD + '<!DOCTYPE plist SYSTEM "http://127.0.0.1:9/x.dtd">'
    with pytest.raises(BadInput, match="entities"):
        plist.read(document("<dict><key>k</key><string>a&k;b</string></dict>", head=head))


def test_other_encodings_are_refused():
    with pytest.raises(BadInput, match="UTF-8"):
        plist.read(document("<dict/>", head='<?xml version="1.0" encoding="iso-8859-1"?>'))


def test_depth_is_limited_alike_for_reading_and_writing():
    inside = plist.MAX_DEPTH - 1
    value: plist.PlistValue = []
    for _ in range(inside - 1):
        value = [value]
    assert plist.read(plist.write({"k": value})) == {"k": value}
    with pytest.raises(BadInput, match="nested deeper"):
        plist.write({"k": [value]})
    with pytest.raises(BadInput, match="nested deeper"):
        plist.read(entry("<array>" * 100_000))


def test_the_number_of_values_is_limited():
    with pytest.raises(BadInput, match="more than"):
        plist.read(entry("<array>" + "<true/>" * (2 * plist.MAX_VALUES) + "</array>"))


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, {"b": 2**31}]}, "a.1.b"),
        ({"a": float("inf")}, "a"),
        ({"a": float("nan")}, "a"),
        ({"a": "bell\x07"}, "a"),
        ({"a": ["half \ud83d"]}, "a.0"),
        ({"a": {"key\x00": 1}}, "a"),
        ({"a": None}, "a"),
    ],
)
def test_what_no_file_can_hold_is_refused_with_its_place(value, place):
    with pytest.raises(BadInput) as refusal:
        plist.write(value)
    assert refusal.value.field == place


def test_files_are_written_in_the_dialect_of_the_reference():
    settings: plist.Settings = {
        "b": 1.0,
        "A": True,
        "c": "",
        "d": {"y": b"\x00", "X": [1, "<&>"]},
        "e": [],
        "f": -0.0,
    }
    assert plist.write(settings).decode() == (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n'
        '<plist version="1.0">\n<dict>\n'
        "<key>A</key><true />\n<key>b</key><real>1</real>\n<key>c</key><string />\n"
        "<key>d</key><dict><key>X</key><array><integer>1</integer><string>&lt;&amp;&gt;</string></array>"
        "<key>y</key><data>AA==</data></dict>\n"
        "<key>e</key><array />\n<key>f</key><real>0</real>\n</dict>\n</plist>\n"
    )


def test_settings_typed_by_people_are_made_fit():
    """Each of these would give different Config Keys on different clients."""
    typed: plist.Settings = {
        "text": "line\r\nnext\rlast\x07",
        "blank": "  ",
        "list": ["a", " ", "", 0, False],
        "nothing": {},
        "nested": {"deep": {}, "originatorVersion": "x"},
        "originatorVersion": "kept at the root",
    }
    assert plist.fit_for_file(typed) == {
        "text": "line\nnext\nlast",
        "blank": "",
        "list": ["a", 0, False],
        "originatorVersion": "kept at the root",
    }


@effort(deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.text(max_size=8) | st.lists(st.text(max_size=4), max_size=3)))
def test_whatever_people_type_is_fit_for_a_file_afterwards(typed):
    fitted = plist.fit_for_file(typed)
    assert config_key(plist.read(plist.write(fitted))) == config_key(fitted)
    assert plist.fit_for_file(fitted) == fitted
