"""The feedback loop: a recommender that is retrained on clicks on what it showed, and what that does to a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from evaluation.designs.assignment import assign
from evaluation.response.base import Floats
from evaluation.response.luck import own_luck
from recsys.errors import ConfigError, DataError

if TYPE_CHECKING:
    from evaluation.ab_config import ABConfig
    from evaluation.simulate import Arm

Ints = npt.NDArray[np.int64]
WORLDS = ("control", "treatment", "test")
MEETING = 5
"""Stream of luck: of a customer with an item in a round."""
BLOCK = 1 << 20
"""Places of pages held at once, about."""


@dataclass(frozen=True)
class FeedbackConfig:
    """How lists are retrained; off while ``rounds`` is 0.

    Attributes:
        rounds: Times that every customer comes, and lists are made anew after each, >= 0.
        pool: Products of each user that compete for the page, at least ``slate``.
        strength: What a log-odds of an item's click rate, above the average item's, adds to its score, finite.
        prior_clicks: Clicks' worth of trust in the average click rate, > 0.
    """

    rounds: int = 0
    pool: int = 50
    strength: float = 1.0
    prior_clicks: float = 5.0

    def __post_init__(self) -> None:
        if self.rounds < 0 or self.pool < 1:
            raise ConfigError(
                f"ab.feedback needs rounds >= 0 and pool >= 1, got {self.rounds} and {self.pool}; rounds = 0: off"
            )
        if not np.isfinite(self.strength) or not 0 < self.prior_clicks < np.inf:
            raise ConfigError(
                f"ab.feedback needs a finite strength and prior_clicks above 0, "
                f"got {self.strength} and {self.prior_clicks}"
            )

    @property
    def is_off(self) -> bool:
        """Whether lists are never retrained."""
        return self.rounds == 0


@dataclass(frozen=True, eq=False)
class Seen:
    """What a recommender learns from after a round: clicks on what was shown in its world so far.

    Attributes:
        items: (n_users, M) the pool of each user, -1 empty.
        scores: (n_users, M) with which the recommender began.
        shown: (n_items,) impressions of each item so far.
        clicked: (n_items,) clicks.
    """

    items: Ints
    scores: Floats
    shown: Floats
    clicked: Floats


Retrain = Callable[[Seen], Floats]
"""Scores (n_users, M) for the next round."""


def by_click_rate(config: FeedbackConfig) -> Retrain:
    """The usual shortcut: an item's click rate so far, whatever rank it had, is taken for how good it is.

    Example:
        >>> retrain = by_click_rate(FeedbackConfig(prior_clicks=1e-6))
        >>> seen = Seen(np.array([[0, 1]]), np.zeros((1, 2)), np.array([10, 10]), np.array([5, 5]))
        >>> retrain(seen).round(3).tolist()
        [[0.0, 0.0]]
    """

    def retrain(seen: Seen) -> Floats:
        average = float(np.clip(seen.clicked.sum() / max(seen.shown.sum(), 1), 1e-6, 1 - 1e-6))
        trust = config.prior_clicks / average
        rate = (seen.clicked + trust * average) / (seen.shown + trust)
        learned = np.append(config.strength * (logit(np.minimum(rate, 1 - 1e-9)) - logit(average)), 0.0)
        return np.asarray(seen.scores + learned[seen.items])

    return retrain


@dataclass(frozen=True, eq=False)
class Feedback:
    """A test in a shop that retrains, beside what it should have found.

    Three worlds: everybody in control, everybody in treatment, and the test, in which one recommender learns from both
    arms. The truth is the roll-out: treatment's world against control's. The test compares its two arms under shared
    lists, so it misses what a look does to the lists.

    Attributes:
        rounds: For each round: round, expected clicks a customer in ``control`` and ``treatment`` (the two worlds), in
            ``test_control`` and ``test_treatment`` (the test's arms), and ``top_share_control``,
            ``top_share_treatment``, the share of impressions that the most shown tenth of items has.
        truth: Relative gain in clicks of the roll-out over all rounds; None where control has no click.
        test: What the test is expected to report.
    """

    rounds: tuple[Mapping[str, float], ...]
    truth: float | None
    test: float | None

    @property
    def bias(self) -> float | None:
        """Of the test: what it is expected to report, less the truth."""
        return None if self.truth is None or self.test is None else self.test - self.truth

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return asdict(self) | {"rounds": [dict(r) for r in self.rounds], "bias": self.bias}


def simulate_feedback(
    control: Arm, treatment: Arm, config: ABConfig, *, seed: int, retrain: Retrain | None = None
) -> Feedback:
    """Live through the rounds in all three worlds; a customer who meets an item has the same luck in each.

    Luck moves only what recommenders learn; clicks are reported as expected, in closed form, so that worlds differ by
    what they show.

    Args:
        control: Pools, not pages: (n_users, M) products that compete for ``config.slate`` places, all shown where
            they are fewer; their log-odds are also the scores with which the recommender begins.
        treatment: The same products in their looks.
        config: ``users`` customers, ``slate``, response, allocation; ``feedback`` has the rounds.
        seed: Of customers and luck.
        retrain: Makes the next round's scores; None: `by_click_rate`.

    Raises:
        DataError: The arms hold different products, or retraining answers what is no score.

    Example:
        >>> from evaluation.ab_config import ABConfig
        >>> from evaluation.simulate import Arm
        >>> pool = Arm("a", np.arange(6)[None], np.zeros((1, 6), np.float32))
        >>> config = ABConfig(users=50, slate=2, feedback=FeedbackConfig(rounds=3))
        >>> simulate_feedback(pool, pool, config, seed=0).truth
        0.0
    """
    if not np.array_equal(control.items, treatment.items):
        raise DataError("the arms of a feedback loop must hold the same products for each user; only the look differs")
    learn = by_click_rate(config.feedback) if retrain is None else retrain
    user = np.random.default_rng(seed).integers(0, len(control.items), size=config.users)
    split = assign(range(config.users), f"{config.salt}:{seed}", config.allocation)
    arms = {"control": np.zeros_like(split), "treatment": np.ones_like(split), "test": split}
    worlds = {name: _World.of(control, treatment, config, user, arms[name]) for name in WORLDS}
    rounds = [_round(worlds, number, learn, seed) for number in range(config.feedback.rounds)]
    sums = {name: sum(r[name] for r in rounds) for name in ("control", "treatment", "test_control", "test_treatment")}
    return Feedback(
        tuple(rounds),
        _gain(sums["control"], sums["treatment"]),
        _gain(sums["test_control"], sums["test_treatment"]),
    )


def _gain(before: float, after: float) -> float | None:
    return float(after / before - 1) if before else None


def _round(worlds: Mapping[str, _World], number: int, learn: Retrain, seed: int) -> dict[str, float]:
    found: dict[str, float] = {"round": number + 1}
    for name, world in worlds.items():
        order = world.pages()
        before, after = world.expected(order)
        if name == "test":
            found |= {"test_control": before, "test_treatment": after}
        else:
            found[name] = before if name == "control" else after
        found |= {} if name == "test" else {f"top_share_{name}": world.concentration(order)}
        world.meet(order, number, seed)
        world.scores = np.asarray(learn(world.seen()), np.float64)
        if world.scores.shape != world.items.shape or np.isnan(world.scores[world.items >= 0]).any():
            raise DataError(f"retraining must answer {world.items.shape} scores without NaN, got {world.scores.shape}")
    return found


class _World:
    """One recommender and its customers; scores and counts change from round to round."""

    def __init__(self, items: Ints, odds: tuple[Floats, Floats], config: ABConfig, user: Ints, arm: Ints) -> None:
        self.items, self.odds, self.config, self.user, self.arm = items, odds, config, user, arm
        self.model = config.make_response()
        self.start = odds[0]
        self.scores = self.start
        self.weight = np.bincount(user, minlength=len(items)) / len(user)
        size = int(items.max(initial=-1)) + 1
        self.shown, self.clicked = np.zeros(size), np.zeros(size)

    @classmethod
    def of(cls, control: Arm, treatment: Arm, config: ABConfig, user: Ints, arm: Ints) -> _World:
        return cls(control.items, (control.odds(), treatment.odds()), config, user, arm)

    def pages(self) -> Ints:
        """(n_users, K) places in the pool, best first; ties by place in the pool."""
        scores = np.where(self.items >= 0, self.scores, -np.inf)
        return np.asarray(np.argsort(-scores, axis=1, kind="stable")[:, : self.config.slate])

    def expected(self, order: Ints) -> tuple[float, float]:
        """Clicks a customer if all were in control, and if all were in treatment."""
        pages = (np.take_along_axis(odds, order, axis=1) for odds in self.odds)
        before, after = (float(self.weight @ self.model.probability(page).sum(axis=1)) for page in pages)
        return before, after

    def concentration(self, order: Ints) -> float:
        """Share of impressions that the most shown tenth of the items has."""
        items = np.take_along_axis(self.items, order, axis=1)
        weight = np.broadcast_to(self.weight[:, None], items.shape)[items >= 0]
        shown = np.sort(np.bincount(items[items >= 0], weight, minlength=len(self.shown)))[::-1]
        return float(shown[: max(1, len(shown) // 10)].sum() / max(shown.sum(), 1e-300))

    def meet(self, order: Ints, number: int, seed: int) -> None:
        """Every customer comes once; counts grow by what was shown and clicked."""
        items = np.take_along_axis(self.items, order, axis=1)
        odds = [np.take_along_axis(o, order, axis=1) for o in self.odds]
        step = max(1, BLOCK // items.shape[1])
        for start in range(0, len(self.user), step):
            part = slice(start, start + step)
            who, listed = self.user[part], items[self.user[part]]
            page = np.where(self.arm[part, None] == 1, odds[1][who], odds[0][who])
            customer = np.arange(start, start + len(who))[:, None]
            clicks = self.model.clicks(page, own_luck(seed, MEETING, customer, np.array(number), listed + 1))
            there = listed >= 0
            self.shown += np.bincount(listed[there], minlength=len(self.shown))
            self.clicked += np.bincount(listed[there & clicks], minlength=len(self.shown))

    def seen(self) -> Seen:
        """For the recommender."""
        return Seen(self.items, self.start, self.shown.copy(), self.clicked.copy())
