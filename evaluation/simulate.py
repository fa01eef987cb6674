"""A randomised test with known truth: both arms are simulated for everybody, with the same luck."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.clicks import click_probability
from evaluation.designs.assignment import assign
from evaluation.experiment.metrics import GOALS
from evaluation.experiment.plan import LogConfig, Plan
from recsys.errors import ConfigError, DataError, unknown_name

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
SIDES = ("control", "treatment")
BUDGET = 1 << 20
"""Uniform numbers held at once, about: memory does not grow with the customers beyond their table."""


@dataclass(frozen=True)
class ABConfig:
    """A user-side test: how it is simulated, and how any log of it, real ones too, is read.

    Attributes:
        users: Customers in the test, drawn with replacement from the study's.
        style_effect: Assumed average shift of a click's log-odds when a product is shown in a look.
        recognisability_penalty: Log-odds lost per unit of recognisability lost (1 - SSIM inside it), >= 0.
        slate: Products on a page.
        sessions: Mean pages a customer sees during the test, >= 1: 1 + Poisson.
        pre_sessions: Mean pages before it, under the original, for CUPED; 0 for no such period.
        activity_spread: Standard deviation, as a share of the mean, of customers' own rates of sessions
            (gamma); the same rate holds before and during the test. 0: all alike.
        base_click_rate: Average probability of a click on a product that is looked at.
        position_bias: Rank r is looked at with probability 1 / r^position_bias.
        allocation: Share of customers in treatment.
        alpha: Significance level, two-sided; intervals cover 1 - alpha.
        goals: What decides, of clicks_per_user, click_through_rate, sessions_with_click; several are
            Holm-adjusted.
        guardrails: What must not get worse.
        guardrail_margin: Relative loss that a guardrail may show, >= 0.
        srm_alpha: A sample ratio p-value below this withholds the verdict.
        salt: Of the assignment hash.
    """

    users: int = 20000
    style_effect: float = 0.1
    recognisability_penalty: float = 0.5
    slate: int = 10
    sessions: float = 4.0
    pre_sessions: float = 4.0
    activity_spread: float = 0.5
    base_click_rate: float = 0.15
    position_bias: float = 1.0
    allocation: float = 0.5
    alpha: float = 0.05
    goals: tuple[str, ...] = ("clicks_per_user",)
    guardrails: tuple[str, ...] = ("sessions_with_click",)
    guardrail_margin: float = 0.0
    srm_alpha: float = 0.001
    salt: str = "stylerec"

    def __post_init__(self) -> None:
        for name, low in _AT_LEAST.items():
            if not low <= getattr(self, name) < np.inf:
                raise ConfigError(f"ab.{name} must be a number >= {low}, got {getattr(self, name)}")
        for name in ("base_click_rate", "allocation", "alpha", "srm_alpha"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"ab.{name} must be between 0 and 1, both excluded, got {getattr(self, name)}")
        if not np.isfinite(self.style_effect):
            raise ConfigError(f"ab.style_effect must be a finite number, got {self.style_effect}; 0.1 is usual")
        for name in (*self.goals, *self.guardrails):
            if name not in GOALS:
                raise ConfigError(unknown_name("goal in ab.goals or ab.guardrails", name, GOALS))
        named = [*self.goals, *self.guardrails]
        if not self.goals or len(set(named)) < len(named):
            raise ConfigError(f"ab needs a goal, and each goal or guardrail once, got {named}; name every metric once")

    def plan(self, *, segments: tuple[str, ...] = ()) -> Plan:
        """How a log of this test is read: one look; metrics that do not decide are reported.

        Example:
            >>> list(ABConfig().plan().guardrails)
            ['sessions_with_click']
        """
        named = {*self.goals, *self.guardrails}
        return Plan(
            goals={name: GOALS[name] for name in self.goals},
            guardrails={name: replace(GOALS[name], margin=self.guardrail_margin) for name in self.guardrails},
            others={name: metric for name, metric in GOALS.items() if name not in named},
            log=LogConfig(segments=segments),
            allocation=self.allocation,
            alpha=self.alpha,
            srm_alpha=self.srm_alpha,
        )


_AT_LEAST = {"users": 2, "slate": 1, "sessions": 1, "pre_sessions": 0, "activity_spread": 0} | {
    "position_bias": 0,
    "recognisability_penalty": 0,
    "guardrail_margin": 0,
}


@dataclass(frozen=True, eq=False)
class Arm:
    """What an arm shows each study user, and how attractive it is there.

    Attributes:
        name: For people.
        items: (n_users, K) item indices, -1 empty.
        log_odds: (n_users, K) of a click on a product that is looked at; anything in empty places.
    """

    name: str
    items: Ints
    log_odds: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        shapes = f"arm {self.name!r}: items {self.items.shape} and log_odds {self.log_odds.shape}"
        if self.items.shape != self.log_odds.shape or self.items.ndim != 2:
            raise DataError(f"{shapes} must be one (n_users, K)")
        if 0 in self.items.shape:
            raise DataError(f"{shapes} show nobody anything; the study needs a user and a slate")
        if not np.isfinite(self.log_odds[self.items >= 0]).all():
            raise DataError(f"arm {self.name!r} has NaN or infinite log-odds where an item is shown")

    def click_probability(self, eta: float) -> Floats:
        """(n_users, K), 0 in empty places."""
        log_odds = np.where(self.items >= 0, self.log_odds.astype(np.float64), -np.inf)
        return np.asarray(click_probability(log_odds, eta))


@dataclass(frozen=True, eq=False)
class Simulation:
    """What a simulated test logged, and the truth that no log can show.

    Attributes:
        users: One row a customer: unit, user_idx, arm (0 control, 1 treatment), sessions, impressions,
            clicks, sessions_with_click, and where there was a period before, the same four counts of it
            with the prefix ``pre_``.
        potential: The same rows in either arm: ``<count>_control`` and ``<count>_treatment``; ``users`` shows
            one of them.
        truth: Metric → control, treatment, absolute, relative: expectations of the model over these
            customers, in closed form (sessions, luck and assignment averaged out; which customers came is
            given).
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
    size follows from ``config``.

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
    chance = [arm.click_probability(config.position_bias) for arm in (control, treatment)]
    shown = np.stack([(arm.items >= 0).sum(axis=1) for arm in (control, treatment)]).astype(np.int64)
    rng = np.random.default_rng(seed)
    user = rng.integers(0, len(chance[0]), size=config.users)
    sessions, before = _sessions(config, rng)
    arm = assign(range(config.users), f"{config.salt}:{seed}", config.allocation)
    counts = _both_fates(chance, user, sessions, before, seed)
    # Each (3, n): in control, in treatment, before the test.
    log = {
        "sessions": np.stack([sessions, sessions, before]),
        "impressions": np.stack([shown[0, user] * sessions, shown[1, user] * sessions, shown[0, user] * before]),
        "clicks": counts[0],
        "sessions_with_click": counts[1],
    }
    drawn = {"unit": np.arange(config.users), "user_idx": user, "arm": arm}
    seen = {name: np.where(arm == 1, v[1], v[0]) for name, v in log.items()}
    past = {f"pre_{name}": v[2] for name, v in log.items()} if config.pre_sessions > 0 else {}
    potential = {f"{name}_{side}": v[i] for name, v in log.items() for i, side in enumerate(SIDES)}
    realised = _effects({name: v[:2].mean(axis=1) for name, v in log.items()})
    expected = _expectations(chance, shown, user, config.sessions)
    return Simulation(pd.DataFrame(drawn | seen | past), pd.DataFrame(potential), expected, realised)


