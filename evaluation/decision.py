"""From numbers to a verdict, with the rule that produced it; and the whole simulated test in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy.typing as npt
import pandas as pd

from evaluation.analyze import POWER, Analysis, Result, analyze
from evaluation.simulate import ABConfig, Arm, simulate
from recsys.errors import DataError

Verdict = Literal["ship", "roll back", "keep running", "withheld"]
ASSUMPTION = (
    "The simulator assumes the effect size of styling; "
    "this test validates the analysis and the plan, not the styling. "
    "Only a real test can say whether stylised presentations sell."
)
RULES: dict[Verdict, str] = {
    "withheld": "withheld while a health check fails "
    "(sample ratio p < {srm}, no users, missing outcomes, repeated users, nothing in control)",
    "roll back": "roll back when {goals} is worse at the {level} level{holm}, "
    "or {guardrails} falls by more than {margin}",
    "ship": "ship when {goals} is better at the {level} level{holm} and nothing calls for a roll-back",
    "keep running": "keep running to the planned size while {goals} differs by no more than chance "
    "at the {level} level{holm}",
}


@dataclass(frozen=True)
class Decision:
    """What to do.

    Attributes:
        verdict: ship, roll back, keep running, or withheld.
        rule: The rule that gave this verdict, in words.
        because: The figures it read.
    """

    verdict: Verdict
    rule: str
    because: tuple[str, ...]


def decide(analysis: Analysis, config: ABConfig) -> Decision:
    """Health first; then harm, then gain.

    A goal counts as better or worse when its Holm-adjusted p-value is at most alpha; with one goal that is:
    when the 1 - alpha interval of the difference excludes 0. A guardrail is broken when the whole interval of
    its relative effect lies below -``guardrail_margin``. The rule holds for one look at the planned size:
    looking again and again until a test says "ship" makes false alarms frequent.

    Example:
        >>> log = pd.DataFrame({"arm": [0, 0, 0, 1, 1, 1], "clicks": [1, 2, 3, 11, 12, 13]})
        >>> config = ABConfig(guardrails=())
        >>> decide(analyze(log, config), config).verdict
        'ship'
        >>> decide(analyze(pd.concat([log, log]).assign(arm=1), config), config).verdict
        'withheld'
    """
    goals, guardrails = analysis.deciding("goal"), analysis.deciding("guardrail")
    read = {r.metric for r in (*goals, *guardrails)}
    zero = {r.metric: None for r in analysis.results if r.metric in read and r.estimate.relative is None}
    problems = [*analysis.problems, *(f"control's {_words(metric)} is 0" for metric in zero)]
    if problems or not goals:
        return Decision("withheld", _rule("withheld", config), tuple(problems))
    found = [r for r in goals if r.adjusted_p_value is not None and r.adjusted_p_value <= config.alpha]
    worse = any(r.estimate.absolute < 0 for r in found) or any(_broken(r, config) for r in guardrails)
    verdict: Verdict = "roll back" if worse else "ship" if found else "keep running"
    because = [_sentence(r, config) for r in (*goals, *guardrails)]
    because.append(f"sample ratio p = {analysis.srm_p_value:.2g}")
    if verdict == "keep running" and analysis.minimum_detectable is not None:
        least = f"{analysis.minimum_detectable:.1%} of {_words(config.goals[0])}"
        because.append(f"this many users show {least} with {POWER:.0%} power; smaller effects often stay unseen")
    return Decision(verdict, _rule(verdict, config), tuple(because))


def _broken(guardrail: Result, config: ABConfig) -> bool:
    high = guardrail.estimate.relative_high
    return high is not None and high < -config.guardrail_margin


def _sentence(result: Result, config: ABConfig) -> str:
    e = result.estimate
    interval = f"{_level(config)} interval [{e.relative_low:+.1%}, {e.relative_high:+.1%}]"
    p = f"p = {e.p_value:.2g}"
    if result.adjusted_p_value is not None and len(config.goals) > 1:
        p += f", adjusted {result.adjusted_p_value:.2g}"
    kind = " (guardrail)" if result.role == "guardrail" else ""
    return f"{_words(result.metric)}{kind} {e.relative:+.1%}, {interval}, {p} ({result.method})"


def _rule(verdict: Verdict, config: ABConfig) -> str:
    return RULES[verdict].format(
        srm=f"{config.srm_alpha:g}",
        goals=" or ".join(map(_words, config.goals)),
        guardrails=" or ".join(map(_words, config.guardrails)) or "a guardrail (none is set)",
        level=_level(config),
        holm=" (Holm-adjusted)" if len(config.goals) > 1 else "",
        margin=f"{config.guardrail_margin:.1%} beyond chance" if config.guardrail_margin else "chance",
    )


def _words(metric: str) -> str:
    return metric.replace("_", " ")


def _level(config: ABConfig) -> str:
    return f"{100 * (1 - config.alpha):.6g}%"


@dataclass(frozen=True, eq=False)
class Experiment:
    """A test from design to verdict.

    Attributes:
        design: What was planned, JSON-able.
        analysis: What the log says.
        decision: What to do.
        truth: What only a simulator knows, see `evaluation.simulate.Simulation`; empty for a real test.
        realised: Likewise.
        assumption: What a simulated result does not show; "" for a real test.
    """

    design: Mapping[str, Any]
    analysis: Analysis
    decision: Decision
    truth: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    realised: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    assumption: str = ""

    def __post_init__(self) -> None:
        if self.truth and not self.assumption:
            raise DataError("a simulated test must carry its assumption; pass assumption=ASSUMPTION")

    def to_json(self) -> dict[str, Any]:
        """The table ``ab`` of ``metrics.json``: plain numbers, strings, lists and None."""
        analysis, goals = self.analysis, self.analysis.deciding("goal")
        srm = analysis.srm_p_value
        return {
            "design": dict(self.design),
            "truth": {metric: dict(v) | self._realised(metric) for metric, v in self.truth.items()},
            "results": [r.to_json() | self._covers(r) for r in analysis.results],
            "srm": {
                "counts": list(analysis.counts),
                "p_value": srm,
                "ok": srm is not None and srm >= self.design["srm_alpha"],
            },
            "cuped": {"variance_ratio": goals[0].variance_ratio if goals else None},
            "segments": [dict(row) for row in analysis.segments],
            "problems": list(analysis.problems),
            "assumption": self.assumption,
            "decision": asdict(self.decision) | {"because": list(self.decision.because)},
        }

    def _realised(self, metric: str) -> dict[str, float | None]:
        found = self.realised.get(metric, {})
        return {"realised_absolute": found.get("absolute"), "realised_relative": found.get("relative")}

    def _covers(self, result: Result) -> dict[str, Any]:
        true = self.truth.get(result.metric, {}).get("absolute")
        covers = None if true is None else bool(result.estimate.low <= true <= result.estimate.high)
        return {"truth": true, "covers_truth": covers}


def read_experiment(
    users: pd.DataFrame,
    config: ABConfig | None = None,
    *,
    arms: tuple[str, str] = ("control", "treatment"),
    segments: tuple[str, ...] = (),
) -> Experiment:
    """A real test's user-level table to its verdict; see `analyze` for the columns.

    Example:
        >>> log = pd.DataFrame({"arm": [0, 0, 0, 1, 1, 1], "clicks": [4, 5, 6, 1, 2, 3]})
        >>> read_experiment(log, ABConfig(guardrails=())).decision.verdict
        'roll back'
    """
    config = ABConfig() if config is None else config
    analysis = analyze(users, config, segments=segments)
    names = ("allocation", "alpha", "goals", "guardrails", "guardrail_margin", "srm_alpha")
    design = {name: getattr(config, name) for name in names}
    return Experiment(_design(design, arms, analysis, len(users)), analysis, decide(analysis, config))


def run_experiment(
    control: Arm,
    treatment: Arm,
    config: ABConfig,
    *,
    unit_segments: Mapping[str, npt.NDArray[Any]] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Simulate, analyse, decide: `simulate_experiment` as JSON."""
    return simulate_experiment(control, treatment, config, unit_segments=unit_segments, seed=seed).to_json()


