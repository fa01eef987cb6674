"""A randomised test with known truth: both arms are simulated for everybody, with the same luck."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gammaincinv

from evaluation.ab_config import ABConfig
from evaluation.designs.assignment import assign
from evaluation.experiment.metrics import Metric
from evaluation.response.fates import OWN, Customers, Pages, Period, expected_counts
from evaluation.response.luck import own_luck, poisson_quantile
from recsys.errors import DataError

__all__ = ["ABConfig", "Arm", "Simulation", "simulate"]

Ints = npt.NDArray[np.int64]
Counts = dict[str, npt.NDArray[Any]]
SIDES = ("control", "treatment")
BUDGET = 1 << 20
"""Uniform numbers held at once, about: memory does not grow with the customers beyond their table."""


@dataclass(frozen=True, eq=False)
class Arm:
    """What an arm shows each study user, and how attractive it is there.

    Attributes:
        name: For people.
        items: (n_users, K) item indices, -1 empty.
        log_odds: (n_users, K) of a click on a product that is looked at; anything in empty places.
        look: (n_users, K) whether the product is shown in a look, for what changes from visit to visit; None: nowhere.
        loss: (n_users, K) recognisability loss of what is shown, >= 0, for returns; None: 0.
        price: (n_users, K) of the product, for revenue; None: 1.
    """

    name: str
    items: Ints
    log_odds: npt.NDArray[np.float32]
    look: npt.NDArray[np.bool_] | None = None
    loss: npt.NDArray[np.floating] | None = None
    price: npt.NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        shapes = f"arm {self.name!r}: items {self.items.shape} and log_odds {self.log_odds.shape}"
        if self.items.shape != self.log_odds.shape or self.items.ndim != 2:
            raise DataError(f"{shapes} must be one (n_users, K)")
        if 0 in self.items.shape:
            raise DataError(f"{shapes} show nobody anything; the study needs a user and a slate")
        if not np.isfinite(self.log_odds[self.items >= 0]).all():
            raise DataError(f"arm {self.name!r} has NaN or infinite log-odds where an item is shown")
        for name in ("look", "loss", "price"):
            values = getattr(self, name)
            if values is not None and values.shape != self.items.shape:
                raise DataError(f"{shapes} need a {name} of that shape, got {values.shape}")
            if values is not None and name != "look" and not (values[self.items >= 0] >= 0).all():
                raise DataError(f"arm {self.name!r} has a {name} below 0 or NaN where an item is shown")

    def odds(self) -> npt.NDArray[np.float64]:
        """(n_users, K) log-odds, -inf in empty places."""
        return np.where(self.items >= 0, self.log_odds.astype(np.float64), -np.inf)

    def pages(self, config: ABConfig) -> Pages:
        """What the simulator works with."""
        shown = self.items >= 0
        zero, one = np.zeros(self.items.shape), np.ones(self.items.shape)
        return Pages.of(
            config.make_response(),
            self.odds(),
            look=shown & (np.zeros(shown.shape, bool) if self.look is None else self.look),
            buying=None if config.purchases.is_off else config.purchases.buying(self.odds(), config.base_click_rate),
            returning=config.purchases.returning(np.where(shown, zero if self.loss is None else self.loss, 0)),
            price=np.where(shown, one if self.price is None else self.price, 0),
        )


@dataclass(frozen=True, eq=False)
class Simulation:
    """What a simulated test logged, and the truth that no log can show.

    Attributes:
        users: One row a customer: unit, user_idx, arm (0 control, 1 treatment), sessions, impressions,
            clicks, sessions_with_click, with purchases on also purchases, revenue, returns and net_revenue, and where
            there was a period before, the same counts of it with the prefix ``pre_``.
        potential: The same rows in either arm: ``<count>_control`` and ``<count>_treatment``; ``users`` shows
            one of them.
        truth: Metric → control, treatment, absolute, relative: expectations of the model over these
            customers, in closed form (luck and assignment averaged out; which customers came is given). Sessions are
            averaged out, too, unless customers change from visit to visit; then each customer's sessions and tastes are
            given.
        realised: The same of ``potential``: the difference everybody's two fates made, known to the simulator
            alone.
    """

    users: pd.DataFrame
    potential: pd.DataFrame
    truth: Mapping[str, Mapping[str, float | None]]
    realised: Mapping[str, Mapping[str, float | None]]


def simulate(control: Arm, treatment: Arm, config: ABConfig, *, seed: int) -> Simulation:
    """Run the test once.

    Every customer meets both arms with the same uniform number for each session and rank (common random
    numbers); the log holds the arm they were assigned to. Memory is bounded by blocks of customers, whose
    size follows from ``config``. A customer's tastes and luck with purchases depend on ``seed`` and on the customer
    alone, with ``seeded_by="customer"`` all of it.

    The simulator assumes the effect of styling: it validates the analysis, not the styling.

    Args:
        control: Shows originals.
        treatment: Shows the looks; the same users in the same order.
        config: Sizes and rates; ``slate`` describes the arms and is not applied to them here.
        seed: Of customers, sessions and luck, and part of the assignment's salt.

    Raises:
        DataError: The arms differ in shape.
    """
    if control.items.shape != treatment.items.shape:
        shapes = f"{control.items.shape} and {treatment.items.shape}"
        raise DataError(f"arms must cover the same users and ranks, got {shapes}")
    pages = [arm.pages(config) for arm in (control, treatment)]
    user, sessions, before = (_own_customers if config.seeded_by == "customer" else _customers)(config, pages, seed)
    arm = assign(range(config.users), f"{config.salt}:{seed}", config.allocation)
    log, changing = _both_fates(pages, Customers(user, seed, config), sessions, before)
    drawn = {"unit": np.arange(config.users), "user_idx": user, "arm": arm}
    seen = {name: np.where(arm == 1, v[1], v[0]) for name, v in log.items()}
    past = {f"pre_{name}": v[2] for name, v in log.items()} if config.pre_sessions > 0 else {}
    potential = {f"{name}_{side}": v[i] for name, v in log.items() for i, side in enumerate(SIDES)}
    realised = _effects({name: v[:2].mean(axis=1) for name, v in log.items()}, config.metrics)
    expected = changing if changing is not None else _closed_form(pages, user, config.sessions)
    truth = _effects(expected, config.metrics)
    return Simulation(pd.DataFrame(drawn | seen | past), pd.DataFrame(potential), truth, realised)


def _customers(config: ABConfig, pages: list[Pages], seed: int) -> tuple[Ints, Ints, Ints]:
    """Study user, sessions during and before the test; a customer's own rate drives both."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, pages[0].users, size=config.users)
    rate = np.ones(config.users)
    if config.activity_spread > 0:
        shape = config.activity_spread**-2
        rate = rng.gamma(shape, 1 / shape, size=config.users)
    return user, 1 + rng.poisson((config.sessions - 1) * rate), rng.poisson(config.pre_sessions * rate)


