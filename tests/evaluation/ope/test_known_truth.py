"""Synthetic bandits with known truth: bias within Monte-Carlo error, coverage, and who is sharper than whom."""

from __future__ import annotations

import numpy as np
import pytest
from bandit_worlds import CascadeWorld, World, grouped_world, make_world
from scipy import stats

from evaluation.ope import BanditLog, OPEConfig, SlateLog, Uniform, evaluate_policy, evaluate_slates
from evaluation.ope.evaluate import group_actions
from evaluation.ope.policies import Table, logged_policy
from evaluation.ope.result import OffPolicyResult

LOGS, ROUNDS = 600, 2000
UNBIASED = ("ipw", "snipw", "dr", "sndr")


def column(found: list[OffPolicyResult], estimator: str) -> np.ndarray:
    """(logs, 3) value, low, high."""
    return np.array([[r[estimator].value, r[estimator].low, r[estimator].high] for r in found])


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def judged(world: World) -> list[OffPolicyResult]:
    """Many logs of one world."""
    rng, policy = np.random.default_rng(1), world.policy()
    config = OPEConfig(("ipw", "snipw", "dm", "dr", "sndr", "switch-dr", "dros"))
    return [
        evaluate_policy(world.log(ROUNDS, rng), policy, config, action_features=world.embedding) for _ in range(LOGS)
    ]


@pytest.mark.parametrize("estimator", UNBIASED)
def test_the_bias_is_no_more_than_chance(world: World, judged: list[OffPolicyResult], estimator: str) -> None:
    """Oracle: the truth in closed form. Self-normalised ratios have a bias of order 1/n, here below 1 % of an error."""
    values = column(judged, estimator)[:, 0]
    assert abs(values.mean() - world.truth) < 3.5 * values.std(ddof=1) / np.sqrt(LOGS)


@pytest.mark.parametrize("estimator", UNBIASED)
def test_intervals_cover_the_truth(world: World, judged: list[OffPolicyResult], estimator: str) -> None:
    _, low, high = column(judged, estimator).T
    assert 0.93 <= ((low <= world.truth) & (world.truth <= high)).mean() <= 0.97


def test_standard_errors_are_the_spread_of_the_estimates(judged: list[OffPolicyResult]) -> None:
    for estimator in UNBIASED:
        claimed = np.mean([r[estimator].standard_error for r in judged])
        # The spread's own error is 1 / √(2 × logs) = 2.9 %.
        assert claimed == pytest.approx(column(judged, estimator)[:, 0].std(ddof=1), rel=0.1), estimator


def test_a_good_model_makes_dr_sharper_than_ipw(judged: list[OffPolicyResult]) -> None:
    spread = {name: column(judged, name)[:, 0].var() for name in ("ipw", "dr")}
    assert spread["dr"] < 0.8 * spread["ipw"]


def test_a_wrong_model_leaves_dr_unbiased_and_dm_biased(world: World) -> None:
    """Double robustness: no action features, no context; DM sees one rate an action, DR still has its propensities."""
    rng, policy, found = np.random.default_rng(2), world.policy(), []
    for _ in range(200):
        log = world.log(ROUNDS, rng)
        found.append(evaluate_policy(log, policy, OPEConfig(("dm", "dr"))))
    dm, dr = (column(found, name)[:, 0] for name in ("dm", "dr"))
    assert abs(dr.mean() - world.truth) < 3.5 * dr.std(ddof=1) / np.sqrt(len(dr))
    assert abs(dm.mean() - world.truth) > 6 * dm.std(ddof=1) / np.sqrt(len(dm))


def test_bounded_weights_lose_less_than_they_gain(world: World) -> None:
    """With weights far apart, the tuned Switch-DR and DRos have no larger squared error than DR."""
    wild = make_world(12, sharpness=3.0, seed=3)
    rng, policy = np.random.default_rng(3), wild.policy()
    config = OPEConfig(("dr", "switch-dr", "dros"))
    found = [evaluate_policy(wild.log(500, rng), policy, config, action_features=wild.embedding) for _ in range(200)]
    error = {name: ((column(found, name)[:, 0] - wild.truth) ** 2).mean() for name in config.estimators}
    assert error["switch-dr"] < error["dr"]
    assert error["dros"] < error["dr"]


def test_the_verdict_is_right_as_often_as_it_says(world: World) -> None:
    """The logged policy judged against itself is no different; the target is better, and never called worse."""
    same = Uniform(6)
    flat = World(world.chance, np.full(world.logged.shape, 1 / 6), world.target, world.features, world.embedding)
    rng = np.random.default_rng(4)
    null = [evaluate_policy(flat.log(500, rng), same, OPEConfig(("dr",))).verdict for _ in range(20)]
    assert set(null) == {"no difference shown"}  # the same policy: weights are 1 and the difference is 0 exactly
    gain = world.truth - float((world.chance * world.logged).sum(axis=1).mean())
    assert gain > 0.01
    verdicts = [evaluate_policy(world.log(20_000, rng), world.policy(), OPEConfig(("dr",))).verdict for _ in range(20)]
    assert "worse" not in verdicts
    assert verdicts.count("better") >= 15


