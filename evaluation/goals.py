"""What an A/B test counts: each goal names its numerator, its denominator and its unit of analysis."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A metric of a user-level table; the unit of analysis is always the user, because users are randomised.

    Attributes:
        numerator: Column summed over users.
        denominator: Column summed over users, or None: the number of users.
        definition: In words, with the range.
    """

    numerator: str
    denominator: str | None
    definition: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it needs; those of the period before the test carry the prefix ``pre_``.

        Example:
            >>> GOALS["click_through_rate"].columns
            ('clicks', 'impressions')
        """
        return (self.numerator,) if self.denominator is None else (self.numerator, self.denominator)


GOALS: dict[str, Goal] = {
    "clicks_per_user": Goal("clicks", None, "clicks / users, [0, ∞)"),
    "click_through_rate": Goal("clicks", "impressions", "clicks / products shown, [0, 1]"),
    "sessions_with_click": Goal(
        "sessions_with_click", "sessions", "sessions with at least one click / sessions, [0, 1]"
    ),
}