def simulate_experiment(
    control: Arm,
    treatment: Arm,
    config: ABConfig,
    *,
    unit_segments: Mapping[str, npt.NDArray[Any]] | None = None,
    seed: int = 0,
) -> Experiment:
    """Simulate, analyse, decide.

    Args:
        control: Shows originals.
        treatment: Shows looks.
        config: Sizes and assumptions.
        unit_segments: Name → (n_users,) label of each study user, for "for whom?".
        seed: Same seed, same test.

    Raises:
        DataError: The arms differ in shape, or labels are not one a study user.
    """
    labels = unit_segments or {}
    for name, values in labels.items():
        if len(values) != len(control.items):
            raise DataError(f"segment {name!r} has {len(values)} labels for {len(control.items)} study users")
    simulation = simulate(control, treatment, config, seed=seed)
    users, drawn = simulation.users, simulation.users["user_idx"].to_numpy()
    # Prefixed, so that no segment's name can hide a column of the log.
    segments = pd.DataFrame({_SEGMENT + name: values[drawn] for name, values in labels.items()}, index=users.index)
    analysis = analyze(pd.concat([users, segments], axis=1), config, segments=tuple(segments.columns))
    rows = tuple(row | {"segment": row["segment"].removeprefix(_SEGMENT)} for row in analysis.segments)
    analysis = Analysis(**(vars(analysis) | {"segments": rows}))
    design = _design(asdict(config), (control.name, treatment.name), analysis, len(users)) | {"seed": seed}
    decision = decide(analysis, config)
    return Experiment(design, analysis, decision, simulation.truth, simulation.realised, ASSUMPTION)


_SEGMENT = "segment: "


def _design(settings: Mapping[str, Any], arms: tuple[str, str], analysis: Analysis, units: int) -> dict[str, Any]:
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
    key = f"minimum_detectable_relative_effect_at_{POWER:.0%}_power"
    return {"arms": list(arms), "units": units} | plain | {key: analysis.minimum_detectable}
