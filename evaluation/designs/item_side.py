"""Randomising products, one by one or by category, in place of users: what it estimates, and why it may overstate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.designs.assignment import assign
from evaluation.designs.rehearsal import CLICK_RATE, RATE, Rehearsal, check_arms, check_size, odds_of, rates
from evaluation.experiment.plan import LogConfig, Plan
from evaluation.response import ResponseModel
from evaluation.simulate import Arm
from recsys.errors import ConfigError, DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def roll_out_lift(baseline: npt.ArrayLike, factor: float) -> Floats:
    """Relative gain in clicks when every item of a slate becomes ``factor`` times as attractive.

    Multinomial logit with an outside option: a slate of total attraction A is clicked with probability A / (1 + A), so
    the lift is factor / (1 + baseline (factor - 1)) - 1: items share one shopper's click, and nobody clicks twice.
    McFadden, Conditional logit analysis of qualitative choice behavior, 1974.

    Args:
        baseline: Probability of a click on the slate as it is, in [0, 1].
        factor: On every item's attraction, > 0.

    Raises:
        ConfigError: A value is out of range.

    Example:
        >>> (100 * roll_out_lift([0.05, 0.2, 0.5, 0.8], 1.1)).round(2).tolist()
        [9.45, 7.84, 4.76, 1.85]
    """
    p = np.asarray(baseline, np.float64)
    if not ((p >= 0) & (p <= 1)).all() or not 0 < factor < np.inf:
        raise ConfigError(f"baseline must lie in [0, 1] and factor above 0, got {baseline!r} and {factor}")
    return np.asarray(factor / (1 + p * (factor - 1)) - 1)


def item_side_lift(attraction: npt.ArrayLike, treated: npt.ArrayLike, factor: float) -> float:
    """What an item-side test reports: clicks per treated item over clicks per control item of the same slate, less 1.

    Treated items win clicks from control items, so the comparison is ``factor`` - 1 however full the slate is: it
    is not what a roll-out gains (`roll_out_lift`). Johari, Li, Liskovich and Weintraub, Experimental design in
    two-sided platforms: an analysis of bias, 2022.

    Args:
        attraction: (K,) of each item as it is, > 0.
        treated: (K,) which items show the look; some do and some do not.
        factor: On a treated item's attraction, > 0.

    Raises:
        DataError: No treated or no control item.

    Example:
        >>> round(item_side_lift([1.0, 1.0, 1.0, 1.0], [True, False, True, False], 1.1), 6)
        0.1
    """
    base, look = np.asarray(attraction, np.float64), np.asarray(treated, bool)
    if look.all() or not look.any():
        raise DataError("an item-side test needs treated and control items in the slate")
    shown = np.where(look, factor, 1.0) * base
    clicks = shown / (1 + shown.sum())
    # Each side's clicks over its own attraction, as random assignment makes both sides' items alike on average.
    return float((clicks[look].sum() / base[look].sum()) / (clicks[~look].sum() / base[~look].sum()) - 1)


def rehearse_items(
    control: Arm,
    treatment: Arm,
    response: ResponseModel,
    cluster: Ints | None = None,
    *,
    visits: int = 20_000,
    allocation: float = 0.5,
    salt: str = "stylerec",
    seed: int = 0,
) -> Rehearsal:
    """Randomise products (item-side) or their categories (cluster); every visitor meets products of both arms.

    Unbiased where products do not compete, or where those that do are of one cluster (a page of one category);
    otherwise treated products win clicks from the others, and the naive comparison counts these as a gain.

    Args:
        control: What each study user is shown without the look.
        treatment: The same items in the same places, with it.
        response: How pages are clicked; `evaluation.response.Choice` makes products compete.
        cluster: (n_items,) category of each item, codes from 0; None: each item alone.
        visits: Page views, each of a study user drawn with replacement.
        allocation: Share of clusters in treatment.
        salt: Of the assignment.
        seed: Of visitors and luck, and part of the salt.

    Returns:
        A log with one row a product shown, and the truth of showing all products with the look to these visitors.

    Raises:
        DataError: Arms that list other items, or items without a cluster.

    Example:
        >>> from evaluation.response import Choice
        >>> items = np.tile(np.arange(10), (50, 1))
        >>> odds = np.full((50, 10), np.log(0.4))  # a page is clicked with 80 %
        >>> arms = Arm("original", items, odds), Arm("stylised", items, odds + np.log(1.1))
        >>> test = rehearse_items(*arms, Choice(), visits=100)
        >>> round(test.truth["click_through_rate"]["relative"], 4)
        0.0185
    """
    check_arms([control, treatment], same_items=True)
    check_size(visits=visits)
    n_items = int(control.items.max()) + 1
    code = np.arange(n_items) if cluster is None else np.asarray(cluster, np.int64)
    if len(code) < n_items or (code < 0).any():
        raise DataError(f"cluster must hold a code >= 0 of each of {n_items} items, got {len(code)}")
    arm = assign(range(int(code.max()) + 1), f"{salt}:{seed}", allocation)
    rng = np.random.default_rng(seed)
    user = rng.integers(0, len(control.items), visits)
    items, plain, styled = control.items[user], odds_of(control)[user], odds_of(treatment)[user]
    side = arm[code[np.maximum(items, 0)]]
    clicks = response.clicks(np.where(side == 1, styled, plain), rng)
    shown = items >= 0
    log = pd.DataFrame(
        {
            "user_id": np.broadcast_to(user[:, None], items.shape)[shown],
            "item_id": items[shown],
            "cluster_id": code[items[shown]],
            "variant": np.asarray([control.name, treatment.name], object)[side[shown]],
            "clicks": clicks[shown].astype(np.int64),
        }
    )
    truth = rates([response.probability(odds) for odds in (plain, styled)], float(shown.sum()))
    return Rehearsal(log, _plan(control, treatment, allocation), truth)


def _plan(control: Arm, treatment: Arm, allocation: float) -> Plan:
    log = LogConfig(arm="variant", control=control.name, treatment=treatment.name, cluster="cluster_id")
    return Plan({CLICK_RATE: RATE}, log=log, design="cluster", allocation=allocation)
