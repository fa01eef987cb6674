"""Switching everybody to and fro in blocks of time: for what customers share, such as stock, prices and each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.designs.assignment import assign
from evaluation.designs.rehearsal import CLICK_RATE, RATE, Rehearsal, check_arms, check_size, odds_of, rates
from evaluation.experiment.plan import LogConfig, Plan, seconds
from evaluation.response import ResponseModel
from evaluation.simulate import Arm
from recsys.errors import ConfigError

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Switchback:
    """A test in blocks of time.

    Attributes:
        days: How long it runs.
        block: Length of a block; a hash of its number draws its arm.
        burn_in: First part of a block that the analysis leaves out; where it is shorter than the carry-over, the
            estimate leans to 0.
        start: First moment, an ISO date or time.
        allocation: Chance of a block to be in treatment.
        salt: Of the assignment.
        visits: Page views in all, for a simulation.
        carry_over: For so long after a switch, visitors still respond to the arm before; assumed.
        block_spread: Standard deviation of the log-odds that a block's visitors share, such as the weather's; assumed.
    """

    days: int = 28
    block: str = "6h"
    burn_in: str = "1h"
    start: str = "2026-03-01"
    allocation: float = 0.5
    salt: str = "stylerec"
    visits: int = 40_000
    carry_over: str = "30min"
    block_spread: float = 0.2

    def __post_init__(self) -> None:
        check_size(days=self.days, visits=self.visits)
        if self.n_blocks < 4 or not self.block_spread >= 0:
            raise ConfigError(
                f"a switchback needs 4 blocks at least and block_spread >= 0, got {self.days} days of {self.block} "
                f"blocks and {self.block_spread}; 40 blocks or more are usual"
            )

    @property
    def n_blocks(self) -> int:
        """Whole blocks within the test.

        Example:
            >>> Switchback(days=7, block="6h").n_blocks
            28
        """
        return int(self.days * 86400 // seconds(self.block))

    def assign(self, seed: int = 0) -> Ints:
        """(n_blocks,) arm of each block, a coin of its own for each.

        Bojinov, Simchi-Levi and Zhao, Design and analysis of switchback experiments, 2023.

        Example:
            >>> Switchback(days=2).assign().tolist()
            [1, 1, 0, 1, 1, 1, 1, 0]
        """
        return assign(range(self.n_blocks), f"{self.salt}:{seed}", self.allocation)


def rehearse_switchback(
    control: Arm, treatment: Arm, response: ResponseModel, config: Switchback | None = None, *, seed: int = 0
) -> Rehearsal:
    """Simulate a switchback: visits fall evenly over time, and each meets the arm of its block.

    Args:
        control: What each study user is shown without the look.
        treatment: The same items in the same places, with it.
        response: How pages are clicked.
        config: Blocks and assumptions.
        seed: Of visitors, blocks' moods and luck, and part of the assignment's salt.

    Returns:
        A log with one row a visit, and the truth of showing always one arm, with these visitors and moods.

    Raises:
        DataError: Arms that list other items.

    Example:
        >>> from evaluation.response import PositionBased
        >>> items = np.tile(np.arange(5), (50, 1))
        >>> arms = Arm("original", items, np.full((50, 5), -2.0)), Arm("stylised", items, np.full((50, 5), -1.8))
        >>> test = rehearse_switchback(*arms, PositionBased(), Switchback(visits=2000))
        >>> test.plan.design, list(test.log.columns)
        ('switchback', ['user_id', 'shown_at', 'variant', 'impressions', 'clicks'])
    """
    config = Switchback() if config is None else config
    check_arms([control, treatment], same_items=True)
    rng, block_s = np.random.default_rng(seed), seconds(config.block)
    user = rng.integers(0, len(control.items), config.visits)
    time = np.sort(rng.random(config.visits)) * config.n_blocks * block_s
    mood = rng.normal(0, config.block_spread, config.n_blocks)
    arm, block = config.assign(seed), (time // block_s).astype(np.int64)
    felt = arm[np.maximum((time - seconds(config.carry_over)) // block_s, 0).astype(np.int64)]
    odds = [odds_of(side)[user] + mood[block][:, None] for side in (control, treatment)]
    clicks = response.clicks(np.where(felt[:, None] == 1, odds[1], odds[0]), rng)
    shown = (control.items >= 0).sum(axis=1)[user]
    log = pd.DataFrame(
        {
            "user_id": user,
            "shown_at": pd.Timestamp(config.start) + pd.to_timedelta(time, unit="s"),
            "variant": np.asarray([control.name, treatment.name], object)[arm[block]],
            "impressions": shown,
            "clicks": clicks.sum(axis=1),
        }
    )
    truth = rates([response.probability(o) for o in odds], float(shown.sum()))
    return Rehearsal(log, _plan(control, treatment, config), truth)


def _plan(control: Arm, treatment: Arm, config: Switchback) -> Plan:
    log = LogConfig(
        arm="variant",
        control=control.name,
        treatment=treatment.name,
        time="shown_at",
        start=config.start,
        rows="visits",
        block=config.block,
        burn_in=config.burn_in,
    )
    return Plan({CLICK_RATE: RATE}, log=log, design="switchback", allocation=config.allocation)
