"""The known answers, and settings made up by hypothesis."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

_FOLDER = Path(__file__).parents[1] / "vectors"


def known(name: str) -> Any:
    return json.loads((_FOLDER / name).read_text(encoding="utf-8"))


_XML_TEXT = st.text(
    st.characters(
        exclude_categories=("Cs",),
        exclude_characters=[*map(chr, set(range(32)) - {9, 10, 13}), "\ufffe", "\uffff"],
    ),
    max_size=12,
)
_SCALARS = (
    st.booleans()
    | st.integers(-(2**31), 2**31 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _XML_TEXT
    | st.binary(max_size=40)
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_XML_TEXT, inner, max_size=4),
    max_leaves=20,
)
any_settings = st.dictionaries(_XML_TEXT, _VALUES, max_size=8)
