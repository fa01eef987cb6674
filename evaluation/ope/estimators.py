"""Off-policy estimators as formulas of a round's columns: each gives n values whose mean is the estimate.

Values of estimators that are ratios are linearised (delta method), so that the variance of the values is the
estimator's, too. w: importance weight, r: reward, q: predicted reward of the logged action, v: expected predicted
reward under the policy.

Sources: Dudík, Langford and Li, Doubly robust policy evaluation and learning, 2011 (DM, DR); Swaminathan and Joachims,
The self-normalized estimator for counterfactual learning, 2015 (SNIPW); Wang, Agarwal and Dudík, Optimal and adaptive
off-policy evaluation in contextual bandits, 2017 (Switch-DR); Su, Dimakopoulou, Krishnamurthy and Dudík, Doubly robust
off-policy evaluation with shrinkage, 2020 (DRos); Saito and Joachims, Off-policy evaluation for large action spaces via
embeddings, 2022 (MIPS).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evaluation.inference import linearise
from evaluation.ope.log import Floats
from evaluation.ope.rounds import Rounds
from recsys.errors import DataError

Shape = Callable[[Floats, float], Floats]
Need = Literal["a deterministic policy and a uniform log", "a reward model", "groups of actions"]
N_TRIED = 12
"""Bounds of weights that are tried for Switch-DR and DRos."""


def replay(r: Floats, chosen: Floats) -> Floats:
    """Mean reward of the rounds in which the policy would have done the same for certain.

    Li, Chu, Langford and Wang, Unbiased offline evaluation of contextual-bandit-based news article recommendation
    algorithms, 2011.

    Args:
        r: (n,) rewards.
        chosen: (n,) π(a | x) of the logged action; a round matches where it is 1.

    Raises:
        DataError: No round matches.

    Example:
        >>> float(replay(np.array([1.0, 0.0, 1.0]), np.array([1.0, 1.0, 0.0])).mean())
        0.5
    """
    matched = (chosen == 1).astype(np.float64)
    if not matched.any():
        raise DataError("in no round the policy would have done for certain what the log did")
    return linearise(matched * r, matched)


def ipw(w: Floats, r: Floats, clip: float = np.inf) -> Floats:
    """The product min(w, clip) r: inverse propensity weighting (Horvitz and Thompson, 1952), clipped (Ionides, 2008).

    Unbiased without a clip; with one the bias is downwards for rewards >= 0.

    Example:
        >>> ipw(np.array([2.0, 0.5]), np.array([1.0, 1.0])).tolist()
        [2.0, 0.5]
    """
    return np.minimum(w, clip) * r


def snipw(w: Floats, r: Floats) -> Floats:
    """Σ w r / Σ w: self-normalised, within the range of the rewards (Swaminathan and Joachims, 2015).

    Example:
        >>> round(float(snipw(np.array([2.0, 0.5]), np.array([1.0, 0.0])).mean()), 12)
        0.8
    """
    if not w.any():
        raise DataError("every weight is 0: the policy never does what the log did")
    return linearise(w * r, w)


def dm(v: Floats) -> Floats:
    """The model's word v: no weights, so as biased as the model is (Beygelzimer and Langford, 2009)."""
    return v


def dr(w: Floats, r: Floats, q: Floats, v: Floats) -> Floats:
    """The value v + w (r - q): unbiased where propensities or model are right (Dudík, Langford and Li, 2011).

    Example:
        >>> one = np.ones(1)
        >>> dr(2 * one, 1 * one, 0.25 * one, 0.5 * one).tolist()
        [2.0]
    """
    return v + w * (r - q)


def sndr(w: Floats, r: Floats, q: Floats, v: Floats) -> Floats:
    """The mean of v, + Σ w (r - q) / Σ w: the correction is self-normalised (Thomas and Brunskill, 2016)."""
    if not w.any():
        raise DataError("every weight is 0: the policy never does what the log did")
    return v + linearise(w * (r - q), w)


def switch(w: Floats, tau: float) -> Floats:
    """The weight w where w <= tau, else 0: the rest is left to the model (Wang, Agarwal and Dudík, 2017).

    Example:
        >>> switch(np.array([1.0, 30.0]), 10.0).tolist()
        [1.0, 0.0]
    """
    return np.where(w <= tau, w, 0.0)


def shrink(w: Floats, lam: float) -> Floats:
    """The weight Λ w / (w² + Λ), optimistic shrinkage of DRos (Su, Dimakopoulou, Krishnamurthy and Dudík, 2020).

    Λ = ∞ leaves w as it is, Λ = 0 leaves everything to the model.

    Example:
        >>> shrink(np.array([1.0, 2.0]), 4.0).tolist()
        [0.8, 1.0]
    """
    return w if np.isinf(lam) else lam * w / (w**2 + lam) if lam > 0 else np.zeros_like(w)


def mips(marginal: Floats, r: Floats) -> Floats:
    """Weights of groups instead of actions: Saito and Joachims, 2022.

    Unbiased where the reward depends on the action through its group alone.
    """
    return marginal * r


