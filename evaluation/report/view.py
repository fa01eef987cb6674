"""From the metrics of a study to the report as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.report.appendix import appendix
from evaluation.report.blocks import Decision, Document
from evaluation.report.checks import test_of
from evaluation.report.experiment import design, guardrails, results, segments
from evaluation.report.exposure import exposure
from evaluation.report.formats import clean
from evaluation.report.gallery import gallery, people
from evaluation.report.health import health
from evaluation.report.offline import offline_section
from evaluation.report.running import cost, reproducibility
from evaluation.report.summary import summary
from evaluation.report.thumbs import Key, Thumb
from evaluation.report.timeline import over_time
from evaluation.report.verdict import decision

Record = Mapping[str, Any]
QUESTION = "Would stylised presentations beat the originals, and for whom?"
UNDECIDED = Decision("Decision", "flat", "None", "", "", ["Without an A/B test there is nothing to decide."], "")
READERS = (
    ("What shoppers see", ("gallery", "people", "exposure")),
    ("Does it work?", ("health", "design", "results", "guardrails", "time", "segments", "offline", "appendix")),
    ("How it was made", ("cost", "again")),
)
FOOTER = "Every number is in metrics.json beside this page; report.md and report.json hold the same report."


def build(metrics: Record, thumbs: Mapping[Key, Thumb]) -> Document:
    """The report's content.

    Args:
        metrics: ``metrics.json`` as a mapping; any section may be absent or empty, and says so.
        thumbs: The pictures of `evaluation.report.gallery.pictures` that exist.
    """
    test = test_of(metrics)
    sequence = {} if metrics.get("experiment") else (metrics.get("rehearsal") or {}).get("sequence") or {}
    told = summary(metrics)
    return Document(
        title=clean((metrics.get("study") or {}).get("name") or "Study"),
        question=QUESTION,
        headline=told.headline,
        answers=told.sentences,
        decisions=[decision(metrics) or UNDECIDED],
        sections=[
            health(metrics),
            design(test),
            results(test),
            guardrails(test),
            over_time(test, test.get("sequence") or sequence),
            segments(test),
            exposure(metrics.get("exposure") or {}),
            offline_section(metrics.get("offline") or {}),
            gallery(metrics, thumbs),
            people(metrics, thumbs),
            appendix(metrics),
            cost(metrics.get("cost") or [], metrics.get("features") or []),
            reproducibility(metrics.get("study") or {}),
        ],
        readers=READERS,
        thumbs=list({t.id: t for t in thumbs.values()}.values()),
        ratio=_ratio(list(thumbs.values())),
        footer=FOOTER,
    )


def _ratio(thumbs: Sequence[Thumb]) -> str:
    """Width over height of the pictures' frame: that of the middle picture, within reason."""
    shapes = sorted(t.width / t.height for t in thumbs)
    middle = shapes[len(shapes) // 2] if shapes else 0.75
    return f"{min(max(middle, 0.6), 1.34):.3f}"