def test_mips_is_unbiased_and_sharper_with_many_actions() -> None:
    world = grouped_world()
    rng, policy = np.random.default_rng(5), world.policy()
    config = OPEConfig(("ipw", "mips"), groups=5)
    found = [evaluate_policy(world.log(2000, rng), policy, config, action_features=world.embedding) for _ in range(300)]
    mips, ipw = column(found, "mips"), column(found, "ipw")[:, 0]
    assert abs(mips[:, 0].mean() - world.truth) < 3.5 * mips[:, 0].std(ddof=1) / np.sqrt(300)
    assert ((mips[:, 0] - world.truth) ** 2).mean() < 0.5 * ((ipw - world.truth) ** 2).mean()
    assert 0.92 <= ((mips[:, 1] <= world.truth) & (world.truth <= mips[:, 2])).mean() <= 0.98  # ± 2.4 standard errors


def test_mips_is_biased_where_actions_of_a_group_differ() -> None:
    """What it assumes is needed: half of the group's actions are twice as attractive as the rest."""
    calm = grouped_world()
    liked = np.where(np.arange(200) % 10 < 5, 0.4, 0.2)
    world = World(np.tile(liked, (10, 1)), calm.logged, _leaning(liked), calm.features, calm.embedding)
    log = world.log(200_000, np.random.default_rng(6))
    found = evaluate_policy(log, world.policy(), OPEConfig(("ipw", "mips"), groups=5), action_features=world.embedding)
    assert found["ipw"].low <= world.truth <= found["ipw"].high
    assert not found["mips"].low <= world.truth <= found["mips"].high
    assert "does not depend on the action" in found["mips"].assumes


def _leaning(liked: np.ndarray) -> np.ndarray:
    share = np.where(liked > 0.3, 3.0, 1.0)
    return np.tile(share / share.sum(), (10, 1))


def test_actions_are_grouped_by_their_features() -> None:
    group = group_actions(grouped_world().embedding, 5)
    assert all(len(set(group[np.arange(200) % 5 == g])) == 1 for g in range(5))
    assert len(set(group)) == 5


def test_the_logged_policy_is_read_off_the_propensities() -> None:
    world = grouped_world()
    log = world.log(20_000, np.random.default_rng(7))
    found = logged_policy(log)
    seen = log.shown()
    assert found.values[seen] == pytest.approx(world.logged[:1][seen], abs=1e-3)  # the rest is shared by the unseen


def test_rounds_of_one_user_widen_the_interval() -> None:
    """A user's clicks go together: with users as units the interval covers, with rounds as units it does not."""
    rng, users, rounds = np.random.default_rng(8), 200, 20
    covered = {True: 0, False: 0}
    for _ in range(300):
        mood = rng.beta(1, 3, users)
        unit, action = np.repeat(np.arange(users), rounds), rng.integers(0, 2, users * rounds)
        hit = rng.random(users * rounds) < mood[unit]
        for by_user in covered:
            log = BanditLog.of(action, hit, np.full(len(hit), 0.5), actions=2, unit=unit if by_user else None)
            row = evaluate_policy(log, Table(np.array([[0.2, 0.8]])), OPEConfig(("snipw",)))["snipw"]
            covered[by_user] += row.low <= 0.25 <= row.high
    low, high = stats.binom.interval(0.999, 300, 0.95)
    assert low <= covered[True] <= high
    assert covered[False] < 0.85 * 300


@pytest.fixture(scope="module")
def pages() -> tuple[CascadeWorld, list[OffPolicyResult]]:
    world, rng = CascadeWorld.make(), np.random.default_rng(9)
    return world, [evaluate_slates(world.log(1500, rng), world.target) for _ in range(300)]


def test_the_truth_of_the_cascade_is_what_simulation_gives() -> None:
    world, rng = CascadeWorld.make(), np.random.default_rng(10)
    clicks = world.clicks(world.pages(world.target, 200_000, rng)[0], rng).sum(axis=1)
    assert clicks.mean() == pytest.approx(world.truth, abs=4 * clicks.std() / np.sqrt(200_000))


@pytest.mark.parametrize("estimator", ["sips", "rips", "snrips", "cascade-dr"])
def test_estimates_of_pages_are_unbiased_and_covered(
    pages: tuple[CascadeWorld, list[OffPolicyResult]], estimator: str
) -> None:
    world, found = pages
    value, low, high = column(found, estimator).T
    assert abs(value.mean() - world.truth) < 3.5 * value.std(ddof=1) / np.sqrt(len(value))
    assert 0.92 <= ((low <= world.truth) & (world.truth <= high)).mean() <= 0.98  # ± 2.4 standard errors of 300 logs


def test_under_a_cascade_rips_beats_whole_pages_and_a_model_beats_rips(
    pages: tuple[CascadeWorld, list[OffPolicyResult]],
) -> None:
    _, found = pages
    spread = {name: column(found, name)[:, 0].var() for name in ("sips", "rips", "cascade-dr")}
    assert spread["rips"] < 0.9 * spread["sips"]
    assert spread["cascade-dr"] < 0.9 * spread["rips"]


def test_rips_is_biased_where_the_page_is_read_from_below() -> None:
    """Its assumption is needed: place 1 is clicked if the best item stands at place 3."""
    world, rng = CascadeWorld.make(), np.random.default_rng(11)
    log = world.log(100_000, rng)
    below = (log.action[:, 2:] == int(world.attraction.argmax())) * np.array([[1.0, 0, 0]])
    odd = SlateLog(log.actions, log.action, below, log.propensity, log.context, log.contexts, log.features)
    page = world.pages(world.target, 400_000, rng)[0]
    truth = (page[:, 2] == world.attraction.argmax()).mean()
    found = evaluate_slates(odd, world.target)
    assert found["sips"].low <= truth <= found["sips"].high
    assert not found["rips"].low <= truth <= found["rips"].high
