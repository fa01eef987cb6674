"""The verdict in a box; a failing health check withholds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.report.blocks import Decision
from evaluation.report.checks import failing, test_of
from evaluation.report.formats import clean, finite

Record = Mapping[str, Any]

ASSUMES = (
    "The simulator assumes that presentations have this effect; a simulated test validates the analysis, "
    "it is no evidence that real shoppers react so."
)
WITHHOLDS = "Withheld while a health check fails, whatever the effects."
VERDICTS = {
    "ship": ("up", "Ship", "Show the stylised presentations."),
    "roll back": ("down", "Roll back", "Keep the original photos."),
    "keep running": ("flat", "Keep running", "The data do not decide yet."),
    "withheld": ("flat", "Withheld", "The effects must not be read: a check failed."),
}


def decision(metrics: Record) -> Decision | None:
    """The verdict of the test that the report decides on; None where there was none.

    Example:
        >>> test = {"decision": {"verdict": "ship", "rule": "ship when better", "because": ["clicks +5%"]}}
        >>> decision({"ab": test}).verdict
        'Ship'
        >>> decision({"ab": test, "looks": [{"look": "retro", "made": 10, "accepted": 1}]}).verdict
        'Withheld'
    """
    ab = test_of(metrics)
    found = ab.get("decision") or {}
    if not found.get("verdict"):
        return None
    key, because, rule = verdict_of(metrics), found.get("because") or [], found.get("rule") or ""
    because = [because] if isinstance(because, str) else because
    if key == "withheld" and (bad := failing(metrics)):
        because = [f"{check.name}: {check.text}" for check in bad]
        rule = rule if str(found["verdict"]) == "withheld" else WITHHOLDS
    role, verdict, meaning = VERDICTS.get(key, ("flat", clean(found["verdict"]).capitalize(), ""))
    simulated = bool(ab.get("truth"))
    return Decision(
        kicker=f"Rehearsal on simulated customers{_assumed(ab)}" if simulated else "Decision",
        role=role,
        verdict=f"Would {verdict[0].lower()}{verdict[1:]}" if simulated and key in ("ship", "roll back") else verdict,
        meaning=meaning,
        rule=_sentence(rule),
        because=[_sentence(b) for b in because],
        assumption=assumption(ab),
    )


def verdict_of(metrics: Record) -> str:
    """The verdict's key: that of the test, or ``withheld`` while a health check of the study fails."""
    found = (test_of(metrics).get("decision") or {}).get("verdict")
    if found and failing(metrics):
        return "withheld"
    return str(found or "").lower().replace("_", " ").replace("-", " ")


def assumption(ab: Record) -> str:
    """What a simulated test does not show; "" for a real one."""
    given = clean(ab["assumption"]) if ab.get("assumption") else ""
    return given if given or not ab.get("truth") else ASSUMES


def _assumed(ab: Record) -> str:
    effect = finite((ab.get("design") or {}).get("style_effect"))
    return "" if effect is None else f", style effect {effect:+g} assumed".replace("-", "−")


def _sentence(text: object) -> str:
    told = clean(text)
    return told[:1].upper() + told[1:]
