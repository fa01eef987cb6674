"""Whole pages: a policy fills places from the top, and people read from the top.

Under the cascade assumption what happens at a place depends on that place and those above it, so a weight needs the
choices down to the place only, not the whole page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.inference import linearise
from evaluation.ope.diagnostics import diagnose, mean_interval
from evaluation.ope.log import BanditLog, Features, Floats, Ints
from evaluation.ope.policies import TOLERANCE, Probabilities, Scorer, check_choice, greedy, softmax
from evaluation.ope.result import ASSUMPTIONS, OffPolicyResult, OPEConfig, Scores, conclude, valued
from evaluation.ope.reward_model import PENALTIES, NormalEquations, assign_folds, blocks
from evaluation.ope.rounds import BLOCK_CELLS, Rounds
from recsys.data.ids import IdMap
from recsys.errors import DataError

CASCADE = "Cascade: the reward of a place depends on that place and those above it, not on what stands below."


@dataclass(frozen=True, eq=False)
class SlateLog:
    """Pages of a logged policy.

    Attributes:
        actions: Every action that could have been drawn.
        action: (n, K) int64 from the top, -1 past the end of a short page.
        reward: (n, K) of each place, 0 past the end.
        propensity: (n, K) in (0, 1]: probability of the action given those above it; 1 past the end.
        context: (n,) row of ``contexts``.
        contexts: Keys of the contexts.
        features: (n_contexts, d) of the contexts.
        unit: (n,) from 0: pages of one unit (a user) are dependent; None: all are independent.
        n_refused: Rows of the source that were refused.

    Example:
        >>> place, page = [0, 1, 0, 1], [7, 7, 8, 8]
        >>> log = BanditLog.of([0, 1, 1, 2], [1, 0, 0, 1], [1 / 3, 1 / 2] * 2, actions=3, position=place, page=page)
        >>> SlateLog.from_rounds(log).action.tolist()
        [[0, 1], [1, 2]]
    """

    actions: IdMap
    action: Ints
    reward: Floats
    propensity: Floats
    context: Ints
    contexts: pd.DataFrame
    features: Features
    unit: Ints | None = None
    n_refused: int = 0

    def __post_init__(self) -> None:
        shapes = {self.action.shape, self.reward.shape, self.propensity.shape}
        if len(shapes) > 1 or self.action.ndim != 2 or len(self.context) != len(self.action):
            raise DataError(f"action, reward and propensity must be one (n, K), got {shapes}")
        empty = self.action < 0
        if (empty[:, :-1] & ~empty[:, 1:]).any() or empty[:, :1].any():
            raise DataError("pages must be filled from the top without gaps; a place above an action is empty")
        if (self.action >= len(self.actions)).any() or not np.isfinite(self.reward).all():
            raise DataError(f"actions must be below {len(self.actions)} and rewards finite")
        if not ((self.propensity > 0) & (self.propensity <= 1)).all():
            raise DataError("propensities must be in (0, 1], each given the actions above it")

    @classmethod
    def from_rounds(cls, log: BanditLog) -> SlateLog:
        """Gather the rounds of each page.

        Args:
            log: Rounds whose propensity is given the actions above on the page.

        Raises:
            DataError: The log has no pages, two rounds have one place of one page, or a page has a gap.
        """
        if log.page is None:
            raise DataError("the log does not say which rounds stand on one page; name the page's column")
        _, first, of_page = np.unique(log.page, return_index=True, return_inverse=True)
        cell = of_page * log.n_positions + log.position
        if len(np.unique(cell)) < len(cell):
            raise DataError("two rounds stand in one place of one page; name the page's column, not the user's")
        shape = (len(first), log.n_positions)

        def filled(values: npt.NDArray[np.generic], rest: float) -> npt.NDArray[np.generic]:
            table = np.full(shape[0] * shape[1], rest, values.dtype)
            table[cell] = values
            return table.reshape(shape)

        action, reward, propensity = filled(log.action, -1), filled(log.reward, 0), filled(log.propensity, 1)
        return cls(
            log.actions,
            np.asarray(action, np.int64),
            np.asarray(reward, np.float64),
            np.asarray(propensity, np.float64),
            log.context[first],
            log.contexts,
            log.features,
            None if log.unit is None else log.unit[first],
            log.n_refused,
        )

    def __len__(self) -> int:
        return len(self.action)


class SlatePolicy(Protocol):
    """Fills a page from the top."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    def following(self, context: Ints, above: Ints) -> Probabilities:
        """(b, n_actions): probability of each action for the next place.

        Args:
            context: (b,) rows of the log's contexts.
            above: (b, k) actions that stand above it.
        """
        ...


