"""The report: one self-contained page, and the same as Markdown and JSON, from the metrics of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.report.blocks import Document
from evaluation.report.compare import compare
from evaluation.report.gallery import pictures
from evaluation.report.html import to_html
from evaluation.report.markdown import to_markdown
from evaluation.report.thumbs import ImageSource, thumbnails
from evaluation.report.view import build

__all__ = ["Document", "ImageSource", "compare", "document", "render", "to_html", "to_markdown"]


def document(metrics: Mapping[str, Any], image: ImageSource) -> Document:
    """The report before it is written; `to_html`, `to_markdown` and its ``to_json`` write it.

    Args:
        metrics: ``metrics.json`` as a mapping. Any section may be absent; the report says so in a line. Every
            text in it is taken as hostile.
        image: (item_id, look) -> the picture, or None where there is none; called once a pair, look
            ``original`` for the photo itself. What it raises is raised.

    Example:
        >>> found = document({"study": {"name": "spring"}}, lambda item_id, look: None)
        >>> found.title, found.decisions[0].verdict, [section.id for section in found.sections][:3]
        ('spring', 'None', ['health', 'design', 'results'])
    """
    return build(metrics, thumbnails(pictures(metrics), image))


def render(metrics: Mapping[str, Any], image: ImageSource) -> str:
    """The report as a page that needs no network and no script; see `document` for the arguments.

    Styles, plots (SVG) and thumbnails (WebP, each once) are inside. Thumbnails shrink as their number grows, so that
    1,200 of them stay below 5 MB.

    Example:
        >>> page = render({"study": {"name": "<spring>"}}, lambda item_id, look: None)
        >>> "&lt;spring&gt;" in page, "<spring>" in page
        (True, False)
    """
    return to_html(document(metrics, image))
