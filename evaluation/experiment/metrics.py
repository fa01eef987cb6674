"""What an A/B test counts: each metric names its columns and its unit of analysis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recsys.errors import ConfigError

Kind = Literal["mean", "proportion", "ratio", "quantile"]


@dataclass(frozen=True)
class Metric:
    """A metric of a user-level table; the unit of analysis is always the user, because users are randomised.

    Attributes:
        numerator: Column of each user's sum.
        denominator: Column of each user's sum, for a ratio of totals; None for the others.
        definition: In words, with the range.
        kind: mean over users, proportion of users with more than 0, ratio of totals, or quantile over users.
        quantile: Which, in (0, 1); 0.5 is the median.
        better: Whether higher or lower is better.
        margin: Relative loss that a guardrail may show, >= 0. Above 0, shipping needs the whole interval within it.
        winsorise: Numerators above this quantile of all users are set to it, in (0, 1]; 1: none.
    """

    numerator: str
    denominator: str | None = None
    definition: str = ""
    kind: Kind = "mean"
    quantile: float = 0.5
    better: Literal["higher", "lower"] = "higher"
    margin: float = 0.0
    winsorise: float = 1.0

    def __post_init__(self) -> None:
        if (self.kind == "ratio") != (self.denominator is not None):
            raise ConfigError(
                f"metric of {self.numerator!r}: a ratio needs a denominator, others have none, got kind {self.kind!r} "
                f'and denominator {self.denominator!r}; write kind = "ratio" with both'
            )
        if not 0 < self.quantile < 1 or not 0 < self.winsorise <= 1 or not self.margin >= 0:
            raise ConfigError(
                f"metric of {self.numerator!r} needs quantile in (0, 1), winsorise in (0, 1] and margin >= 0, "
                f"got {self.quantile}, {self.winsorise} and {self.margin}"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it needs; those of the period before the test carry the prefix ``pre_``.

        Example:
            >>> GOALS["click_through_rate"].columns
            ('clicks', 'impressions')
        """
        return (self.numerator,) if self.denominator is None else (self.numerator, self.denominator)


GOALS: dict[str, Metric] = {
    "clicks_per_user": Metric("clicks", None, "clicks / users, [0, ∞)"),
    "click_through_rate": Metric("clicks", "impressions", "clicks / products shown, [0, 1]", "ratio"),
    "sessions_with_click": Metric(
        "sessions_with_click", "sessions", "sessions with at least one click / sessions, [0, 1]", "ratio"
    ),
}
