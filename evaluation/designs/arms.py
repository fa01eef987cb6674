"""Users among several arms: one look each, or a policy that chooses a look for every user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.designs.assignment import assign_arms
from evaluation.designs.rehearsal import CLICK_RATE, RATE, USER_CLICKS, check_arms, check_size, effect, odds_of
from evaluation.experiment.decision import ASSUMPTION
from evaluation.experiment.many_arms import ManyArms, analyze_arms
from evaluation.experiment.metrics import Metric
from evaluation.experiment.plan import LogConfig, Plan
from evaluation.response import ResponseModel
from evaluation.simulate import Arm
from recsys.errors import DataError

Ints = npt.NDArray[np.int64]
Truth = dict[str, dict[str, dict[str, float | None]]]


@dataclass(frozen=True, eq=False)
class ArmsRehearsal:
    """A simulated test of several treatments.

    Attributes:
        log: As the shop would have logged it, one row a user.
        plan: How it is read.
        truth: Treatment → metric → control, treatment, absolute, relative.
        assumption: What no simulation can show.
    """

    log: pd.DataFrame
    plan: Plan
    truth: Truth
    assumption: str = ASSUMPTION

    def read(self) -> ManyArms:
        """The analysis and its verdict, each treatment's truth beside it."""
        found = analyze_arms(self.log, self.plan)
        arms = {
            name: replace(arm, truth=self.truth[name], assumption=self.assumption) for name, arm in found.arms.items()
        }
        return replace(found, arms=arms)


def personalised_arm(arms: Sequence[Arm], choice: Ints, *, name: str = "personalised") -> Arm:
    """The arm in which each user is shown the look that a policy chose for them.

    Args:
        arms: Of one look each; the same users in the same order.
        choice: (n_users,) position in ``arms``; it must not have been learned from the test that judges it.
        name: For people.

    Raises:
        DataError: A choice of none of the arms.

    Example:
        >>> a, b = (Arm(n, np.array([[0], [0]]), np.full((2, 1), x)) for n, x in (("original", -2.0), ("retro", -1.0)))
        >>> personalised_arm([a, b], np.array([1, 0])).log_odds.ravel().tolist()
        [-1.0, -2.0]
    """
    check_arms(arms)
    n = len(arms[0].items)
    at = np.asarray(choice, np.int64)
    if at.shape != (n,) or not 0 <= at.min() <= at.max() < len(arms):
        raise DataError(f"choice must hold one of {len(arms)} arms for each of {n} users, got shape {at.shape}")
    rows = np.arange(n)
    return Arm(name, np.stack([a.items for a in arms])[at, rows], np.stack([a.log_odds for a in arms])[at, rows])


def rehearse_arms(
    arms: Sequence[Arm],
    response: ResponseModel,
    *,
    users: int = 20_000,
    sessions: float = 4.0,
    shares: Sequence[float] = (),
    adjust: str = "holm",
    salt: str = "stylerec",
    seed: int = 0,
) -> ArmsRehearsal:
    """Simulate a test of a control and several treatments, personalised ones among them.

    Args:
        arms: Control first; the same users in the same order.
        response: How pages are clicked.
        users: Study users drawn with replacement; each meets one arm.
        sessions: Mean visits of each, 1 + Poisson.
        shares: Of each arm; alike when omitted.
        adjust: Of the comparisons: holm, bh or dunnett.
        salt: Of the assignment.
        seed: Of users and luck, and part of the salt.

    Returns:
        A log with one row a user, and each treatment's truth in expectation over all study users.

    Raises:
        DataError: The arms differ in shape, or share a name.

    Example:
        >>> from evaluation.response import PositionBased
        >>> items = np.tile(np.arange(4), (50, 1))
        >>> worth = {"original": -2.0, "retro": -1.5, "plain": -2.0}
        >>> looks = [Arm(name, items, np.full((50, 4), odds)) for name, odds in worth.items()]
        >>> found = rehearse_arms(looks, PositionBased(), users=3000, adjust="dunnett").read()
        >>> found.decision.verdict, found.ships
        ('ship', 'retro')
    """
    check_arms(arms)
    check_size(users=users, sessions=sessions)
    share = np.full(len(arms), 1 / len(arms)) if not shares else np.asarray(shares, np.float64)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(arms[0].items), users)
    arm = assign_arms(range(users), f"{salt}:{seed}", share.tolist())
    visits = 1 + rng.poisson(sessions - 1, users)
    unit = np.repeat(np.arange(users), visits)
    odds = np.stack([odds_of(a) for a in arms])[arm[unit], drawn[unit]]
    clicks = np.bincount(unit, response.clicks(odds, rng).sum(axis=1), minlength=users)
    shown = np.stack([(a.items >= 0).sum(axis=1) for a in arms])
    names = [a.name for a in arms]
    log = pd.DataFrame(
        {
            "user_id": np.arange(users),
            "variant": np.asarray(names, object)[arm],
            "sessions": visits,
            "impressions": shown[arm, drawn] * visits,
            "clicks": clicks.astype(np.int64),
        }
    )
    expected = [sessions * response.probability(odds_of(a)).sum(axis=1).mean() for a in arms]
    return ArmsRehearsal(
        log, _plan(names, share.tolist(), adjust), _truth(names, expected, sessions * shown.mean(axis=1))
    )


def _plan(names: list[str], shares: list[float], adjust: str) -> Plan:
    log = LogConfig(level="user", arm="variant", control=names[0], treatments=tuple(names[1:]))
    return Plan(
        {USER_CLICKS: Metric("clicks", None, "clicks / users, [0, ∞)")},
        others={CLICK_RATE: RATE},
        log=log,
        design="multi-arm",
        allocation=shares[1] / (shares[0] + shares[1]),
        adjust=adjust,
    )


def _truth(names: list[str], clicks: Sequence[float], shown: npt.NDArray[np.float64]) -> Truth:
    found: Truth = {}
    for i, name in enumerate(names[1:], start=1):
        rates = effect(float(clicks[0] / shown[0]), float(clicks[i] / shown[i]))
        found[name] = {USER_CLICKS: effect(float(clicks[0]), float(clicks[i])), CLICK_RATE: rates}
    return found