@dataclass(frozen=True, eq=False)
class Ranked:
    """Fills a page by scores, without repeats: a softmax of what is left (Plackett-Luce), or the best that is left.

    Attributes:
        scorer: (b,) rows of contexts → (b, n_actions).
        temperature: Of the softmax, > 0; None for the best.
        epsilon: Chance that a place is drawn from all that is left alike.
        name: For people.

    Example:
        >>> policy = Ranked(lambda context: np.zeros((len(context), 3)), temperature=1.0)
        >>> policy.following(np.array([0]), np.array([[2]])).tolist()
        [[0.5, 0.5, 0.0]]
    """

    scorer: Scorer
    temperature: float | None = None
    epsilon: float = 0.0
    name: str = "ranked"

    def __post_init__(self) -> None:
        check_choice(self.temperature, self.epsilon)

    def following(self, context: Ints, above: Ints) -> Probabilities:
        """(b, n_actions), 0 for what stands above."""
        scores = np.array(self.scorer(context), np.float64)
        np.put_along_axis(scores, above, -np.inf, axis=1)
        if self.temperature is not None:
            return softmax(scores, self.temperature)
        return greedy(scores, np.zeros(len(scores), np.int64), self.epsilon)


@dataclass(frozen=True, eq=False)
class Pages:
    """The columns that the estimators of pages are formulas of, all (n, K).

    Attributes:
        reward: Of each place.
        weight: Π_{j <= k} π(a_j | above) / propensity: of the choices down to each place.
        predicted: Q̂_k of the action: rewards from this place down; None without a model.
        value: Σ_a π(a | above) Q̂_k(a); None without a model.
        unsupported: Share of the policy's choices that the log never shows in their place.
    """

    reward: Floats
    weight: Floats
    predicted: Floats | None = None
    value: Floats | None = None
    unsupported: float = 0.0


def sips(pages: Pages) -> Floats:
    """(n,) whole page's weight × its reward: no assumption on how people read, and the largest variance."""
    return np.asarray(pages.weight[:, -1] * pages.reward.sum(axis=1))


def rips(pages: Pages) -> Floats:
    """(n,) Σ_k w_{1:k} r_k: reward interaction inverse propensity scoring.

    McInerney et al., Counterfactual evaluation of slate recommendations with sequential reward interactions, 2020.

    Example:
        >>> pages = Pages(np.array([[1.0, 1.0]]), np.array([[2.0, 3.0]]))
        >>> rips(pages).tolist()
        [5.0]
    """
    return np.asarray((pages.weight * pages.reward).sum(axis=1))


def snrips(pages: Pages) -> Floats:
    """(n,) values of Σ_k (Σ w_{1:k} r_k / Σ w_{1:k}): RIPS, self-normalised in every place."""
    weight, reward = pages.weight, pages.reward
    if not weight[:, -1].any():
        raise DataError("every weight is 0: the policy never does what the log did")
    places = range(weight.shape[1])
    return np.asarray(np.sum([linearise(weight[:, k] * reward[:, k], weight[:, k]) for k in places], axis=0))


def cascade_dr(pages: Pages) -> Floats:
    """(n,) Σ_k w_{1:k} (r_k - Q̂_k) + w_{1:k-1} E_π Q̂_k: unbiased as RIPS is.

    Kiyohara et al., Doubly robust off-policy evaluation for ranking policies under the cascade behavior model, 2022,
    section 3.1.
    """
    if pages.predicted is None or pages.value is None:
        raise DataError("cascade-dr needs a reward model")
    before = np.concatenate([np.ones((len(pages.weight), 1)), pages.weight[:, :-1]], axis=1)
    return np.asarray((pages.weight * (pages.reward - pages.predicted) + before * pages.value).sum(axis=1))


SLATE_ESTIMATORS: dict[str, Callable[[Pages], Floats]] = {
    "sips": sips,
    "rips": rips,
    "snrips": snrips,
    "cascade-dr": cascade_dr,
}
"""Names → estimators of pages; all but sips assume the cascade."""


