"""From numbers to a verdict, with the rule that produced it; and the whole simulated test in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt
import pandas as pd

from evaluation.ab_config import ABConfig
from evaluation.experiment.analyze import POWER, Analysis, Result, analyze
from evaluation.experiment.effects import by_day
from evaluation.experiment.interleaved import analyze_interleaved
from evaluation.experiment.looking import came
from evaluation.experiment.metrics import Metric
from evaluation.experiment.plan import Plan
from evaluation.experiment.reading import read_log
from evaluation.experiment.sequence import sequence
from evaluation.simulate import Arm, simulate
from recsys.errors import ConfigError, DataError

Verdict = Literal["ship", "roll back", "keep running", "withheld"]
ASSUMPTION = (
    "The simulator assumes the effect size of styling; "
    "this test validates the analysis and the plan, not the styling. "
    "Only a real test can say whether stylised presentations sell."
)
RULES: dict[Verdict, str] = {
    "withheld": "withheld while a health check fails "
    "(sample ratio p < {srm}, no users, missing outcomes, repeated users, nothing in control, unlike exposure or past)",
    "roll back": "roll back when {goals} is worse at the {level} level{adjusted}, "
    "or {guardrails} loses more than {margin}{looks}",
    "ship": "ship when {goals} is better at the {level} level{adjusted}, "
    "{shown}and nothing calls for a roll-back{looks}",
    "keep running": "keep running while {goals} differs by no more than chance at the {level} level{adjusted}"
    "{unshown}{waiting}{looks}",
}
LOOKED = {
    "once": "; one look, at the planned size",
    "any time": "; at any time (confidence sequence)",
    "planned": "; at the planned looks (group sequential)",
}
UNITS = {"cluster": "clusters", "switchback": "blocks of time"}
"""What ``users`` of a plan counts, where it is not users."""
EARLY = 0.98
"""Share of the planned users at which a single look is no longer early."""


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


def decide(analysis: Analysis, plan: Plan) -> Decision:
    """Health first; then harm, then gain.

    A goal counts as better or worse when its adjusted p-value is at most alpha; with one goal that is: when the
    1 - alpha interval of the difference excludes 0. A guardrail is broken when the whole interval of its relative
    effect lies beyond its margin; where the margin is above 0, shipping needs the whole interval within it
    (non-inferiority). Intervals and p-values are those of the plan's way of looking. A test read once is not decided
    before its planned size.

    Example:
        >>> from evaluation.experiment.metrics import Metric
        >>> log = pd.DataFrame({"arm": [0, 0, 0, 1, 1, 1], "clicks": [1, 2, 3, 11, 12, 13]})
        >>> plan = Plan({"clicks_per_user": Metric("clicks")})
        >>> decide(analyze(log, plan), plan).verdict
        'ship'
        >>> decide(analyze(pd.concat([log, log]).assign(arm=1), plan), plan).verdict
        'withheld'
    """
    goals, guardrails = analysis.deciding("goal"), analysis.deciding("guardrail")
    read = {r.metric for r in (*goals, *guardrails)}
    zero = {r.metric: None for r in analysis.results if r.metric in read and r.estimate.relative is None}
    problems = [*analysis.problems, *(f"control's {_words(metric)} is 0" for metric in zero)]
    if problems or not goals:
        return Decision("withheld", _rule("withheld", plan), tuple(problems))
    because = [_sentence(r, plan) for r in (*goals, *guardrails)]
    because.append(f"sample ratio p = {analysis.srm_p_value:.2g}")
    found = [r for r in goals if r.adjusted_p_value is not None and r.adjusted_p_value <= plan.alpha]
    worse = any(_gain(r, plan) < 0 for r in found) or any(_broken(r, plan) for r in guardrails)
    unshown = [r for r in guardrails if _unshown(r, plan)]
    early = plan.looks == "once" and plan.users is not None and came(*analysis.counts, plan) < EARLY * plan.users
    verdict: Verdict = "keep running"
    if not early:
        verdict = "roll back" if worse else "ship" if found and not unshown else "keep running"
    if verdict == "keep running":
        because += _why_not_yet(analysis, plan, unshown, early)
    return Decision(verdict, _rule(verdict, plan), tuple(because))


def _why_not_yet(analysis: Analysis, plan: Plan, unshown: list[Result], early: bool) -> list[str]:
    found = []
    if early:
        found.append(
            f"{came(*analysis.counts, plan)} of {plan.users} planned {UNITS.get(plan.design, 'users')} came; "
            "a test that is read once waits for them"
        )
    for r in unshown:
        found.append(
            f"a loss of {_words(r.metric)} beyond its margin of {_metric(r, plan).margin:.1%} is not ruled out"
        )
    if analysis.minimum_detectable is not None:
        least = f"{analysis.minimum_detectable:.1%} of {_words(next(iter(plan.goals)))}"
        units = UNITS.get(plan.design, "users")
        found.append(f"this many {units} show {least} with {POWER:.0%} power; smaller effects often stay unseen")
    return found


def _metric(result: Result, plan: Plan) -> Metric:
    return plan.metrics[result.metric]


def _gain(result: Result, plan: Plan) -> float:
    return result.estimate.absolute * (1 if _metric(result, plan).better == "higher" else -1)


def _gains(result: Result, plan: Plan) -> tuple[float, float] | None:
    """The interval of the relative effect, turned so that above 0 is better."""
    low, high = result.reading.low, result.reading.high
    if low is None or high is None:
        return None
    upward = (_metric(result, plan).better == "higher") == (result.estimate.control > 0)
    return (low, high) if upward else (-high, -low)


def _broken(guardrail: Result, plan: Plan) -> bool:
    gains = _gains(guardrail, plan)
    return gains is not None and gains[1] < -_metric(guardrail, plan).margin


def _unshown(guardrail: Result, plan: Plan) -> bool:
    gains, margin = _gains(guardrail, plan), _metric(guardrail, plan).margin
    return margin > 0 and gains is not None and gains[0] <= -margin


def _sentence(result: Result, plan: Plan) -> str:
    reading = result.reading
    interval = f"{_level(plan)} interval [{reading.low:+.1%}, {reading.high:+.1%}]"
    p = f"p = {reading.p_value:.2g}"
    if result.adjusted_p_value is not None and (len(plan.goals) > 1 or result.adjusted_p_value != reading.p_value):
        p += f", adjusted {result.adjusted_p_value:.2g}"
    kind = " (guardrail)" if result.role == "guardrail" else ""
    return f"{_words(result.metric)}{kind} {result.estimate.relative:+.1%}, {interval}, {p} ({result.method})"


def _rule(verdict: Verdict, plan: Plan) -> str:
    margins = sorted({m.margin for m in plan.guardrails.values() if m.margin > 0})
    told = " or ".join(f"{m:.1%}" for m in margins)
    adjustment = {"holm": " (Holm-adjusted)", "bh": " (Benjamini-Hochberg-adjusted)"}[plan.adjust]
    return RULES[verdict].format(
        srm=f"{plan.srm_alpha:g}",
        goals=" or ".join(map(_words, plan.goals)),
        guardrails=" or ".join(map(_words, plan.guardrails)) or "a guardrail (none is set)",
        level=_level(plan),
        adjusted=adjustment if len(plan.goals) > 1 else "",
        margin=f"{told} beyond chance" if margins else "chance",
        shown=f"every guardrail with a margin is shown to stay within it ({told}) " if margins else "",
        unshown=", or a guardrail is not shown to stay within its margin" if margins else "",
        waiting=", or fewer users than planned came" if plan.looks == "once" and plan.users is not None else "",
        looks=LOOKED[plan.looks],
    )


def _words(metric: str) -> str:
    return metric.replace("_", " ")


def _level(plan: Plan) -> str:
    return f"{100 * (1 - plan.alpha):.6g}%"


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
            **analysis.to_json(),
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


def read_experiment(users: pd.DataFrame, plan: Plan, *, arms: tuple[str, str] = ("control", "treatment")) -> Experiment:
    """A real test's user-level table to its verdict; see `analyze` for the columns.

    Example:
        >>> from evaluation.experiment.metrics import Metric
        >>> log = pd.DataFrame({"arm": [0, 0, 0, 1, 1, 1], "clicks": [4, 5, 6, 1, 2, 3]})
        >>> read_experiment(log, Plan({"clicks_per_user": Metric("clicks")})).decision.verdict
        'roll back'
    """
    return _experiment(analyze(users, plan), plan, arms)


def analyze_log(source: str | Path | pd.DataFrame, plan: Plan, *, follow: bool = False) -> Experiment:
    """A real test's log, of rows or of users, in a file or a data frame, to its verdict; see `read_log`.

    With ``follow`` the effect is also worked out at growing sizes, where the log has a column of time: see `sequence`.

    Example:
        >>> from evaluation.experiment.metrics import Metric
        >>> log = pd.DataFrame({"user_id": list("abcdef"), "arm": [0, 0, 0, 1, 1, 1], "click": [1, 2, 3, 11, 12, 13]})
        >>> analyze_log(log, Plan({"clicks_per_user": Metric("click")})).decision.verdict
        'ship'
    """
    arms = (str(plan.log.control), str(plan.log.treatment))
    if plan.design == "multi-arm":
        raise ConfigError("several treatments are read by evaluation.experiment.many_arms.analyze_arms")
    if plan.design == "interleaving":
        return _experiment(analyze_interleaved(source, plan), plan, arms)
    log = read_log(source, plan)
    analysis = analyze(log.users, plan, problems=log.problems)
    days = () if log.days is None else tuple(by_day(log.days, plan.alpha))
    rows = sequence(log.users.sort_values("first", kind="stable"), plan) if follow and "first" in log.users else []
    return _experiment(replace(analysis, days=days, sequence=tuple(rows)), plan, arms)


def _experiment(analysis: Analysis, plan: Plan, arms: tuple[str, str]) -> Experiment:
    names = ("design", "users", "allocation", "alpha", "srm_alpha", "looks", "adjust", "prior_sd")
    settings = {name: getattr(plan, name) for name in names if getattr(plan, name) is not None}
    settings |= {"spending": plan.spending, "shares": plan.shares} if plan.looks == "planned" else {}
    settings |= {"goals": tuple(plan.goals), "guardrails": tuple(plan.guardrails)}
    settings |= {"margins": {name: metric.margin for name, metric in plan.guardrails.items()}}
    settings |= {"better": {name: metric.better for name, metric in plan.metrics.items()}}
    units = came(*analysis.counts, plan)
    return Experiment(_design(settings, arms, analysis, units), analysis, decide(analysis, plan))


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
    plan = config.plan(segments=tuple(segments.columns))
    analysis = analyze(pd.concat([users, segments], axis=1), plan)
    rows = tuple(row | {"segment": row["segment"].removeprefix(_SEGMENT)} for row in analysis.segments)
    analysis = replace(analysis, segments=rows)
    design = _design(config.settings(), (control.name, treatment.name), analysis, len(users)) | {"seed": seed}
    decision = decide(analysis, plan)
    return Experiment(design, analysis, decision, simulation.truth, simulation.realised, ASSUMPTION)


_SEGMENT = "segment: "


def _design(settings: Mapping[str, Any], arms: tuple[str, str], analysis: Analysis, units: int) -> dict[str, Any]:
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
    key = f"minimum_detectable_relative_effect_at_{POWER:.0%}_power"
    return {"arms": list(arms), "units": units} | plain | {key: analysis.minimum_detectable}
