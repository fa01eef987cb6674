"""Measures against scikit-learn and by hand; intervals and calibration against simulations of their claims."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from recsys.errors import ConfigError, DataError
from style.classify.calibration import Calibration, calibration_error, probabilities
from style.classify.measure import confusion, f1_by_class, macro_f1, score


@given(st.integers(0, 10_000))
def test_counts_and_f1_are_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, named = rng.integers(0, 4, (2, 60))
    truth[:4] = range(4)
    counts = confusion(truth, named, 4)
    assert np.array_equal(counts, confusion_matrix(truth, named, labels=range(4)))
    assert f1_by_class(counts) == pytest.approx(f1_score(truth, named, average=None, labels=range(4), zero_division=0))
    assert float(macro_f1(counts)) == pytest.approx(f1_score(truth, named, average="macro", zero_division=0))


def test_a_class_that_never_occurs_does_not_count_and_one_that_is_never_named_counts_zero() -> None:
    # truth a a b; named a c a: F1 of a is 1/2, of b 0; c does not occur
    counts = confusion(np.array([0, 0, 1]), np.array([0, 2, 0]), 3)
    assert f1_by_class(counts).tolist() == [0.5, 0.0, 0.0]
    assert float(macro_f1(counts)) == 0.25


def test_the_table_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    truth, chances = rng.integers(0, 3, 200), rng.dirichlet([1, 1, 1], 200)
    made = score(("a", "b", "c"), truth, chances, threshold=0.6)
    p, r, f, n = precision_recall_fscore_support(truth, chances.argmax(1))
    assert np.allclose(made.table[["precision", "recall", "f1", "photos"]].to_numpy(float), np.stack([p, r, f, n], 1))
    sure = chances.max(1) >= 0.6
    assert made.covered == sure.mean()
    assert made.covered_accuracy == (chances.argmax(1) == truth)[sure].mean()
    with pytest.raises(DataError, match="nothing to judge by"):
        score(("a",), truth[:0], chances[:0])


def test_the_interval_holds_the_true_macro_f1_about_as_often_as_it_says() -> None:
    # groups of 3 like photos; the truth is the score of 200,000 groups
    mix = np.array([[0.8, 0.15, 0.05], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6]])

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        truth = rng.choice(3, n, p=[0.6, 0.3, 0.1])
        named = (mix[truth].cumsum(1) < rng.random((n, 1))).sum(1)
        return np.repeat(truth, 3), np.repeat(named, 3), np.repeat(np.arange(n), 3)

    truth, named, _ = draw(np.random.default_rng(1), 200_000)
    target = float(macro_f1(confusion(truth, named, 3)))
    held = []
    for seed in range(200):
        t, m, g = draw(np.random.default_rng([2, seed]), 250)
        low, high = score(tuple("abc"), t, np.eye(3)[m], groups=g, resamples=300, seed=seed).interval
        held.append(low <= target <= high)
    # binomial(200, 0.95): fewer than 180 or more than 199 in about 1 of 400 runs; percentile ends run a little short
    assert 180 <= sum(held) <= 199


def test_calibration_error_by_hand() -> None:
    # bins of a half: [0.2, 0.4] mean 0.3 with 1 of 2 right: gap 0.2; [0.9] right: gap 0.1 -> (2 · 0.2 + 0.1) / 3
    assert calibration_error([0.2, 0.4, 0.9], [True, False, True], bins=2) == pytest.approx(0.5 / 3)
    assert np.isnan(calibration_error([], []))
    with pytest.raises(ConfigError, match="bins must be >= 1, got 0"):
        calibration_error([0.5], [True], bins=0)


def test_calibration_finds_temperature_and_shares_that_the_logits_were_spoiled_by() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(20_000, 3)) * 2
    chances = probabilities(true, "softmax")
    targets = np.eye(3)[(chances.cumsum(1) < rng.random((20_000, 1))).sum(1)]
    spoiled = true * 2.5 - np.array([1.0, 0, -2.0]) * 2.5
    found = Calibration.fit(spoiled, targets)
    # 20,000 rows tell both to about 2 %
    assert found.temperature == pytest.approx(2.5, rel=0.05)
    assert found.shift - found.shift.mean() == pytest.approx(np.array([4, 1, -5]) / 3, abs=0.08)
    made = found.probabilities(spoiled, "softmax")
    hit = made.argmax(1) == targets.argmax(1)
    raw = probabilities(spoiled, "softmax")
    assert calibration_error(made.max(1), hit) < 0.015
    assert calibration_error(raw.max(1), raw.argmax(1) == targets.argmax(1)) > 0.1


def test_sigmoid_calibration_is_per_question() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(20_000, 2))
    targets = rng.random((20_000, 2)) < probabilities(true, "sigmoid")
    found = Calibration.fit(true * 3 + np.array([3.0, -3.0]), targets, link="sigmoid")
    assert found.temperature == pytest.approx(3, rel=0.06)
    assert found.shift == pytest.approx([-1, 1], abs=0.08)


def test_a_few_rows_that_are_all_right_do_not_make_it_certain() -> None:
    logits = np.array([[1.0, -1.0], [-1.0, 1.0]] * 5)
    truth = np.array([[1, 0], [0, 1]] * 5)
    found = Calibration.fit(logits, truth)
    # the minimum of log(1 + exp(-2 / T)) + (log T)² / 2 / 10 on a grid
    grid = np.exp(np.linspace(-3, 1, 4001))
    best = grid[np.argmin(np.log1p(np.exp(-2 / grid)) + np.log(grid) ** 2 / 20)]
    assert found.temperature == pytest.approx(best, rel=0.01)
    assert found.temperature > 0.3


def test_calibration_refuses_what_it_cannot_use() -> None:
    with pytest.raises(DataError, match="finite logits of at least one row"):
        Calibration.fit(np.array([[np.nan, 0]]), np.array([[1, 0]]))
