"""Bandits: the propensities in the log are those of the draw, so a log's weighted mean is another policy's value."""

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.integrate import quad
from scipy.stats import beta

from cli import main
from evaluation.designs.bandits import LinearThompson, Thompson, run_bandit
from evaluation.ope import LogColumns, OPEConfig, Table, Uniform, evaluate_policy, read_log
from recsys.errors import ConfigError, DataError

CHANCE = np.array([[0.10, 0.15, 0.25]])
LOOKS = ["original", "retro", "minimal"]


def test_propensities_are_the_chances_to_be_the_best() -> None:
    bandit = Thompson(2, floor=0.05, draws=200_000)
    bandit.alpha, bandit.beta = np.array([4.0, 9.0]), np.array([20.0, 25.0])
    best = quad(lambda x: beta(4, 20).cdf(x) * beta(9, 25).pdf(x), 0, 1)[0]
    found = bandit.propensities(np.zeros((3, 0)), np.random.default_rng(0))
    assert found[2].tolist() == pytest.approx([0.05 + 0.9 * (1 - best), 0.05 + 0.9 * best], abs=0.004)


def test_actions_are_drawn_as_often_as_the_log_says() -> None:
    run = run_bandit(Thompson(3), CHANCE, labels=LOOKS, rounds=30_000, seed=1)
    # Whatever was learned, 1 / propensity over the rounds in which a look was drawn has the mean 1.
    for look in LOOKS:
        weight = (run.log["presentation"] == look) / run.log["propensity"]
        assert weight.mean() == pytest.approx(1, abs=4 * weight.std() / np.sqrt(len(weight)))


def test_the_weighted_mean_of_a_bandits_log_is_the_uniform_policys_value_without_bias() -> None:
    errors, plain = [], []
    for seed in range(300):
        run = run_bandit(Thompson(3, floor=0.05), CHANCE, labels=LOOKS, rounds=1500, batch=100, seed=seed)
        click, pi = run.log["click"].to_numpy(), run.log["propensity"].to_numpy()
        errors.append((click / 3 / pi).mean() - run.uniform_value)
        plain.append(click.mean() - run.uniform_value)
    assert np.mean(errors) == pytest.approx(0, abs=4 * np.std(errors) / np.sqrt(300))
    assert np.mean(plain) > 0.04  # what the bandit earned is not what the uniform policy would have


def test_intervals_of_the_uniform_policy_on_a_bandits_log_cover_its_value() -> None:
    held, tests = 0, 2000
    for seed in range(tests):
        run = run_bandit(Thompson(3, floor=0.1, draws=100), CHANCE, rounds=600, batch=200, seed=seed)
        values = run.log["click"].to_numpy() / 3 / run.log["propensity"].to_numpy()
        held += abs(values.mean() - run.uniform_value) <= 1.96 * values.std() / np.sqrt(len(values))
    assert 0.93 <= held / tests <= 0.97


def test_the_log_is_what_ope_reads(tmp_path) -> None:  # type: ignore[no-untyped-def]
    run = run_bandit(Thompson(3, floor=0.05), CHANCE, labels=LOOKS, rounds=20_000, seed=3)
    log = read_log(run.log, LogColumns(action="presentation"))
    found = evaluate_policy(log, Uniform(3), OPEConfig(("ipw", "snipw", "dr")))
    assert found.verdict == "worse"  # the bandit has learned
    for row in found.rows:
        assert row.low <= run.uniform_value <= row.high
    best = Table(np.eye(3)[[log.actions.positions(["minimal"])[0]]], "always minimal")
    assert evaluate_policy(log, best)["dr"].value == pytest.approx(0.25, abs=0.015)
    run.log.to_csv(tmp_path / "bandit.csv", index=False)
    done = CliRunner().invoke(
        main, ["ope", str(tmp_path / "bandit.csv"), "--policy", "uniform", "--action", "presentation", "--json"]
    )
    assert done.exit_code == 0, done.output
    assert '"verdict": "worse"' in done.output


def contexts() -> tuple[np.ndarray, np.ndarray]:
    """Two kinds of visitors who like different looks; a constant and the kind are seen."""
    kind = np.repeat([-1.0, 1.0], 50)
    chance = np.column_stack([np.full(100, 0.2), 0.2 + 0.15 * kind, 0.2 - 0.15 * kind])
    return np.column_stack([np.ones(100), kind]), chance


def test_a_linear_bandit_learns_who_likes_what() -> None:
    x, chance = contexts()
    run = run_bandit(LinearThompson(3, 2), chance, features=x, labels=LOOKS, rounds=12_000, seed=1)
    late = run.log.tail(2000)
    shown = late["presentation"].to_numpy() == np.where(late["user_id"] < 50, "minimal", "retro")
    assert shown.mean() > 0.85  # 0.96 is the most that two floors of 0.02 allow
    blind = run_bandit(Thompson(3), chance, rounds=12_000, seed=1)
    assert run.regret < 0.4 * blind.regret
    value = (run.log["click"] / 3 / run.log["propensity"]).to_numpy()
    assert value.mean() == pytest.approx(run.uniform_value, abs=4 * value.std() / np.sqrt(len(value)))


def test_the_linear_posterior_is_that_of_ridge_regression() -> None:
    rng = np.random.default_rng(2)
    x, action = rng.normal(size=(400, 2)), rng.integers(0, 2, 400)
    reward = x @ [0.5, -0.2] * (action == 1) + rng.normal(0, 0.1, 400)
    bandit = LinearThompson(2, 2, ridge=2.0)
    bandit.learn(x[:150], action[:150], reward[:150])
    bandit.learn(x[150:], action[150:], reward[150:])
    mine = x[action == 1]
    expected = np.linalg.solve(mine.T @ mine + 2 * np.eye(2), mine.T @ reward[action == 1])
    assert np.linalg.solve(bandit.precision[1], bandit.target[1]) == pytest.approx(expected)


def test_the_same_seed_is_the_same_log_and_unusable_settings_are_refused() -> None:
    one, two = (run_bandit(Thompson(3), CHANCE, rounds=500, seed=9).log for _ in range(2))
    assert one.equals(two)
    with pytest.raises(ConfigError, match=r"a floor in \(0, 1 / 3\)"):
        Thompson(3, floor=0.4)
    with pytest.raises(DataError, match="rewards of 0 and 1"):
        Thompson(2).learn(np.zeros((1, 0)), np.array([0]), np.array([3.5]))
    with pytest.raises(DataError, match=r"in \[0, 1\]"):
        run_bandit(Thompson(2), [[0.5, 1.5]])