def make_pages(log: SlateLog, policy: SlatePolicy, fold: Ints | None = None, n_folds: int = 0) -> Pages:
    """Weights of a policy and, with folds, a cross-fitted model of what is still to come.

    Q̂ is fitted from the bottom up, each place on r_k + E_π Q̂_{k+1}: ridge on the action, the context and what was
    clicked above. What is above is known before the action is drawn, so Q̂ may look at it.

    Raises:
        DataError: The policy's answers are no probabilities.
    """
    n, size = log.action.shape
    filled, ratio = log.action >= 0, np.ones(log.action.shape)
    predicted, value = (np.zeros(ratio.shape), np.zeros(ratio.shape)) if fold is not None else (None, None)
    coming, unseen = np.zeros(n), 0.0
    for k in reversed(range(size)):
        rows = np.flatnonzero(filled[:, k])
        absent = np.bincount(log.action[rows, k], minlength=len(log.actions)) == 0
        model = None
        if fold is not None:
            rest = _history(log, k, rows)
            sums = NormalEquations(n_folds, len(log.actions), rest.shape[1])
            target = log.reward[rows, k] + coming[rows]
            for f in range(n_folds):
                mine = fold[rows] == f
                sums.add(f, rest[mine], log.action[rows[mine], k], target[mine])
            model = sums.solve(PENALTIES, free=1)
        for part in blocks(len(rows), max(1, BLOCK_CELLS // len(log.actions))):
            at = rows[part]
            pi = _following(policy, log, at, k)
            unseen += float(pi[:, absent].sum())
            ratio[at, k] = pi[np.arange(len(at)), log.action[at, k]] / log.propensity[at, k]
            if model is not None and fold is not None and predicted is not None and value is not None:
                by_action, by_rest = model[0][fold[at]], model[1][fold[at]]
                common = np.einsum("br,br->b", _history(log, k, at), by_rest)
                predicted[at, k] = common + by_action[np.arange(len(at)), log.action[at, k]]
                value[at, k] = common + np.einsum("ba,ba->b", pi, by_action)
        coming = coming if value is None else value[:, k]
    return Pages(log.reward, np.asarray(np.cumprod(ratio, axis=1), np.float64), predicted, value, unseen / filled.sum())


def _history(log: SlateLog, k: int, rows: Ints) -> Floats:
    """(b, 2 + d): 1, rewards above place k, features of the context."""
    above = log.reward[rows, :k].sum(axis=1, keepdims=True)
    return np.concatenate([np.ones((len(rows), 1)), above, log.features[log.context[rows]]], axis=1)


def _following(policy: SlatePolicy, log: SlateLog, rows: Ints, k: int) -> Probabilities:
    pi = policy.following(log.context[rows], log.action[rows, :k])
    off = np.abs(pi.sum(axis=1) - 1).max(initial=0)
    if pi.shape != (len(rows), len(log.actions)) or off > 10 * TOLERANCE or pi.min(initial=0) < 0:
        raise DataError(
            f"policy {policy.name!r} must answer ({len(rows)}, {len(log.actions)}) probabilities, got {pi.shape} with "
            f"sums off 1 by up to {off:.3g}"
        )
    return pi


def evaluate_slates(log: SlateLog, policy: SlatePolicy, config: OPEConfig | None = None) -> OffPolicyResult:
    """Estimate what ``policy`` would have earned on a page.

    Args:
        log: Of a policy that drew its pages place by place with known probabilities.
        policy: To be judged.
        config: Which of `SLATE_ESTIMATORS`, and what must hold.

    Raises:
        DataError: The policy's answers are no probabilities.
        ConfigError: An unknown estimator.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> action = rng.permuted(np.tile([0, 1, 2], (5000, 1)), axis=1)[:, :2]
        >>> clicked = rng.random((5000, 2)) < np.array([0.1, 0.2, 0.4])[action]
        >>> drawn = np.broadcast_to([1 / 3, 1 / 2], (5000, 2))
        >>> log = SlateLog(IdMap.of("abc"), action, clicked * 1.0, drawn, np.zeros(5000, int), pd.DataFrame([{}]),
        ...     np.zeros((1, 0), np.float32))
        >>> best = Ranked(lambda context: np.tile([0.1, 0.2, 0.4], (len(context), 1)))
        >>> round(evaluate_slates(log, best)["cascade-dr"].value, 1)
        0.6
    """
    config = OPEConfig() if config is None else config
    asked = config.asked(SLATE_ESTIMATORS)
    fold = assign_folds(len(log), log.unit, config.folds, config.seed) if "cascade-dr" in asked else None
    pages = make_pages(log, policy, fold, config.folds)
    page_reward, whole = log.reward.sum(axis=1), pages.weight[:, -1]
    whole_pages = Rounds(page_reward, whole, whole, unsupported=pages.unsupported)
    found = diagnose(whole_pages, unit=log.unit, n_refused=log.n_refused)
    rows = [
        valued(
            name,
            Scores(SLATE_ESTIMATORS[name](pages), found.ess, assumes="" if name == "sips" else CASCADE),
            page_reward,
            log.unit,
            config.alpha,
            name == config.deciding(asked),
        )
        for name in asked
    ]
    reward = mean_interval(page_reward, alpha=config.alpha, size=len(log), unit=log.unit)
    return conclude(policy.name, reward, rows, {}, found, config, assumptions=(*ASSUMPTIONS, CASCADE))