def tune(shape: Shape, grid: Floats, w: Floats, r: Floats, q: Floats, v: Floats) -> float:
    """The bound of ``grid`` whose DR with weights ``shape(w, bound)`` has the least estimated squared error.

    Variance of the mean plus squared bias; the bias is the mean of (w - shaped w) (r - q), as DR with w is
    unbiased: the direct estimate of Su et al., 2020. Ties go to the largest bound, which has the least bias.

    Args:
        shape: `switch` or `shrink`.
        grid: Bounds to try.
        w: (n,).
        r: (n,).
        q: (n,).
        v: (n,).
    """
    residual, n, best = r - q, len(w), (np.inf, np.inf)
    whole, off = float(w @ residual), v - v.mean()
    for bound in np.sort(grid)[::-1]:
        part = shape(w, float(bound)) * residual
        total = float(part.sum())
        variance = float(off @ off + 2 * (off @ part) + part @ part) / n - (total / n) ** 2
        best = min(best, (((whole - total) / n) ** 2 + variance / n, -float(bound)))
    return -best[1]


def switch_grid(w: Floats) -> Floats:
    """Bounds to try: powers of the largest weight, from 1 (or the least weight above 0) up to it."""
    top = float(w.max())
    return np.geomspace(min(1.0, top), top, N_TRIED) if top > 0 else np.ones(1)


def shrink_grid(w: Floats) -> Floats:
    """Bounds to try for DRos: squares of those of Switch-DR, 100 times as large at the top, and ∞."""
    return np.append(switch_grid(w) ** 2 * np.geomspace(1, 100, len(switch_grid(w))), np.inf)


@dataclass(frozen=True)
class Bounds:
    """Limits of weights; None is chosen from the log (clip: no limit).

    Attributes:
        clip: Of IPW.
        switch: τ of Switch-DR.
        shrinkage: Λ of DRos.
    """

    clip: float | None = None
    switch: float | None = None
    shrinkage: float | None = None


@dataclass(frozen=True)
class Estimator:
    """One way to estimate a policy's value.

    Attributes:
        values: Formula; also says the bound that it used, or None.
        needs: Beside weights.
        assumes: Beyond what all assume; "" for nothing more.
    """

    values: Callable[[Rounds, Bounds], tuple[Floats, float | None]]
    needs: tuple[Need, ...] = ()
    assumes: str = ""


def _modelled(rounds: Rounds) -> tuple[Floats, Floats, Floats, Floats]:
    if rounds.predicted is None or rounds.value is None:
        raise DataError("this estimator needs a reward model; give one")
    return rounds.weight, rounds.reward, rounds.predicted, rounds.value


def _switch_dr(rounds: Rounds, bounds: Bounds) -> tuple[Floats, float | None]:
    w, r, q, v = _modelled(rounds)
    tau = tune(switch, switch_grid(w), w, r, q, v) if bounds.switch is None else bounds.switch
    return dr(switch(w, tau), r, q, v), tau


def _dros(rounds: Rounds, bounds: Bounds) -> tuple[Floats, float | None]:
    w, r, q, v = _modelled(rounds)
    lam = tune(shrink, shrink_grid(w), w, r, q, v) if bounds.shrinkage is None else bounds.shrinkage
    return dr(shrink(w, lam), r, q, v), lam


def _mips(rounds: Rounds, bounds: Bounds) -> tuple[Floats, float | None]:
    if rounds.marginal is None:
        raise DataError("MIPS needs groups of actions; give action features")
    return mips(rounds.marginal, rounds.reward), None


MODEL: Need = "a reward model"
ESTIMATORS: dict[str, Estimator] = {
    "replay": Estimator(
        lambda rounds, bounds: (replay(rounds.reward, rounds.chosen), None),
        ("a deterministic policy and a uniform log",),
        "the logged policy drew from all actions alike",
    ),
    "ipw": Estimator(
        lambda rounds, bounds: (ipw(rounds.weight, rounds.reward, bounds.clip or np.inf), bounds.clip),
        assumes="the rewards that the clip cuts off are few",
    ),
    "snipw": Estimator(lambda rounds, bounds: (snipw(rounds.weight, rounds.reward), None)),
    "dm": Estimator(
        lambda rounds, bounds: (dm(_modelled(rounds)[3]), None),
        (MODEL,),
        "the reward model is right; its interval leaves the model's own error out",
    ),
    "dr": Estimator(lambda rounds, bounds: (dr(*_modelled(rounds)), None), (MODEL,)),
    "sndr": Estimator(lambda rounds, bounds: (sndr(*_modelled(rounds)), None), (MODEL,)),
    "switch-dr": Estimator(_switch_dr, (MODEL,), "the reward model is right where weights are above the bound"),
    "dros": Estimator(_dros, (MODEL,), "the reward model is nearly right where weights are large"),
    "mips": Estimator(
        _mips,
        ("groups of actions",),
        "within a group of actions the reward does not depend on the action",
    ),
}
"""Names → estimators, in the order of the result."""
