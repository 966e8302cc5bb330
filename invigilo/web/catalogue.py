"""One catalogue of all texts people read, from `messages/<language>/<part>.json`: flat keys, named holes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "messages"
FALLBACK = "en"

_HOLE = re.compile(r"\{(\w+)\}")


class Catalogue:
    """Texts by language and key. A text that is missing in a language is shown in English, never as nothing."""

    def __init__(self, texts: Mapping[str, Mapping[str, str]]) -> None:
        self.texts = texts

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Catalogue:
        texts: dict[str, dict[str, str]] = {}
        for language in sorted(path for path in folder.iterdir() if path.is_dir()):
            found = texts.setdefault(language.name, {})
            for part in sorted(language.glob("*.json")):
                found |= json.loads(part.read_text(encoding="utf-8"))
        return cls(texts)

    def text(self, language: str, key: str, /, **values: object) -> str:
        """The text with its holes filled; the key itself when no language has it."""
        raw = self.texts.get(language, {}).get(key) or self.texts.get(FALLBACK, {}).get(key) or key
        return _HOLE.sub(lambda hole: str(values.get(hole[1], hole[0])), raw)

    def part(self, language: str, prefix: str) -> dict[str, str]:
        """All texts under a prefix, for a page's scripts."""
        english = {k: v for k, v in self.texts.get(FALLBACK, {}).items() if k.startswith(prefix)}
        return english | {k: v for k, v in self.texts.get(language, {}).items() if k.startswith(prefix)}

    def choose_language(self, accept_language: str, available: Sequence[str]) -> str:
        """The best of the available languages for an Accept-Language header; English when none fits."""
        wishes: list[tuple[float, int, str]] = []
        for place, item in enumerate(accept_language[:500].split(",")):
            tag, _, quality = item.strip().partition(";q=")
            try:
                weight = float(quality) if quality else 1.0
            except ValueError:
                continue
            wishes.append((-weight, place, tag.strip().lower().split("-")[0]))
        return next((tag for weight, _, tag in sorted(wishes) if tag in available and weight < 0), FALLBACK)

    @staticmethod
    def holes(text: str) -> set[str]:
        """The names of a text's holes."""
        return set(_HOLE.findall(text))
