"""The report: one self-contained HTML page from the metrics of a study."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evaluation.report.formats import plain, value
from evaluation.report.thumbs import ImageSource, thumbnails
from evaluation.report.view import SCORES, build, pictures

__all__ = ["ImageSource", "render"]

HERE = Path(__file__).parent


def render(metrics: Mapping[str, Any], image: ImageSource) -> str:
    """Write the report.

    Args:
        metrics: ``metrics.json`` as a mapping. Any section may be absent; the page says so in a line. Every
            text in it is taken as hostile.
        image: (item_id, look) -> the picture, or None where there is none; called once a pair, look
            ``original`` for the photo itself. What it raises is raised.

    Returns:
        An HTML page that needs no network and no script: styles, plots (SVG) and thumbnails (WebP, each once)
        are inside. Thumbnails shrink as their number grows, so that 1,200 of them stay below 5 MB.

    Example:
        >>> page = render({"study": {"name": "<spring>"}}, lambda item_id, look: None)
        >>> "&lt;spring&gt;" in page, "<spring>" in page
        (True, False)
    """
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "value": value}
    script = (HERE / "report.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        report=build(metrics, thumbnails(pictures(metrics), image)),
        score_names=list(SCORES.values()),
        style=Markup((HERE / "report.css").read_text("utf-8")),
        script=Markup(script),
        script_hash=digest,
    )
