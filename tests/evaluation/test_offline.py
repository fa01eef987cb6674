"""Splits, metrics, bootstrap and comparison against closed forms, other libraries and their own claims."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import ndcg_score

from evaluation.bootstrap import bootstrap_means, holm, interval, two_sided_p
from evaluation.metrics import METRICS, coverage, hit_matrix, ndcg
from evaluation.offline import ModelKey, evaluate
from evaluation.splits import SplitConfig, split
from recsys.data import IdMap, Interactions
from recsys.errors import ConfigError, DataError, UnknownIdError
from recsys.topk import top_k


def log(rows: Iterable[tuple[str, str, int]]) -> Interactions:
    frame = pd.DataFrame(list(rows), columns=["user_id", "item_id", "day"])
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["day"], unit="D")
    return Interactions.from_frame(frame.drop(columns="day").assign(timestamp=times))


ROWS = [("u", "a", 1), ("v", "b", 2), ("u", "b", 3), ("v", "a", 4), ("u", "c", 5), ("v", "b", 6), ("w", "c", 7)]


def test_time_split_puts_all_of_test_after_train_and_counts_what_it_drops() -> None:
    parts = split(log(ROWS), SplitConfig(quantile=0.5))
    assert parts.train.frame["item_id"].tolist() == ["a", "b", "b", "a"]
    assert parts.test.frame[["user_id", "item_id"]].to_numpy().tolist() == [["u", "c"]]
    assert parts.about["test_after_train"]
    assert parts.about["test_rows_of_unknown_users"] == 1  # w
    assert parts.about["test_rows_repeating_train"] == 1  # v bought b again
    assert parts.about["cold_share_of_test_rows"] == 1.0  # c


def test_leave_last_keeps_one_row_of_every_user() -> None:
    parts = split(log(ROWS), SplitConfig(kind="leave-last", n=1))
    assert parts.test.frame[["user_id", "item_id"]].to_numpy().tolist() == [["u", "c"]]  # v's last repeats train
    assert set(parts.train.frame["user_id"]) == {"u", "v", "w"}  # w's only row stays


def test_item_cold_holds_out_whole_items() -> None:
    rows = [(f"u{i % 7}", f"i{i % 10}", i) for i in range(200)]
    parts = split(log(rows), SplitConfig(kind="item-cold", share=0.3, seed=3))
    assert not set(parts.train.frame["item_id"]) & set(parts.test.frame["item_id"])
    assert parts.test.frame["item_id"].nunique() == 3


def test_splits_refuse_what_they_cannot_do() -> None:
    timeless = Interactions.from_frame(pd.DataFrame({"user_id": ["u"], "item_id": ["a"]}))
    with pytest.raises(DataError, match="needs timestamps"):
        split(timeless, SplitConfig())
    with pytest.raises(DataError, match="leaves nothing"):
        split(log(ROWS[:1]), SplitConfig())
    with pytest.raises(ConfigError, match="between 0 and 1"):
        SplitConfig(quantile=1.0)


HITS = np.array([[True, False, True, False, False]])


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("recall", 2 / 4),  # 2 of 4 relevant
        ("precision", 2 / 5),
        ("hit_rate", 1.0),
        ("mrr", 1.0),
        ("map", (1 / 1 + 2 / 3) / 4),
        ("ndcg", (1 + 1 / np.log2(4)) / (1 + 1 / np.log2(3) + 1 / np.log2(4) + 1 / np.log2(5))),
    ],
)
def test_metrics_by_hand(metric: str, expected: float) -> None:
    assert METRICS[metric].function(HITS, np.array([4]), 5)[0] == pytest.approx(expected, abs=1e-12)


def test_a_user_without_relevant_items_has_no_value() -> None:
    for metric in METRICS.values():
        assert np.isnan(metric.function(np.zeros((1, 3), bool), np.array([0]), 3)).all()


@given(hnp.arrays(bool, st.tuples(st.integers(1, 6), st.just(8)), elements=st.booleans()), st.integers(1, 8))
def test_metrics_stay_in_range_and_perfect_lists_score_one(hits: npt.NDArray[np.bool_], k: int) -> None:
    n_relevant = hits.sum(axis=1)
    for name, metric in METRICS.items():
        values = metric.function(hits, n_relevant, k)
        some = values[n_relevant > 0]
        assert ((some >= 0) & (some <= 1 + 1e-12)).all(), name
        best = metric.function(-np.sort(-hits.astype(int), axis=1) > 0, n_relevant, k)[n_relevant > 0]
        assert (best >= some - 1e-12).all(), name


def test_ndcg_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    relevance = rng.random((50, 30)) < 0.2
    relevance[:, 0] = True
    scores = rng.random((50, 30))
    order = np.argsort(-scores, axis=1)
    hits = np.take_along_axis(relevance, order, axis=1)
    ours = ndcg(hits, relevance.sum(axis=1), 10).mean()
    assert ours == pytest.approx(ndcg_score(relevance, scores, k=10), abs=1e-12)


def test_hits_and_coverage_ignore_empty_ranks_and_refuse_repeats() -> None:
    items = np.array([[2, -1, -1], [0, 1, 2]])
    hits = hit_matrix(items, np.array([0, 1, 1]), np.array([2, 1, 9]), 10)
    assert hits.tolist() == [[True, False, False], [False, True, False]]
    assert coverage(items, 10) == 0.3
    with pytest.raises(DataError, match="more than once"):
        hit_matrix(np.array([[1, 1]]), np.array([0]), np.array([1]), 3)


def test_bootstrap_interval_covers_the_true_mean_at_its_rate() -> None:
    rng = np.random.default_rng(1)
    runs, n = 400, 60
    covered = 0
    for i in range(runs):
        low, high = interval(bootstrap_means(rng.exponential(size=(n, 1)), resamples=400, seed=i))
        covered += int(low[0] <= 1.0 <= high[0])
    # nominal 95 %; percentile intervals of a skewed mean at n = 60 lose a little; 4 standard errors of 400 runs = 4.4 %
    assert 0.95 - 0.065 <= covered / runs <= 0.95 + 0.044


def test_equal_models_are_called_different_at_the_nominal_rate() -> None:
    rng = np.random.default_rng(2)
    runs = 400
    p = [two_sided_p(bootstrap_means(rng.normal(size=(80, 1)), resamples=400, seed=i))[0] for i in range(runs)]
    assert np.mean(np.array(p) < 0.05) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / runs)


def test_bootstrap_does_not_depend_on_its_block_and_holm_is_monotone() -> None:
    values = np.random.default_rng(0).normal(size=(30, 2))
    whole, parts = (bootstrap_means(values, resamples=50, seed=1, block=b) for b in (50, 7))
    assert np.allclose(whole, parts, rtol=1e-12)  # same counts; products are summed in another order
    assert holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx([0.03, 0.04, 0.04, 0.02])  # by hand


class Fixed:
    """A recommender with a given score matrix."""

    def __init__(self, scores: npt.ArrayLike) -> None:
        self.matrix = np.asarray(scores, np.float32)
        self.users, self.items = (IdMap.of(f"{p}{i}" for i in range(n)) for p, n in zip("ui", self.matrix.shape, strict=True))

    def top_items(self, user_idx: Any, *, k: int, exclude_seen: bool = True, allowed: Any = None) -> Any:
        scores = self.matrix[user_idx].copy()
        if allowed is not None:
            scores[:, ~allowed] = -np.inf
        return top_k(scores, k)


TEST = log([("u0", "i0", 1), ("u0", "i3", 1), ("u1", "i1", 1)])
WARM = np.array([True, True, False, False])


def test_segments_limit_candidates_and_relevant_items() -> None:
    models: Any = {ModelKey("m"): Fixed([[4, 3, 2, 1], [4, 3, 2, 1]])}
    result = evaluate(models, TEST, warm=WARM, ks=(1, 2), resamples=100)
    assert result.mean(ModelKey("m"), "recall", 2, "all") == pytest.approx((1 / 2 + 1) / 2)
    assert result.mean(ModelKey("m"), "recall", 1, "warm") == pytest.approx(0.5)  # i0 for u0, not i1 for u1
    assert result.mean(ModelKey("m"), "recall", 2, "cold") == 1.0  # i3 among i2, i3
    assert result.segments["cold"].n_users == 1
    assert result.segments["cold"].n_without == 1
    row = next(r for r in result.rows() if r["segment"] == "all" and r["metric"] == "cold_share" and r["k"] == 2)
    assert row["value"] == 0.0


def test_a_better_model_is_found_better() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((200, 40))
    later = log([(f"u{u}", f"i{i}", 1) for u in range(200) for i in np.argsort(-truth[u])[:3]])
    models: Any = {
        ModelKey("good"): Fixed(truth + 0.3 * rng.random((200, 40))),
        ModelKey("bad"): Fixed(rng.random((200, 40))),
        ModelKey("twin"): Fixed(rng.random((200, 40))),
    }
    result = evaluate(models, later, warm=np.ones(40, bool), ks=(10,), resamples=500)
    assert result.best_of(models, "recall", 10) == ModelKey("good")
    found = {r["model"]: r for r in result.compare(ModelKey("bad")) if r["metric"] == "recall" and r["segment"] == "all"}
    assert found["good"]["low"] > 0
    assert found["good"]["p_adjusted"] < 0.05
    assert found["twin"]["low"] < 0 < found["twin"]["high"]
    assert "cold" not in result.segments


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda: evaluate({}, TEST, warm=WARM), DataError, "no models"),
        (lambda: evaluate({ModelKey("m"): Fixed(np.full((2, 4), np.nan))}, TEST, warm=WARM), DataError, "NaN"),  # type: ignore[dict-item]
        (lambda: evaluate({ModelKey("m"): Fixed(np.ones((2, 4)))}, TEST, warm=WARM, ks=(0,)), ConfigError, "k must be"),  # type: ignore[dict-item]
        (lambda: evaluate({ModelKey("m"): Fixed(np.ones((1, 4)))}, TEST, warm=WARM), UnknownIdError, "u1"),  # type: ignore[dict-item]
    ],
)
def test_bad_input_is_refused(change: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        change()
