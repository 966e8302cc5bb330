"""QR codes, as pictures that a page holds without asking anybody."""

from __future__ import annotations

import segno
from markupsafe import Markup

QUIET_ZONE = 4  # modules of white that a reader needs around a code


def qr_code(text: str) -> Markup:
    """An SVG without size, style or script; black on white also on a dark page, because readers need that."""
    code = segno.make_qr(text, error="m")
    svg = code.svg_inline(
        border=QUIET_ZONE, omitsize=True, dark="#000", light="#fff", svgclass="qr", lineclass=None
    )
    return Markup(svg)  # noqa: S704 - made by us; the text is in its pattern, not in its markup
