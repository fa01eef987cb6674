"""Oracles: simulated logs whose truth is known, the hypergeometric distribution, hand-computed weights."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import hypergeom

from evaluation.metrics import (
    BiasedMetricWarning,
    credits,
    ips,
    power_law_propensity,
    sampled_ranks,
    snips,
    strata_edges,
    stratified,
)
from recsys.errors import ConfigError, DataError

LOGS = 4000


@pytest.fixture(scope="module")
def world() -> dict[str, np.ndarray]:
    """30 truly relevant items of one user; a model that follows popularity finds the popular half, not the rest."""
    rng = np.random.default_rng(0)
    propensity = np.where(np.arange(30) < 15, 0.8, 0.1)
    ranks = np.where(rng.random(30) < np.where(propensity > 0.5, 0.9, 0.2), rng.integers(1, 11, 30), 0)
    seen = np.random.default_rng(1).random((LOGS, 30)) < propensity
    return {"propensity": propensity, "credit": credits(ranks, 10), "seen": seen}


def estimates(world: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One estimate a log: each log is a row, as a user is."""
    row, item = np.nonzero(world["seen"])
    credit, propensity = world["credit"][item], world["propensity"][item]
    ones = np.ones_like(propensity)
    return {
        "naive": snips(credit, ones, row, LOGS),
        "ips": ips(credit, propensity, row, np.full(LOGS, 30)),
        "snips": snips(credit, propensity, row, LOGS),
    }


def test_ips_is_unbiased_and_the_plain_mean_is_not(world: dict[str, np.ndarray]) -> None:
    truth, found = world["credit"].mean(), estimates(world)
    error = {name: values.mean() - truth for name, values in found.items()}
    deviation = {name: values.std() / np.sqrt(LOGS) for name, values in found.items()}
    assert abs(error["ips"]) < 4 * deviation["ips"]  # 4 standard errors of a fixed seed
    assert error["naive"] > 50 * deviation["naive"]
    assert abs(error["snips"]) < abs(error["naive"]) / 4  # biased by the few pairs of a log, not by popularity
    assert ((found["snips"] >= 0) & (found["snips"] <= 1)).all()


def test_snips_is_blind_to_a_factor_on_propensities() -> None:
    credit, propensity, user = np.array([1.0, 0.0, 1.0]), np.array([0.4, 0.2, 0.8]), np.array([0, 0, 2])
    found = snips(credit, propensity, user, 3)
    np.testing.assert_allclose(found, [2.5 / 7.5, np.nan, 1.0])
    np.testing.assert_allclose(snips(credit, propensity / 3, user, 3), found)
    np.testing.assert_allclose(ips(credit, propensity, user, [2, 0, 5]), [1.25, np.nan, 0.25])


def test_with_all_propensities_one_it_is_recall() -> None:
    user, ranks = np.array([0, 0, 0, 1]), np.array([1, 12, 0, 3])
    np.testing.assert_allclose(snips(credits(ranks, 10), np.ones(4), user, 2), [1 / 3, 1.0])
    np.testing.assert_allclose(ips(credits(ranks, 10), np.ones(4), user, [3, 1]), [1 / 3, 1.0])
    np.testing.assert_allclose(credits(ranks, 10, discounted=True), [1, 0, 0, 0.5])


def test_strata_weighed_as_the_population_are_unbiased(world: dict[str, np.ndarray]) -> None:
    truth, found = world["credit"].mean(), []
    for seen in world["seen"][:1000]:
        parts = stratified(world["credit"][seen], world["propensity"][seen], strata_edges(world["propensity"], 2))
        found.append(parts.standardised([0.5, 0.5]))
        assert np.isnan(found[-1]) == (0 in parts.n_pairs)  # some logs show nothing of the unpopular half
    found = [value for value in found if not np.isnan(value)]
    assert 700 < len(found) < 1000
    assert abs(np.mean(found) - truth) < 4 * np.std(found) / np.sqrt(len(found))


def test_simpsons_paradox_shows_in_strata() -> None:
    # A wins 1 of 10 rare and 80 of 90 popular pairs; B 12 of 60 and 37 of 40: better in both, worse in total.
    def one(rare: tuple[int, int], popular: tuple[int, int]) -> tuple[float, np.ndarray]:
        won = np.concatenate([np.arange(n) < w for w, n in (rare, popular)]).astype(float)
        parts = stratified(won, np.repeat([0.1, 0.9], [rare[1], popular[1]]), [0, 0.5, 1])
        assert parts.n_pairs.tolist() == [rare[1], popular[1]]
        return float(won.mean()), parts.credit

    total_a, strata_a = one((1, 10), (80, 90))
    total_b, strata_b = one((12, 60), (37, 40))
    assert total_a > total_b
    assert (strata_a < strata_b).all()


