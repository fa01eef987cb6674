"""After the click: who buys, for how much, and who sends it back because it is not as pictured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from evaluation.experiment.metrics import Metric
from evaluation.response.base import Floats, share
from evaluation.response.visits import MOST
from recsys.errors import ConfigError

AFTER_CLICK: dict[str, Metric] = {
    "purchases_per_user": Metric("purchases", None, "purchases / users, [0, ∞)"),
    "revenue_per_user": Metric("revenue", None, "price of what was bought / users, [0, ∞)"),
    "net_revenue_per_user": Metric("net_revenue", None, "price of what was bought and kept / users, [0, ∞)"),
    "return_rate": Metric("returns", "purchases", "returns / purchases, [0, 1]", "ratio", better="lower"),
}
"""Metrics of what follows a click; there only where `PurchaseConfig` is on."""


@dataclass(frozen=True)
class PurchaseConfig:
    """What follows a click; off while ``rate`` is 0.

    P(buy | click) = sigmoid(logit(rate) + slope × (log-odds of the click - logit(base click rate))): the log-odds are
    the page's, with the look's lasting effect, without novelty, drift and satiation: those draw eyes, not money.
    P(return | buy) = sigmoid(logit(return_rate) + return_per_loss × recognisability loss of what was shown): a product
    that is not as pictured comes back.

    Attributes:
        rate: Chance that a click on a product of average attraction ends in a purchase, in [0, 1).
        slope: How much likelier more attractive products are bought, in log-odds for each of the click's, finite.
        return_rate: Chance that a purchase comes back that was shown as it is, in [0, 1).
        return_per_loss: Log-odds of a return for each unit of recognisability loss, >= 0.
    """

    rate: float = 0.0
    slope: float = 0.0
    return_rate: float = 0.0
    return_per_loss: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rate", "return_rate"):
            share(f"ab.purchases.{name}", getattr(self, name))
            if getattr(self, name) == 1:
                raise ConfigError(f"ab.purchases.{name} must be below 1, got 1")
        if not abs(self.slope) <= MOST:
            raise ConfigError(
                f"ab.purchases.slope must be in [-{MOST}, {MOST}], got {self.slope}; 0: attraction plays no role"
            )
        if not 0 <= self.return_per_loss <= MOST:
            raise ConfigError(f"ab.purchases.return_per_loss must be in [0, {MOST}], got {self.return_per_loss}")
        if self.return_per_loss and not self.return_rate:
            raise ConfigError(
                "ab.purchases.return_per_loss multiplies the odds of return_rate, which is 0; set it above 0"
            )

    @property
    def is_off(self) -> bool:
        """Whether nobody buys."""
        return self.rate == 0

    def buying(self, log_odds: Floats, base_click_rate: float) -> Floats:
        """(…) P(buy | click); 0 in empty places.

        Example:
            >>> PurchaseConfig(rate=0.2).buying(np.array([1.0, -np.inf]), 0.15).round(6).tolist()
            [0.2, 0.0]
        """
        shown = np.where(np.isneginf(log_odds), 0.0, log_odds)
        chance = expit(logit(self.rate) + self.slope * (shown - logit(base_click_rate)))
        return np.asarray(np.where(np.isneginf(log_odds), 0.0, chance))

    def returning(self, loss: Floats) -> Floats:
        """(…) P(return | buy).

        Example:
            >>> config = PurchaseConfig(rate=0.1, return_rate=0.2, return_per_loss=2)
            >>> config.returning(np.array([0, 0.5])).round(3).tolist()
            [0.2, 0.405]
        """
        return np.asarray(expit(logit(self.return_rate) + self.return_per_loss * np.asarray(loss, np.float64)))


def sums(per_click: npt.NDArray[Any], buying: Floats, returning: Floats, price: Floats) -> dict[str, Floats]:
    """Purchases, revenue, returns and net revenue, expected from ``per_click`` clicks on the same places."""
    bought = per_click * buying
    back = bought * returning
    return {"purchases": bought, "revenue": bought * price, "returns": back, "net_revenue": (bought - back) * price}
