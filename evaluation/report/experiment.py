"""The A/B test as a decision, tables and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from evaluation.report import plots
from evaluation.report.formats import clean, estimate, finite, number, p_value, percent, plain, value

Record = Mapping[str, Any]

ASSUMES = (
    "The simulator assumes that presentations have this effect; a simulated test validates the analysis, "
    "it is no evidence that real shoppers react so."
)
VERDICTS = {
    "ship": ("up", "Ship", "show the stylised presentations"),
    "roll back": ("down", "Roll back", "keep the originals"),
    "keep running": ("flat", "Keep running", "the data do not decide yet"),
    "withheld": ("flat", "Withheld", "the data must not be read yet"),
}


GROUPS = {"goal": "Goal", "guardrail": "Guardrail", "other": "Other estimates"}


@dataclass(frozen=True)
class Decision:
    """The verdict in a box; ``kicker`` says of which kind of test."""

    kicker: str
    role: str
    verdict: str
    meaning: str
    rule: str
    because: list[str]
    assumption: str


@dataclass(frozen=True)
class Experiment:
    """What the A/B section shows."""

    design: list[tuple[str, str]]
    plot: Markup
    results: list[list[str]]
    has_truth: bool
    covered: str
    cuped: str
    srm: str
    srm_ok: bool | None
    segments_plot: Markup
    segments: list[list[str]]
    assumption: str


def decision(ab: Record) -> Decision | None:
    """The verdict of ``metrics["ab"]``; None where there was no test."""
    found = ab.get("decision") or {}
    if not found.get("verdict"):
        return None
    key = str(found["verdict"]).lower().replace("_", " ").replace("-", " ")
    role, verdict, meaning = VERDICTS.get(key, ("flat", clean(found["verdict"]).capitalize(), ""))
    because = found.get("because") or []
    simulated = bool(ab.get("truth"))
    effect = finite((ab.get("design") or {}).get("style_effect"))
    assumed = "" if effect is None else f", style effect {effect:+g} assumed"
    return Decision(
        kicker=f"Rehearsal on simulated customers{assumed}" if simulated else "Decision",
        role=role,
        verdict=f"Would {verdict[0].lower()}{verdict[1:]}" if simulated and key in ("ship", "roll back") else verdict,
        meaning=meaning,
        rule=_sentence(found.get("rule") or ""),
        because=[_sentence(b) for b in ([because] if isinstance(because, str) else because)],
        assumption=_assumption(ab),
    )


def experiment(ab: Record) -> Experiment | None:
    """The view of ``metrics["ab"]``; None where there was no test."""
    results: list[Record] = list(ab.get("results") or [])
    if not results:
        return None
    truth = ab.get("truth") or {}
    covers = [r["covers_truth"] for r in results if r.get("covers_truth") is not None]
    ratio = finite((ab.get("cuped") or {}).get("variance_ratio"))
    segments: list[Record] = list(ab.get("segments") or [])
    srm, srm_ok = srm_line(ab)
    return Experiment(
        design=[(plain(k), value(v)) for k, v in (ab.get("design") or {}).items()],
        plot=_results_forest(results, truth),
        results=[_result(r, truth) for r in results],
        has_truth=bool(truth),
        covered=f"{sum(covers)} of {len(covers)} intervals cover the true effect." if covers else "",
        cuped=_cuped(ratio),
        srm=srm,
        srm_ok=srm_ok,
        segments_plot=_segments_forest(segments),
        segments=[[plain(s.get("segment")), plain(s.get("level")), number(s.get("n")), _relative(s)] for s in segments],
        assumption=_assumption(ab),
    )


def goal(ab: Record) -> Record | None:
    """The result the decision hangs on: the goal metric, by CUPED where there is one."""
    goals = [r for r in ab.get("results") or [] if r.get("is_goal")]
    adjusted = [r for r in goals if _adjusted(r)]
    return next(iter(adjusted or goals), None)


def srm_line(ab: Record) -> tuple[str, bool | None]:
    """Sample-ratio mismatch in a sentence, and whether the split is as planned (None: not checked)."""
    srm = ab.get("srm") or {}
    if not srm:
        return "", None
    counts = " and ".join(number(c) for c in srm.get("counts") or [])
    ok = bool(srm.get("ok"))
    p = p_value(srm.get("p_value"))
    warning = "" if ok else " The results must not be read."
    return f"{counts} users in the arms (p {p if p.startswith('<') else f'= {p}'}).{warning}", ok


def _role(result: Record) -> str:
    if result.get("is_goal"):
        return "goal"
    return "guardrail" if result.get("role") == "guardrail" else "other"


def _adjusted(result: Record) -> bool:
    return "cuped" in str(result.get("method")).lower()


def _sentence(text: object) -> str:
    told = clean(text)
    return told[:1].upper() + told[1:]


def _assumption(ab: Record) -> str:
    given = clean(ab["assumption"]) if ab.get("assumption") else ""
    return given if given or not ab.get("truth") else ASSUMES


def _cuped(ratio: float | None) -> str:
    if ratio is None:
        return ""
    change = f"removes {percent(1 - ratio)}" if ratio <= 1 else f"adds {percent(ratio - 1)}"
    return f"CUPED, adjusting for each user's behaviour before the test, {change} of the variance."


def _relative(row: Record) -> str:
    keys = ("relative", "low", "high") if "relative_low" not in row else ("relative", "relative_low", "relative_high")
    return estimate(*(row.get(k) for k in keys), as_percent=True)


def _result(row: Record, truth: Record) -> list[str]:
    true = truth.get(row["metric"]) or {}
    covers = row.get("covers_truth")
    return [
        plain(row["metric"]) + (f" ({_role(row)})" if _role(row) != "other" else ""),
        plain(row.get("method")),
        number(row.get("control")),
        number(row.get("treatment")),
        estimate(row.get("absolute"), row.get("low"), row.get("high")),
        _relative(row) if row.get("relative") is not None else "–",
        p_value(row.get("p_value")),
        percent(true.get("relative"), sign=True),
        {True: "yes", False: "no", None: "–"}[covers],
    ]


def _results_forest(results: Sequence[Record], truth: Record) -> Markup:
    keys = ("relative", "relative_low", "relative_high")
    lines = [
        plots.Row(
            label=plain(r["metric"]) + (", CUPED" if _adjusted(r) else ""),
            value=r["relative"],
            low=r["relative_low"],
            high=r["relative_high"],
            text=_relative(r),
            group=GROUPS[_role(r)],
            truth=finite((truth.get(r["metric"]) or {}).get("relative")),
        )
        for r in sorted(results, key=lambda r: list(GROUPS).index(_role(r)))
        if all(finite(r.get(k)) is not None for k in keys)
    ]
    return _percent_forest("ab", lines, "Relative effects of stylised presentations")


def _segments_forest(segments: Sequence[Record]) -> Markup:
    lines = [
        plots.Row(
            label=plain(s.get("level")),
            value=s["relative"],
            low=s["low"],
            high=s["high"],
            text=_relative(s),
            group=plain(s.get("segment")).capitalize(),
        )
        for s in segments
        if all(finite(s.get(k)) is not None for k in ("relative", "low", "high"))
    ]
    return _percent_forest("segments", lines, "Relative effects by segment of the users")


def _percent_forest(name: str, lines: Sequence[plots.Row], about: str) -> Markup:
    if not lines:
        return Markup("")
    told = "; ".join(f"{line.label} {line.text}" for line in lines[:12])
    return plots.forest(name, lines, tick=lambda x: percent(x, sign=True), about=f"{about}: {told}.")
