"""A randomised test with known truth: both arms are simulated for everybody, with the same luck."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.clicks import click_probability
from recsys.errors import ConfigError, DataError


@dataclass(frozen=True)
class ABConfig:
    """A simulated user-side test.

    Attributes:
        users: Customers in the test, drawn with replacement from the study's.
        style_effect: Assumed average shift of a click's log-odds when a product is shown in a look.
        recognisability_penalty: Log-odds lost per unit of 1 - cosine between presentation and original.
        slate: Products on a page.
        sessions: Mean pages a customer sees during the test, >= 1 (1 + Poisson).
        pre_sessions: Mean pages before it, under the original (for CUPED).
        base_click_rate: Average probability of a click on a product that is looked at.
        position_bias: Rank r is looked at with probability 1 / r^position_bias.
        allocation: Share of customers in treatment.
        alpha: Significance level, two-sided.
        salt: Of the assignment hash.
    """

    users: int = 20000
    style_effect: float = 0.1
    recognisability_penalty: float = 0.5
    slate: int = 10
    sessions: float = 4.0
    pre_sessions: float = 4.0
    base_click_rate: float = 0.15
    position_bias: float = 1.0
    allocation: float = 0.5
    alpha: float = 0.05
    salt: str = "stylerec"

    def __post_init__(self) -> None:
        for name, low in (("users", 2), ("slate", 1), ("sessions", 1), ("pre_sessions", 0), ("position_bias", 0)):
            if getattr(self, name) < low:
                raise ConfigError(f"ab.{name} must be >= {low}, got {getattr(self, name)}")
        for name in ("base_click_rate", "allocation", "alpha"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"ab.{name} must be between 0 and 1, got {getattr(self, name)}")
        if not (np.isfinite(self.style_effect) and np.isfinite(self.recognisability_penalty)):
            raise ConfigError("ab.style_effect and ab.recognisability_penalty must be finite numbers")


@dataclass(frozen=True, eq=False)
class Arm:
    """What an arm shows each study user, and how attractive it is there.

    Attributes:
        name: For people.
        items: (n_users, K) item indices, -1 empty.
        log_odds: (n_users, K) of a click on a product that is looked at.
    """

    name: str
    items: npt.NDArray[np.int64]
    log_odds: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.items.shape != self.log_odds.shape or self.items.ndim != 2:
            raise DataError(f"arm {self.name!r}: items {self.items.shape} and log_odds {self.log_odds.shape} must be one (n, K)")
        if not np.isfinite(self.log_odds[self.items >= 0]).all():
            raise DataError(f"arm {self.name!r} has NaN or infinite log-odds")

    def click_probability(self, eta: float) -> npt.NDArray[np.float64]:
        """(n_users, K), 0 in empty places."""
        return np.where(self.items >= 0, click_probability(self.log_odds.astype(np.float64), eta), 0.0)


@dataclass(frozen=True, eq=False)
class Simulation:
    """What a simulated test logged, and the truth it cannot see.

    Attributes:
        users: One row a customer: user_idx, arm (0 control, 1 treatment), sessions, impressions, clicks, pre_sessions,
            pre_clicks, pre_impressions.
        truth: Metric → control, treatment, absolute, relative: exact expectations over these customers.
    """

    users: pd.DataFrame
    truth: Mapping[str, Mapping[str, float]]


def assign(units: npt.NDArray[np.int64], salt: str, allocation: float) -> npt.NDArray[np.int64]:
    """Treatment (1) or control (0) by a salted hash: the same on every machine, independent between salts.

    Example:
        >>> bool(0.48 < assign(np.arange(10000), "spring", 0.5).mean() < 0.52)
        True
    """
    prefix = hashlib.blake2b(salt.encode(), digest_size=16)
    share = np.empty(len(units))
    for i, unit in enumerate(units.tolist()):
        digest = prefix.copy()
        digest.update(b":%d" % unit)
        share[i] = int.from_bytes(digest.digest()[:7], "big") / 2**56
    return (share < allocation).astype(np.int64)


def simulate(control: Arm, treatment: Arm, config: ABConfig, *, seed: int, block: int = 20000) -> Simulation:
    """Run the test once.

    Every customer meets both arms with the same uniform number for each session and rank (common random numbers); the
    log holds the arm they were assigned to. Memory is bounded by ``block`` customers.

    Args:
        control: Shows originals.
        treatment: Shows the looks; the same users in the same order.
        config: Sizes and rates.
        seed: Of customers, sessions and luck.
        block: Customers simulated at once.

    Raises:
        DataError: The arms differ in shape.
    """
    if control.items.shape != treatment.items.shape:
        raise DataError(f"arms must cover the same users and ranks, got {control.items.shape} and {treatment.items.shape}")
    p0, p1 = (arm.click_probability(config.position_bias) for arm in (control, treatment))
    shown = np.stack([(arm.items >= 0).sum(axis=1) for arm in (control, treatment)])
    rng = np.random.default_rng(seed)
    user = rng.integers(0, len(p0), size=config.users)
    arm = assign(np.arange(config.users), f"{config.salt}:{seed}", config.allocation)
    sessions = 1 + rng.poisson(config.sessions - 1, size=config.users)
    before = rng.poisson(config.pre_sessions, size=config.users)
    clicks, pre_clicks = np.empty(config.users, np.int64), np.empty(config.users, np.int64)
    for start in range(0, config.users, block):
        part = slice(start, start + block)
        both = _count(sessions[part], (p0[user[part]], p1[user[part]]), rng)
        clicks[part] = np.where(arm[part] == 1, both[1], both[0])
        pre_clicks[part] = _count(before[part], (p0[user[part]],), rng)[0]
    frame = pd.DataFrame({"user_idx": user, "arm": arm, "sessions": sessions, "clicks": clicks, "pre_sessions": before, "pre_clicks": pre_clicks})
    frame["impressions"] = sessions * shown[arm, user]
    frame["pre_impressions"] = before * shown[0, user]
    return Simulation(frame, _truth(user, sessions, p0, p1, shown))


def _count(sessions: npt.NDArray[np.int64], arms: tuple[npt.NDArray[np.float64], ...], rng: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """Clicks of each customer in each arm, with one uniform number a session and rank for all arms."""
    owner = np.repeat(np.arange(len(sessions)), sessions)
    found = [np.zeros(len(sessions), np.int64) for _ in arms]
    for start in range(0, len(owner), 65536):
        who = owner[start : start + 65536]
        luck = rng.random((len(who), arms[0].shape[1]), dtype=np.float32)
        for probability, out in zip(arms, found, strict=True):
            out += np.bincount(who, weights=(luck < probability[who]).sum(axis=1), minlength=len(sessions)).astype(np.int64)
    return found


def _truth(
    user: npt.NDArray[np.int64],
    sessions: npt.NDArray[np.int64],
    p0: npt.NDArray[np.float64],
    p1: npt.NDArray[np.float64],
    shown: npt.NDArray[np.int64],
) -> dict[str, dict[str, Any]]:
    """Exact expectations: of a customer's clicks, and of clicks over impressions."""
    expected = [(p.sum(axis=1)[user] * sessions) for p in (p0, p1)]
    impressions = [(s[user] * sessions) for s in shown]
    return {
        "clicks_per_user": _effect(expected[0].mean(), expected[1].mean()),
        "click_through_rate": _effect(expected[0].sum() / impressions[0].sum(), expected[1].sum() / impressions[1].sum()),
    }


def _effect(control: float, treatment: float) -> dict[str, Any]:
    relative = float(treatment / control - 1) if control else None
    return {"control": float(control), "treatment": float(treatment), "absolute": float(treatment - control), "relative": relative}