def test_strata_hold_equally_many_pairs_and_ties_together() -> None:
    propensity = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.7, 0.7])
    parts = stratified(np.ones(9), propensity, strata_edges(propensity, 3))
    assert parts.n_pairs.tolist() == [3, 3, 3]
    assert parts.to_frame()["to"].tolist() == [0.3, 0.6, 0.7]
    assert strata_edges(np.array([0.5, 0.5]), 5).tolist() == [0.0, 0.5]


def test_power_law() -> None:
    np.testing.assert_allclose(power_law_propensity([100, 10, 0], gamma=3.0), [1, 0.01, np.nan])
    np.testing.assert_allclose(power_law_propensity([100, 10], gamma=1.5)[1], 0.1**1.25)
    for wrong in ([], [0, 0], [1, -1], [1, np.nan]):
        with pytest.raises(DataError, match="popularity must be finite"):
            power_law_propensity(wrong)


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.5, np.nan])
def test_propensities_that_are_none(wrong: float) -> None:
    with pytest.raises(DataError, match="1 propensities lie outside"):
        ips(np.ones(2), np.array([0.5, wrong]), np.array([0, 0]), [1])
    with pytest.raises(DataError, match="1 propensities lie outside"):
        stratified(np.ones(2), np.array([0.5, wrong]), [0, 1])
    with pytest.raises(DataError, match="1 propensities lie outside"):
        strata_edges(np.array([0.5, wrong]))


def test_what_is_refused() -> None:
    with pytest.raises(DataError, match="equally long, got 2, 1 and 2"):
        snips(np.ones(2), np.ones(1), np.array([0, 0]), 1)
    with pytest.raises(DataError, match=r"rows in \[0, 1\), got 0 to 1"):
        snips(np.ones(2), np.ones(2), np.array([0, 1]), 1)
    with pytest.raises(ConfigError, match="n_strata must be >= 1"):
        strata_edges(np.ones(1), 0)
    with pytest.raises(DataError, match="there is no propensity"):
        strata_edges(np.empty(0))
    with pytest.raises(DataError, match="edges must be two numbers or more that ascend"):
        stratified(np.ones(1), np.ones(1), [0.5, 0.5])
    with pytest.raises(DataError, match=r"1 propensities lie outside \(0.0, 0.5\]"):
        stratified(np.ones(1), np.ones(1), [0, 0.5])
    with pytest.raises(DataError, match="weight must be 1 numbers"):
        stratified(np.ones(1), np.ones(1), [0, 1]).standardised([0.5, 0.5])


def test_sampled_ranks_follow_the_hypergeometric_distribution() -> None:
    n, m, k, draws = 1000, 100, 10, 20_000
    for rank in (1, 50, 200, 1000):
        with pytest.warns(BiasedMetricWarning, match="biased and may order models wrongly"):
            found = sampled_ranks(np.full(draws, rank), n, m, np.random.default_rng(rank))
        expected = hypergeom(n - 1, rank - 1, m).cdf(k - 1)
        deviation = np.sqrt(expected * (1 - expected) / draws)
        assert abs((found <= k).mean() - expected) <= 4 * deviation + 1e-12
        assert found.min() >= 1
        assert found.max() <= m + 1


def test_a_sample_can_turn_the_order_of_two_models_round() -> None:
    # Exact recall@10 favours A (half on top, half lost); among 100 of 10,000 B's middling ranks all look like top-10.
    a, b = np.repeat([1, 9_000], 500), np.full(1000, 300)
    assert (a <= 10).mean() > (b <= 10).mean()
    with pytest.warns(BiasedMetricWarning):
        sampled = [(sampled_ranks(r, 10_000, 100, np.random.default_rng(0)) <= 10).mean() for r in (a, b)]
    assert sampled[0] < sampled[1]


def test_samples_that_cannot_be_drawn() -> None:
    rng = np.random.default_rng(0)
    for n_negatives in (0, 10):
        with pytest.raises(ConfigError, match="n_negatives must be from 1 to 9"):
            sampled_ranks(np.array([1]), 10, n_negatives, rng)
    with pytest.raises(DataError, match="ranks must be from 1 to 10, got 0 to 3"):
        sampled_ranks(np.array([0, 3]), 10, 5, rng)


def test_the_same_generator_gives_the_same_sample() -> None:
    with pytest.warns(BiasedMetricWarning):
        first, second = (sampled_ranks(np.arange(1, 50), 100, 20, np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
