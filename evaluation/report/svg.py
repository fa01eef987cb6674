"""Matplotlib figures as inline SVG that follows the page's colours, fonts and width."""

from __future__ import annotations

import io
import re

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from evaluation.report.formats import clean

# Colours no plot uses by chance; each becomes a variable of the page, so dark mode and print reach the plots.
ROLES = {
    "ink": "#010201",
    "muted": "#010202",
    "rule": "#010203",
    "up": "#010204",
    "down": "#010205",
    "flat": "#010206",
    "truth": "#010207",
    "card": "#010208",
}


class Labels:
    """Matplotlib lays out ASCII tokens; the real text, in any script, is put in afterwards, escaped."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def add(self, text: str, limit: int) -> str:
        """The token that stands for a text of at most ``limit`` characters."""
        text = clean(text)
        self.texts.append(text if len(text) <= limit else text[: limit - 1] + "…")
        return f"@{len(self.texts) - 1}@"

    def fill(self, svg: str) -> str:
        """Put the texts in the places of their tokens."""
        return re.sub(r"@(\d+)@", lambda m: str(escape(self.texts[int(m.group(1))])), svg)


def drawing(figure: Figure, labels: Labels, prefix: str, kind: str, about: str) -> Markup:
    """An ``<svg>`` of a figure whose inches are 72 CSS pixels.

    Args:
        figure: Drawn in the colours of `ROLES` and the texts of ``labels``.
        labels: The texts.
        prefix: Of every id; unique in the document.
        kind: ``wide`` or ``narrow``; the style sheet shows one of them.
        about: The text alternative.
    """
    width, height = (round(x * 72) for x in figure.get_size_inches())
    frame = Markup('<svg class="plot {}" role="img" aria-label="{}" viewBox="0 0 {} {}">{}</svg>')
    return frame.format(kind, clean(about), width, height, Markup(labels.fill(_body(figure, prefix))))


def _body(figure: Figure, prefix: str) -> str:
    """The drawing inside <svg>: ids prefixed, colours as variables, nothing that reaches outside."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix, "text.parse_math": False}):
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
        )
    svg = buffer.getvalue()
    body = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
    for pattern in (
        r"<style.*?</style>",
        r"<metadata.*?</metadata>",
        r"<defs>\s*</defs>",
        r" font-family: [^;\"]*;?",
    ):
        body = re.sub(pattern, "", body, flags=re.DOTALL)
    used = set(re.findall(r"#([\w.-]+)", body))
    body = re.sub(r' id="([^"]*)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", body)
    body = body.replace('xlink:href="#', f'href="#{prefix}-').replace("url(#", f"url(#{prefix}-")
    for role, colour in ROLES.items():
        body = body.replace(colour, f"var(--{role})")
    return re.sub(r"\s*\n\s*", "\n", body)