def _own_customers(config: ABConfig, pages: list[Pages], seed: int) -> tuple[Ints, Ints, Ints]:
    """The same by quantiles of each customer's own luck."""
    who, pace, now, past = (own_luck(seed, OWN, np.arange(config.users), np.array(part)) for part in range(4))
    user = np.minimum((who * pages[0].users).astype(np.int64), pages[0].users - 1)
    shape = max(config.activity_spread, 1e-6) ** -2
    rate = np.asarray(gammaincinv(shape, pace) / shape) if config.activity_spread > 0 else np.ones(config.users)
    return (
        user,
        1 + poisson_quantile(now, (config.sessions - 1) * rate),
        poisson_quantile(past, config.pre_sessions * rate),
    )


def _both_fates(pages: list[Pages], customers: Customers, sessions: Ints, before: Ints) -> tuple[Counts, Counts | None]:
    """Counts of each customer as (3, n): in control, in treatment, before; and (2,) what was expected of either arm.

    Every block of customers has a generator of its own; its size depends on what each customer costs, so that
    no block holds many more than ``BUDGET`` uniform numbers. What is expected is None where every visit is alike.
    """
    n, places = len(sessions), pages[0].places
    shown = np.stack([pages[i].shown[customers.user] for i in (0, 1, 0)])
    log: Counts = {"sessions": np.stack([sessions, sessions, before])}
    log["impressions"] = shown * log["sessions"]
    log |= {name: np.zeros((3, n), dtype) for name, dtype in customers.counted.items()}
    expected: Counts = {name: np.zeros(2) for name in customers.counted}
    cost = np.cumsum((sessions + before) * places)
    edges = np.searchsorted(cost, np.arange(BUDGET, cost[-1] + BUDGET, BUDGET), side="left") + 1
    for block, (start, stop) in enumerate(zip([0, *edges[:-1]], edges, strict=True)):
        part = slice(int(start), int(min(stop, n)))
        rng = np.random.default_rng([customers.seed, block])
        for sides, visits, period in (((0, 1), sessions, "test"), ((2,), before, "before")):
            now = Period.of(customers, part, visits[part], places, rng, before=period == "before")
            for side in sides:
                counts, chance = now.meet(pages[side % 2])
                for name, values in counts.items():
                    log[name][side, part] = values
                if chance is not None and side < 2:
                    for name, value in chance.items():
                        expected[name][side] += value / n
    if customers.config.visits.is_off:
        return log, None
    return log, expected | {name: log[name][:2].mean(axis=1) for name in ("sessions", "impressions")}


def _closed_form(pages: list[Pages], user: Ints, sessions: float) -> Counts:
    """What is expected of a customer in either arm where every visit is alike: sessions are independent of taste."""
    weight = np.bincount(user, minlength=pages[0].users) / len(user)
    each = [{name: sessions * float(weight @ v) for name, v in expected_counts(p).items()} for p in pages]
    found: Counts = {name: np.asarray([side[name] for side in each]) for name in each[0]}
    impressions = np.asarray([sessions * float(weight @ p.shown) for p in pages])
    return found | {"sessions": np.full(2, sessions), "impressions": impressions}


def _effects(means: Mapping[str, npt.NDArray[Any]], metrics: Mapping[str, Metric]) -> dict[str, dict[str, Any]]:
    """Mean counts in (control, treatment) → every metric's effect; none where a denominator is 0."""
    found: dict[str, dict[str, Any]] = {}
    for name, goal in metrics.items():
        below = np.ones(2) if goal.denominator is None else means[goal.denominator]
        if (below > 0).all():
            control, treatment = (float(v) for v in means[goal.numerator] / below)
            relative = treatment / control - 1 if control else None
            found[name] = {
                "control": control,
                "treatment": treatment,
                "absolute": treatment - control,
                "relative": relative,
            }
    return found