def _sessions(config: ABConfig, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Sessions during and before the test; a customer's own rate drives both."""
    rate = np.ones(config.users)
    if config.activity_spread > 0:
        shape = config.activity_spread**-2
        rate = rng.gamma(shape, 1 / shape, size=config.users)
    return 1 + rng.poisson((config.sessions - 1) * rate), rng.poisson(config.pre_sessions * rate)


def _both_fates(chance: list[Floats], user: Ints, sessions: Ints, before: Ints, seed: int) -> Ints:
    """(2, 3, n): clicks, and sessions with one, of each customer in control, in treatment, and before.

    Every block of customers has a generator of its own; its size depends on what each customer costs, so that
    no block holds many more than ``BUDGET`` uniform numbers.
    """
    found = np.zeros((2, 3, len(user)), np.int64)
    tables = [np.ascontiguousarray(p.T, dtype=np.float32) for p in chance]
    cost = np.cumsum((sessions + before) * len(tables[0]))
    edges = np.searchsorted(cost, np.arange(BUDGET, cost[-1] + BUDGET, BUDGET), side="left") + 1
    for block, (start, stop) in enumerate(zip([0, *edges[:-1]], edges, strict=True)):
        part = slice(int(start), int(min(stop, len(user))))
        rng = np.random.default_rng([seed, block])
        found[:, :2, part] = _count(tables, user[part], sessions[part], rng)
        found[:, 2:, part] = _count(tables[:1], user[part], before[part], rng)
    return found


def _count(tables: list[npt.NDArray[np.float32]], user: Ints, sessions: Ints, rng: np.random.Generator) -> Ints:
    """(2, n_arms, n) clicks, and sessions with one; one uniform number a session and rank serves all arms.

    Ranks are the outer loop and sessions lie side by side, because K is small and sessions are many.
    """
    who = np.repeat(user, sessions)
    ends = np.cumsum(sessions)
    luck = rng.random((len(tables[0]), len(who)), dtype=np.float32)
    found = np.empty((2, len(tables), len(user)), np.int64)
    for i, table in enumerate(tables):
        clicks = np.zeros(len(who), np.int32)
        for draw, probability in zip(luck, table, strict=True):
            clicks += draw < probability[who]
        for j, values in enumerate((clicks, clicks > 0)):
            running = np.concatenate([[0], np.cumsum(values)])
            found[j, i] = running[ends] - running[ends - sessions]
    return found


def _expectations(chance: list[Floats], shown: Ints, user: Ints, sessions: float) -> dict[str, dict[str, float | None]]:
    """Closed form: a session has Σ p clicks and any with 1 - Π (1 - p); its count is independent of taste."""
    weight = np.bincount(user, minlength=len(chance[0])) / len(user)
    means = {
        "clicks": [sessions * float(weight @ p.sum(axis=1)) for p in chance],
        "sessions_with_click": [sessions * float(weight @ (1 - np.prod(1 - p, axis=1))) for p in chance],
        "sessions": [sessions, sessions],
        "impressions": [sessions * float(weight @ n) for n in shown],
    }
    return _effects({name: np.asarray(values) for name, values in means.items()})


def _effects(means: Mapping[str, npt.NDArray[Any]]) -> dict[str, dict[str, float | None]]:
    """Mean counts in (control, treatment) → every metric's effect; none where a denominator is 0."""
    found: dict[str, dict[str, float | None]] = {}
    for name, goal in GOALS.items():
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
