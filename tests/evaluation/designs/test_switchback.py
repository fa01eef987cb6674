"""Blocks of time as units: carry-over is cut off, and intervals hold the truth though blocks have moods."""

import numpy as np
import pandas as pd
import pytest

from evaluation.designs.switchback import Switchback, rehearse_switchback
from evaluation.experiment.decision import analyze_log
from evaluation.experiment.plan import LogConfig, Plan, seconds
from evaluation.experiment.split import Split
from evaluation.inference import linearise, welch
from evaluation.response import PositionBased
from evaluation.simulate import Arm
from recsys.errors import ConfigError

ITEMS = np.tile(np.arange(4), (50, 1))
ODDS = np.random.default_rng(0).normal(-1.5, 0.5, ITEMS.shape)
ARMS = Arm("original", ITEMS, ODDS), Arm("stylised", ITEMS, ODDS + 0.3)
QUICK = Switchback(days=14, visits=1200, carry_over="1h", burn_in="1h", block_spread=0.5)
TESTS = 2000


def by_hand(log: pd.DataFrame, config: Switchback) -> tuple[Split, np.ndarray]:
    """The analysis without files: rows behind the burn-in, linearised in each arm, and their blocks."""
    passed = (log["shown_at"].to_numpy() - np.datetime64(config.start)) / np.timedelta64(1, "s")
    block = (passed // seconds(config.block)).astype(np.int64)
    kept = passed - block * seconds(config.block) >= seconds(config.burn_in)
    arm = (log["variant"].to_numpy() == "stylised").astype(np.int64)[kept]
    clicks, shown = (log[c].to_numpy(np.float64)[kept] for c in ("clicks", "impressions"))
    values = np.empty(kept.sum())
    for side in (0, 1):
        values[arm == side] = linearise(clicks[arm == side], shown[arm == side])
    return Split(arm, block[kept]), values


def test_intervals_cover_the_truth_and_those_of_visits_do_not() -> None:
    held = np.zeros(2)
    for seed in range(TESTS):
        test = rehearse_switchback(*ARMS, PositionBased(), QUICK, seed=seed)
        true = test.truth["click_through_rate"]["absolute"]
        split, values = by_hand(test.log, QUICK)
        for i, e in enumerate((welch(*split.moments(values)), welch(*Split(split.arm).moments(values)))):
            held[i] += e.low <= true <= e.high
    assert 0.93 <= held[0] / TESTS <= 0.97, held / TESTS
    assert held[1] / TESTS < 0.85, held / TESTS


def test_the_log_is_read_so() -> None:
    test = rehearse_switchback(*ARMS, PositionBased(), QUICK, seed=5)
    found = test.read()
    split, values = by_hand(test.log, QUICK)
    mine, theirs = welch(*split.moments(values)), found.analysis.deciding("goal")[0].estimate
    assert (theirs.absolute, theirs.n_control) == (pytest.approx(mine.absolute), mine.n_control)
    # Linearised by user and block there, by visit here: the same up to the block sums they are made of.
    assert theirs.standard_error == pytest.approx(mine.standard_error, rel=0.01)
    assert sum(found.analysis.counts) == QUICK.n_blocks


def test_without_burn_in_carry_over_pulls_the_estimate_to_zero() -> None:
    found = {}
    for burn_in in ("0s", "2h"):
        config = Switchback(days=14, visits=60_000, block="6h", carry_over="2h", burn_in=burn_in, block_spread=0)
        tests = [rehearse_switchback(*ARMS, PositionBased(), config, seed=seed) for seed in range(8)]
        estimates = [t.read().analysis.deciding("goal")[0].estimate.absolute for t in tests]
        true = float(np.mean([t.truth["click_through_rate"]["absolute"] for t in tests]))
        found[burn_in] = np.mean(estimates) / true
    assert found["2h"] == pytest.approx(1.0, abs=0.06)
    # A third of a block shows the arm of the block before, half of the time another one: 1/6 of either arm is wrong.
    assert found["0s"] == pytest.approx(1 - 2 / 6, abs=0.08)


def test_a_block_in_both_arms_withholds() -> None:
    test = rehearse_switchback(*ARMS, PositionBased(), QUICK, seed=5)
    wrong = Plan(test.plan.goals, log=LogConfig(**vars(test.plan.log) | {"block": "9h"}), design="switchback")
    found = analyze_log(test.log, wrong)
    assert found.decision.verdict == "withheld"
    assert "blocks of time were seen in both arms" in found.analysis.problems[0]


def test_blocks_are_fair_and_independent_coins() -> None:
    arms = np.stack([Switchback(days=60).assign(seed) for seed in range(200)])
    assert arms.mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(arms.size))
    switched = (arms[:, 1:] != arms[:, :-1]).mean()
    assert switched == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(arms.size))


def test_what_is_no_switchback_is_refused() -> None:
    with pytest.raises(ConfigError, match="4 blocks at least"):
        Switchback(days=1, block="12h")
    with pytest.raises(ConfigError, match="leaves nothing of a block"):
        LogConfig(time="t", start="2026-03-01", block="1h", burn_in="2h")
    with pytest.raises(ConfigError, match=r"needs log\.time"):
        Plan(rehearse_switchback(*ARMS, PositionBased(), QUICK).plan.goals, design="switchback")
    with pytest.raises(ConfigError, match="a duration is a number"):
        seconds("soon")
