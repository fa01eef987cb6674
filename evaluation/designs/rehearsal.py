"""A simulated test of any design: the log that a shop would have, and the truth that it would not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.experiment.decision import ASSUMPTION, Experiment, analyze_log
from evaluation.experiment.metrics import Metric
from evaluation.experiment.plan import Plan
from evaluation.simulate import Arm
from recsys.errors import ConfigError, DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
CLICK_RATE = "click_through_rate"
RATE = Metric("clicks", "impressions", "clicks / products shown, [0, 1]", "ratio")
USER_CLICKS = "clicks_per_user"


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """A simulated test.

    Attributes:
        log: As the shop would have logged it; `analyze_log` and ``stylerec analyze`` read it by ``plan``.
        plan: How it is read.
        truth: Metric → control, treatment, absolute, relative: what showing everybody everywhere the treatment would
            change, in expectation under the response model.
        assumption: What no simulation can show.
    """

    log: pd.DataFrame
    plan: Plan
    truth: Mapping[str, Mapping[str, float | None]]
    assumption: str = ASSUMPTION

    def read(self) -> Experiment:
        """The analysis and its verdict, the truth beside it."""
        return replace(analyze_log(self.log, self.plan), truth=self.truth, assumption=self.assumption)


def effect(control: float, treatment: float) -> dict[str, float | None]:
    """The truth about one metric.

    Example:
        >>> effect(0.2, 0.25)["relative"]
        0.25
    """
    relative = treatment / control - 1 if control else None
    return {"control": control, "treatment": treatment, "absolute": treatment - control, "relative": relative}


def odds_of(arm: Arm) -> Floats:
    """(n_users, K) float64 log-odds, -inf in empty places."""
    return np.where(arm.items >= 0, arm.log_odds.astype(np.float64), -np.inf)


def check_arms(arms: Sequence[Arm], *, same_items: bool = False) -> None:
    """Refuse arms that cannot be compared.

    Raises:
        DataError: Of other users or ranks, of one name, or (where it matters) with other items.
    """
    names, shapes = [arm.name for arm in arms], {arm.items.shape for arm in arms}
    if len(shapes) > 1:
        raise DataError(f"arms must cover the same users and ranks, got {sorted(shapes)}")
    if len(set(names)) < len(names):
        raise DataError(f"arms need names of their own, got {names}")
    if same_items and any((arm.items != arms[0].items).any() for arm in arms):
        raise DataError("this design compares presentations: arms must list the same items in the same places")


def check_size(**sizes: float) -> None:
    """Refuse a size below 1.

    Raises:
        ConfigError: It is.
    """
    for name, value in sizes.items():
        if not value >= 1:
            raise ConfigError(f"{name} must be >= 1, got {value}")


def rates(truth: Sequence[Any], shown: float) -> dict[str, dict[str, float | None]]:
    """Click-through rates of two arms from (visits, K) click probabilities, as the truth of `CLICK_RATE`."""
    control, treatment = (float(np.sum(p)) / shown for p in truth)
    return {CLICK_RATE: effect(control, treatment)}
