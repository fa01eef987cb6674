"""Two models that differ in nothing but noise are called different as often as the level says, and no more."""

import math
from typing import Any

import numpy as np
import pytest
from fixed_scores import Fixed, later
from scipy import stats

from evaluation.offline import evaluate
from recsys.data import IdMap, Interactions
from recsys.progress import silenced

RUNS = 1000
RATE = 3.5 * math.sqrt(0.05 * 0.95 / RUNS)  # 3.5 standard errors of a rate of 0.05


@pytest.fixture(scope="module")
def null_rows() -> list[dict[str, Any]]:
    """A model twice, with noise of two seeds: the rows of NDCG@10 of 1,000 comparisons."""
    users, items, found = np.arange(100), 30, []
    ids = {"users": IdMap.of(f"u{u}" for u in users), "items": IdMap.of(f"i{i}" for i in range(items))}
    frame = later([(u, 0) for u in users]).frame
    for i in range(RUNS):
        rng = np.random.default_rng(i)
        taste, choice = rng.normal(size=(100, items)), np.empty((100,), np.int64)
        choice = (taste + rng.gumbel(size=taste.shape)).argmax(axis=1)  # what users take is partly what they like
        test = Interactions(frame.assign(item_id=ids["items"].decode(choice)), frame[:0])
        models = {name: Fixed(taste + rng.normal(size=taste.shape), **ids) for name in "ab"}
        how: dict[str, Any] = {"segments": ("all",), "ks": (10,), "metrics": ("ndcg",), "resamples": 399}
        with silenced():
            found += evaluate(models, test, **how, seed=10_000 + i).compare("a")
    return found


def test_identical_models_are_called_different_at_the_nominal_rate(null_rows: list[dict[str, Any]]) -> None:
    p = np.array([row["p_value"] for row in null_rows])
    assert abs((p <= 0.05).mean() - 0.05) < RATE  # 400 exchanges in all: 0.05 is attained
    assert stats.kstest(p, "uniform").pvalue > 0.001  # fixed seeds: one look, no search


def test_intervals_of_identical_models_leave_zero_out_at_the_nominal_rate(null_rows: list[dict[str, Any]]) -> None:
    outside = np.mean([not row["low"] <= 0 <= row["high"] for row in null_rows])
    assert abs(outside - 0.05) < RATE + 0.005  # bootstrap intervals of 100 users are short by about half a percent
