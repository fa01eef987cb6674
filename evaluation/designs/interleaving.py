"""Two rankers in one list: team-draft interleaving, the most sensitive way to learn which one people prefer."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from evaluation.designs.rehearsal import USER_CLICKS, Rehearsal, check_arms, check_size, effect, odds_of
from evaluation.experiment.metrics import Metric
from evaluation.experiment.plan import LogConfig, Plan
from evaluation.response import ResponseModel
from evaluation.simulate import Arm
from recsys.errors import DataError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def team_draft(control: Ints, treatment: Ints, coins: Bools) -> tuple[Ints, Ints, Ints]:
    """Interleave pairs of rankings as two captains pick teams.

    In each round both rankers pick their best item that is not yet in the list; a coin says who picks first. Radlinski,
    Kurup and Joachims, How does clickthrough data reflect retrieval quality?, 2008, algorithm 2. The list ends where
    either ranker has nothing left to pick.

    Args:
        control: (n, K) items, best first, -1 behind the end.
        treatment: (n, K) likewise.
        coins: (n, ⌈K / 2⌉) whether treatment picks first in each round.

    Returns:
        (n, K) the list, -1 behind its end; (n, K) the team of each place, 0 control, 1 treatment, -1 behind the end;
        (n, K) the item's rank in its team's ranking, from 0.

    Raises:
        DataError: Shapes that do not fit.

    Example:
        >>> a, b = np.array([[1, 2, 3]]), np.array([[2, 4, 1]])
        >>> items, team, rank = team_draft(a, b, np.array([[False, True]]))  # control begins, then treatment
        >>> items.tolist(), team.tolist(), rank.tolist()
        ([[1, 2, 4]], [[0, 1, 1]], [[0, 0, 1]])
    """
    n, k = control.shape
    if treatment.shape != (n, k) or coins.shape != (n, -(-k // 2)):
        raise DataError(
            f"two rankings (n, K) and coins (n, ⌈K / 2⌉) are needed, got {control.shape}, {treatment.shape}, "
            f"{coins.shape}"
        )
    rankings = np.stack([control, treatment])
    gone = rankings < 0  # (2, n, K) picked by either, or no item
    items, team, rank = (np.full((n, k), -1, np.int64) for _ in range(3))
    row, going = np.arange(n), np.ones(n, bool)
    for place in range(k):
        going &= ~gone.all(axis=2).any(axis=0)
        captain = coins[:, place // 2] ^ bool(place % 2)
        at = np.argmin(gone[captain.astype(np.int64), row], axis=1)  # the first that is not gone
        picked = np.where(going, rankings[captain.astype(np.int64), row, at], -1)
        items[:, place], team[:, place], rank[:, place] = picked, np.where(going, captain, -1), np.where(going, at, -1)
        gone |= (rankings == picked[:, None]) & going[:, None]
    return items, team, rank


def preference(control: npt.ArrayLike, treatment: npt.ArrayLike, *, alpha: float = 0.05) -> tuple[float, float, float]:
    """How much oftener treatment's team wins than half: (wins + ties / 2) / n - 0.5, with its interval.

    In [-0.5, 0.5], above 0 for treatment: Chapelle, Joachims, Radlinski and Yue, Large-scale validation and analysis of
    interleaved search evaluation, 2012, eq. 1. Give sums over each user, because a user's visits are alike.

    Args:
        control: (n,) clicks on control's team.
        treatment: (n,) likewise.
        alpha: 1 - coverage, of a normal interval.

    Example:
        >>> preference([0, 1, 0, 0], [1, 0, 1, 0])[0]
        0.125
    """
    won = (np.sign(np.asarray(treatment, np.float64) - np.asarray(control, np.float64)) + 1) / 2
    if len(won) < 2:
        raise DataError(f"a preference needs at least 2 users, got {len(won)}")
    value, reach = float(won.mean()) - 0.5, -float(ndtri(alpha / 2)) * float(won.std(ddof=1)) / np.sqrt(len(won))
    return value, value - float(reach), value + float(reach)


def rehearse_interleaving(
    control: Arm, treatment: Arm, response: ResponseModel, *, users: int = 5000, sessions: float = 4.0, seed: int = 0
) -> Rehearsal:
    """Simulate team-draft interleaving of two rankers.

    Args:
        control: The ranking that is shown today.
        treatment: The new one; an item's log-odds are the same in both where both list it.
        response: How pages are clicked.
        users: Study users drawn with replacement.
        sessions: Mean visits of each, 1 + Poisson.
        seed: Of users, coins and luck.

    Returns:
        A log with one row a product shown, whose column ``team`` says who picked it; and the truth: clicks per user on
        each team, in expectation over all study users and coins, by working out every sequence of coins.

    Raises:
        DataError: The arms differ in shape.

    Example:
        >>> from evaluation.response import PositionBased
        >>> a, b = np.array([[0, 1, 2, 3]]), np.array([[1, 0, 3, 2]])
        >>> worth = np.array([-2.0, -1.0, -2.0, -1.0])
        >>> test = rehearse_interleaving(Arm("a", a, worth[a]), Arm("b", b, worth[b]), PositionBased(), users=50)
        >>> test.truth["clicks_per_user"]["relative"] > 0
        True
    """
    check_arms([control, treatment])
    check_size(users=users, sessions=sessions)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(control.items), users)
    unit = np.repeat(np.arange(users), 1 + rng.poisson(sessions - 1, users))
    who = drawn[unit]
    coins = rng.random((len(who), -(-control.items.shape[1] // 2))) < 0.5
    items, team, odds = _page(control, treatment, who, coins)
    clicks, shown = response.clicks(odds, rng), items >= 0
    log = pd.DataFrame(
        {
            "user_id": np.broadcast_to(unit[:, None], items.shape)[shown],
            "session_id": np.broadcast_to(np.arange(len(who))[:, None], items.shape)[shown],
            "item_id": items[shown],
            "team": np.asarray([control.name, treatment.name], object)[team[shown]],
            "clicks": clicks[shown].astype(np.int64),
        }
    )
    plan = Plan(
        {USER_CLICKS: Metric("clicks", None, "clicks on the team's products / users, [0, ∞)")},
        log=LogConfig(arm="team", control=control.name, treatment=treatment.name),
        design="interleaving",
    )
    credit = _expected(control, treatment, response) * sessions
    return Rehearsal(log, plan, {USER_CLICKS: effect(float(credit[0]), float(credit[1]))})


def _page(control: Arm, treatment: Arm, who: Ints, coins: Bools) -> tuple[Ints, Ints, Floats]:
    """(n, K) items, teams and log-odds of visits."""
    items, team, rank = team_draft(control.items[who], treatment.items[who], coins)
    odds = [np.take_along_axis(odds_of(arm)[who], np.maximum(rank, 0), axis=1) for arm in (control, treatment)]
    return items, team, np.where(team < 0, -np.inf, np.where(team == 1, odds[1], odds[0]))


def _expected(control: Arm, treatment: Arm, response: ResponseModel) -> Floats:
    """(2,) expected clicks on each team, a visit, over study users and all 2^⌈K / 2⌉ equally likely coins."""
    n, k = control.items.shape
    everyone, total, rounds = np.arange(n), np.zeros(2), -(-k // 2)
    for faces in product((False, True), repeat=rounds):
        _, team, odds = _page(control, treatment, everyone, np.broadcast_to(np.asarray(faces), (n, rounds)))
        chance = response.probability(odds)
        total += [float(chance[team == side].sum()) for side in (0, 1)]
    return np.asarray(total / n / 2**rounds)
