"""What a log says about a policy: every estimate with its interval, and a verdict or why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from evaluation.ope.diagnostics import Diagnostics, Interval, Limits, mean_interval, problems
from evaluation.ope.estimators import Bounds
from evaluation.ope.log import Floats, Ints
from recsys.errors import ConfigError, DataError, unknown_name

ASSUMPTIONS = (
    "Overlap: whatever the policy would choose, the logged policy chose at times, in the same context and place.",
    "No hidden confounding: the propensities are those that the actions were drawn with, and everything that they "
    "depended on is in the log.",
    "Stationarity: people react as they did when the log was written; the policy does not learn on the way.",
    "No interference: what is shown in one round does not change another round's reward.",
)
"""What every off-policy estimate assumes; the log can refute the first two in part, and never prove them."""
VERDICTS = {
    "withheld": "a check of the weights fails: the log cannot tell",
    "better": "the whole interval of the difference from the logged policy is above 0",
    "worse": "the whole interval of the difference from the logged policy is below 0",
    "no difference shown": "neither: the difference is no more than chance",
}
"""Verdict → its rule, in the order in which they are tried."""
USUAL = ("dr", "snipw", "ipw", "cascade-dr", "rips")
"""Who decides where nobody is named: the first that is asked for."""


@dataclass(frozen=True)
class OPEConfig:
    """How a policy is judged.

    Attributes:
        estimators: Names of `ESTIMATORS`, or of `SLATE_ESTIMATORS` for pages; none: all. What needs what is not
            there is skipped and says why.
        decides: The estimator that the verdict reads; "": the first of `USUAL` among them.
        alpha: Intervals cover 1 - alpha.
        folds: Of the cross-fitted reward model, >= 2.
        groups: Of actions, for MIPS; 0: the square root of their number.
        bounds: Limits of weights.
        limits: What must hold before a verdict is given.
        seed: Of the folds.
    """

    estimators: tuple[str, ...] = ()
    decides: str = ""
    alpha: float = 0.05
    folds: int = 3
    groups: int = 0
    bounds: Bounds = field(default_factory=Bounds)
    limits: Limits = field(default_factory=Limits)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.decides and self.estimators and self.decides not in self.estimators:
            raise ConfigError(f"decides must be one of the estimators, got {self.decides!r} of {self.estimators}")
        if not 0 < self.alpha < 1 or self.folds < 2 or self.groups < 0:
            raise ConfigError(
                f"alpha must be in (0, 1), folds >= 2 and groups >= 0, got {self.alpha}, {self.folds}, {self.groups}"
            )

    def asked(self, known: Iterable[str]) -> tuple[str, ...]:
        """The estimators to use, of those that are known.

        Raises:
            ConfigError: One is not known.
        """
        known = tuple(known)
        for name in (*self.estimators, *([self.decides] if self.decides else [])):
            if name not in known:
                raise ConfigError(unknown_name("estimator", name, known))
        return self.estimators or known

    def deciding(self, asked: Sequence[str]) -> str:
        """The estimator that the verdict reads."""
        return next(name for name in (self.decides, *USUAL, *asked) if name in asked)


@dataclass(frozen=True)
class Valued:
    """What one estimator says.

    Attributes:
        estimator: Its name.
        value: Expected reward of a round (or page) under the policy.
        low: Lower end of its interval.
        high: Upper end.
        standard_error: Of the value.
        difference: From the logged policy's mean reward, estimated on the same rounds.
        difference_low: Lower end of its interval.
        difference_high: Upper end.
        bound: Limit of the weights that was used, if any.
        decides: Whether the verdict reads it.
        assumes: Beyond what all assume; "" for nothing more.
    """

    estimator: str
    value: float
    low: float
    high: float
    standard_error: float
    difference: float
    difference_low: float
    difference_high: float
    bound: float | None
    decides: bool
    assumes: str


@dataclass(frozen=True)
class OffPolicyResult:
    """A policy's value as a log tells it.

    Attributes:
        policy: Its name.
        logged: Mean reward of the logged policy itself.
        rows: One an estimator.
        skipped: (estimator, why it could not be used).
        diagnostics: Of the weights.
        verdict: A key of `VERDICTS`.
        because: The verdict's figures in words; every check that failed, where it is withheld.
        assumptions: What all of it assumes.
    """

    policy: str
    logged: Interval
    rows: tuple[Valued, ...]
    skipped: tuple[tuple[str, str], ...]
    diagnostics: Diagnostics
    verdict: str
    because: tuple[str, ...]
    assumptions: tuple[str, ...] = ASSUMPTIONS

    def __getitem__(self, estimator: str) -> Valued:
        """The row of an estimator."""
        for row in self.rows:
            if row.estimator == estimator:
                return row
        raise DataError(unknown_name("estimate", estimator, [row.estimator for row in self.rows]))

    def to_json(self) -> dict[str, Any]:
        """Plain dicts and lists."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Scores:
    """An estimator's values: their mean is the estimate.

    Attributes:
        values: (n,) linearised.
        size: Effective number of rounds.
        bound: Limit of the weights that was used, if any.
        assumes: Beyond what all assume.
    """

    values: Floats
    size: float
    bound: float | None = None
    assumes: str = ""


def valued(name: str, scores: Scores, reward: Floats, unit: Ints | None, alpha: float, decides: bool) -> Valued:
    """An estimate with its interval, and its difference from the mean of ``reward``, (n,)."""
    e = mean_interval(scores.values, alpha=alpha, size=scores.size, unit=unit)
    gap = mean_interval(scores.values - reward, alpha=alpha, size=scores.size, unit=unit)
    return Valued(
        estimator=name,
        value=e.value,
        low=e.low,
        high=e.high,
        standard_error=e.standard_error,
        difference=gap.value,
        difference_low=gap.low,
        difference_high=gap.high,
        bound=scores.bound,
        decides=decides,
        assumes=scores.assumes,
    )


def conclude(
    policy: str,
    logged: Interval,
    rows: Sequence[Valued],
    skipped: Mapping[str, str],
    diagnostics: Diagnostics,
    config: OPEConfig,
    *,
    assumptions: tuple[str, ...] = ASSUMPTIONS,
) -> OffPolicyResult:
    """The verdict: withheld where a check fails, else what the deciding estimator's interval says.

    Raises:
        DataError: The estimator that decides was skipped.
    """
    deciding = next((row for row in rows if row.decides), None)
    if deciding is None:
        raise DataError(f"the estimator that decides cannot be used ({dict(skipped)}); let another one decide")
    because = problems(diagnostics, config.limits)
    verdict = "withheld"
    if not because:
        low, high = deciding.difference_low, deciding.difference_high
        verdict = "better" if low > 0 else "worse" if high < 0 else "no difference shown"
        interval = f"{1 - config.alpha:.0%} interval [{low:+.3g}, {high:+.3g}]"
        because = (f"difference from the logged policy {deciding.difference:+.3g}, {interval} ({deciding.estimator})",)
    return OffPolicyResult(
        policy, logged, tuple(rows), tuple(skipped.items()), diagnostics, verdict, because, assumptions
    )
