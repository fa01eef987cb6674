"""The answer in words, every number of it from the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.report.checks import test_of
from evaluation.report.comparison import main_k, model_name
from evaluation.report.experiment import goal
from evaluation.report.formats import clean, estimate, finite, number, part, plain
from evaluation.report.verdict import VERDICTS, verdict_of

Record = Mapping[str, Any]
UNFINISHED = "This study has not run to its end; the report shows what is there, and `stylerec run` goes on."
WITHOUT_STYLE = ("none", "metadata")


@dataclass(frozen=True)
class Summary:
    """A headline and the sentences that follow it, each with a short name."""

    headline: str
    sentences: list[tuple[str, str]]


def summary(metrics: Record) -> Summary:
    """Would stylised presentations beat the originals, and for whom?"""
    ab = test_of(metrics)
    verdict = verdict_of(metrics)
    unfinished = (metrics.get("study") or {}).get("unfinished")
    parts = {
        "Unfinished": UNFINISHED if unfinished else "",
        "For whom": "" if verdict == "withheld" else _for_whom(ab),
        "Offline": _offline(metrics.get("offline") or {}),
        "Look for photo": _restyled(metrics.get("offline") or {}),
        "Pictures": _looks(metrics.get("looks") or []),
    }
    return Summary(_headline(ab, verdict), [(name, text) for name, text in parts.items() if text])


def _headline(ab: Record, verdict: str) -> str:
    """The answer follows the verdict; the effect on the goal is told beside it."""
    if not ab:
        return "This study has no A/B test, so it cannot say whether stylised presentations beat the originals."
    result, where = goal(ab), _where(ab)
    if verdict == "withheld":
        about = "" if result is None else f", so the effect on {plain(result.get('metric'))} must not be read"
        return f"No answer{where}: a check failed{about}."
    if result is None or (finite(result.get("relative")) is None and finite(result.get("absolute")) is None):
        return f"No answer{where}: no effect on a goal could be read."
    low, high = finite(result.get("low")), finite(result.get("high"))
    side = "raised" if low is not None and low > 0 else "lowered" if high is not None and high < 0 else "changed"
    effect = f"{side} {plain(result.get('metric'))} ({_chance(result, (ab.get('design') or {}).get('alpha'))})"
    if side == "changed":
        effect = f"{effect}, which may be chance"
    answer, because = ANSWERS.get((verdict, side)) or ANSWERS[verdict if verdict in VERDICTS else side, ""]
    return f"{answer}{where}: stylised presentations {effect}{because}."


ANSWERS = {
    ("ship", ""): ("Yes", ""),
    ("roll back", ""): ("No", ""),
    ("roll back", "raised"): ("No", ", but what must not get worse did"),
    ("roll back", "changed"): ("No", ", and what must not get worse did"),
    ("keep running", ""): ("Not shown", ""),
    ("keep running", "raised"): ("Not yet", ", but the test does not decide yet"),
    ("keep running", "lowered"): ("Not yet", ", but the test does not decide yet"),
    ("raised", ""): ("Yes", ""),
    ("lowered", ""): ("No", ""),
    ("changed", ""): ("Not shown", ""),
}
"""(verdict, what happened to the goal) → the first word, and what else is told; with no verdict, by the goal alone."""


def _where(ab: Record) -> str:
    if not ab.get("truth"):
        return ""
    assumed = finite((ab.get("design") or {}).get("style_effect"))
    told = "" if assumed is None else f" who are assumed to have a style effect of {assumed:+g}".replace("-", "−")
    return f", in a rehearsal on simulated customers{told}"


def _chance(result: Record, alpha: Any) -> str:
    """+4.4%, 95% interval 3.0% to 5.8%."""
    level = "" if finite(alpha) is None else f"{100 * (1 - alpha):.6g}% "
    head, _, ends = _effect(result, "relative_low", "relative_high").rstrip("]").partition(" [")
    return f"{head}, {level}interval {ends.replace(', ', ' to ')}" if ends else head


def _effect(row: Record, low: str, high: str) -> str:
    if finite(row.get("relative")) is None:
        return estimate(row.get("absolute"), row.get("low"), row.get("high"))
    return estimate(row["relative"], row.get(low), row.get(high), as_percent=True)


def _for_whom(ab: Record) -> str:
    segments: Sequence[Record] = [s for s in ab.get("segments") or [] if finite(s.get("relative")) is not None]
    names = list(dict.fromkeys(s.get("segment") for s in segments))
    name = next((n for n in names if "taste" in str(n)), names[0] if names else None)
    levels = [s for s in segments if s.get("segment") == name]
    if not levels:
        return ""
    groups = {"gain": [], "loss": [], "nothing clear": []}  # type: dict[str, list[str]]
    for level in sorted(levels, key=lambda s: -s["relative"]):
        low, high = finite(level.get("low")), finite(level.get("high"))
        kind = "gain" if low is not None and low > 0 else "loss" if high is not None and high < 0 else "nothing clear"
        groups[kind].append(f"“{plain(level.get('level'))}” ({_effect(level, 'low', 'high')})")
    told = "; ".join(f"{kind} among {' and '.join(who)}" for kind, who in groups.items() if who)
    return f"By {plain(name)}: {told}. Exploratory: a hint for the next test, no verdict."


def _offline(offline: Record) -> str:
    k = main_k(offline)
    rows = [
        r
        for r in offline.get("comparisons") or []
        if r.get("metric") == "recall" and r.get("k") == k and r.get("features") not in WITHOUT_STYLE
        and finite(r.get("difference")) is not None
    ]  # fmt: skip
    told = [_best(segment, [r for r in rows if r.get("segment") == segment]) for segment in ("all", "cold")]
    told = [t for t in told if t]
    if not told:
        return ""
    baseline = offline.get("baseline")
    name = model_name(baseline) if isinstance(baseline, Mapping) else clean(baseline).replace(" / ", " · ")
    return f"Recall@{k} against the best model without pictures ({name}): {'; '.join(told)}."


def _best(segment: str, rows: Sequence[Record]) -> str:
    if not rows:
        return ""
    best = max(rows, key=lambda r: r["difference"])
    effect = estimate(best["difference"], best.get("low"), best.get("high"))
    return f"on {segment} items the best of {len(rows)}, {model_name(best)}, comes to {effect}{_doubt(best)}"


def _restyled(offline: Record) -> str:
    """The same model looking at restyled photos; of the models, the one that the comparison favours."""
    k = main_k(offline)
    wanted = {"metric": "recall", "k": k, "segment": "all"}
    rows = [r for r in offline.get("looks") or [] if all(r.get(key) == value for key, value in wanted.items())]
    rows = [r for r in rows if finite(r.get("difference")) is not None]
    if not rows:
        return ""
    values = {
        r["model"]: finite(r.get("value")) or 0.0
        for r in offline.get("rows") or []
        if all(r.get(key) == value for key, value in wanted.items()) and r.get("features") == "original"
    }
    model = max((r["model"] for r in rows), key=lambda name: values.get(name, 0.0))
    told = [
        f"{clean(r.get('features'))} {estimate(r['difference'], r.get('low'), r.get('high'))}{_doubt(r)}"
        for r in rows
        if r["model"] == model
    ]
    where = f"Recall@{k} of {clean(model)} on all items when it sees the look instead of the photo"
    return f"{where}: {'; '.join(told)}. Nobody in the log has seen a look."


def _doubt(row: Record) -> str:
    """Said of what several comparisons may show by chance: adjusted p where there is one, else the interval."""
    low, high, p = (finite(row.get(key)) for key in ("low", "high", "p_adjusted"))
    clear = (low is not None and low > 0) or (high is not None and high < 0)
    return "" if clear and (p is None or p < 0.05) else ", which may be chance"


def _looks(looks: Sequence[Record]) -> str:
    told = [
        f"{plain(x.get('look'))} {number(accepted)} of {number(made)} ({part(accepted, made)})"
        for x in looks
        for accepted, made in [(x.get("accepted"), x.get("made"))]
    ]
    return f"The guard let through {', '.join(told)}; a rejected item keeps its original." if told else ""
