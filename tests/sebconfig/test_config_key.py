from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from invigilo.errors import BadInput
from invigilo.sebconfig import catalogue, plist
from invigilo.sebconfig.config_key import config_key, config_key_header, seb_json

from .vectors import any_settings, known

_EXAMPLES = known("seb_files.json")["examples"]
_RULES = known("config_key.json")


@pytest.mark.parametrize("example", _EXAMPLES, ids=lambda example: example["name"])
def test_worked_examples(example):
    settings = plist.read(example["xml"].encode())
    assert seb_json(settings) == example["seb_json"]
    assert config_key(settings) == example["config_key"]


@pytest.mark.parametrize("fragment", ["", "#anything", "#a#b"])
def test_the_header_counts_the_url_without_its_fragment(fragment):
    header = _EXAMPLES[0]["header"]
    assert config_key_header(header["url"] + fragment, _EXAMPLES[0]["config_key"]) == header["value"]


def test_self_check_of_the_table():
    expected = _RULES["exported_defaults"]
    defaults = catalogue.exported_defaults()
    assert len(defaults) == expected["root_keys"]
    assert len(defaults["proxies"]) == expected["proxies_keys"]
    assert len(seb_json(defaults).encode()) == expected["seb_json_bytes"]
    assert config_key(defaults) == expected["config_key"]


@pytest.mark.parametrize(("real", "text"), _RULES["reals"])
def test_reals_have_up_to_15_significant_digits(real, text):
    assert seb_json({"r": float(real)}) == f'{{"r":{text}}}'


@pytest.mark.parametrize("order", _RULES["orders"], ids=lambda order: order["sorted"][0])
def test_keys_are_sorted_ignoring_case(order):
    assert [key for key, _ in plist.in_key_order(dict.fromkeys(order["keys"], True))] == order["sorted"]


def test_an_integer_a_real_and_a_bool_are_never_mistaken():
    assert (
        seb_json({"a": 1, "b": 1.0, "c": True, "d": 0, "e": False})
        == '{"a":1,"b":1,"c":true,"d":0,"e":false}'
    )


def test_strings_are_not_escaped():
    assert seb_json({"a": 'say "hi" \\ / \n ü 😀'}) == '{"a":"say "hi" \\ / \n ü 😀"}'


@pytest.mark.parametrize(
    "settings",
    [
        {"a": 1, "originatorVersion": "x"},
        {"a": 1, "ORIGINATORversion": "x"},
        {"a": 1, "nothing": {}},
    ],
)
def test_the_originator_and_empty_dicts_do_not_count(settings):
    assert seb_json(settings) == '{"a":1}'


def test_empty_lists_texts_and_data_count():
    assert seb_json({"a": [], "b": "", "c": b"", "d": ["", {}]}) == '{"a":[],"b":"","c":"","d":["",{}]}'
    assert seb_json({}) == "{}"


@effort(deadline=None)
@given(any_settings, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(settings, chance: random.Random):
    def shuffled(value):
        if isinstance(value, dict):
            entries = [(key, shuffled(inner)) for key, inner in value.items()]
            chance.shuffle(entries)
            return dict(entries)
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    assert config_key(shuffled(settings)) == config_key(settings)


@pytest.mark.parametrize("value", ["\ud800", float("nan"), None])
def test_what_no_file_can_hold_has_no_config_key(value):
    with pytest.raises(BadInput):
        config_key({"a": value})
