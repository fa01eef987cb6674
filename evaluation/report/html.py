"""A document as one HTML page."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from evaluation.report.blocks import Document

HERE = Path(__file__).parent


def to_html(report: Document) -> str:
    """Everything is inside: styles, plots, pictures, and a script of a few lines that the page's policy names by hash.

    Example:
        >>> "<h1><bdi>t&amp;c</bdi></h1>" in to_html(Document("t&c", "", "", [], [], []))
        True
    """
    script = (HERE / "report.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _template().render(
        report=report,
        style=Markup((HERE / "report.css").read_text("utf-8")),
        script=Markup(script),
        script_hash=digest,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")
