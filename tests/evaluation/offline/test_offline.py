"""Oracles: lists small enough to judge by eye, a plain loop over users, and simulation of the comparison's claims."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fixed_scores import Fixed, later
from scipy import stats

from evaluation.metrics import METRICS, SHARES
from evaluation.offline import ModelKey, evaluate, one_pass
from evaluation.offline.groups import Groups
from recsys.data import Interactions
from recsys.errors import ConfigError, DataError, StylerecError, UnknownIdError

A, B = ModelKey("a"), ModelKey("b", "original")


# Users 0, 1 and 2 rank the items 0, 1, 2, 3 in this order; items 2 and 3 are cold.
DOWN = Fixed([[4, 3, 2, 1]] * 3)
UP = Fixed([[1, 2, 3, 4]] * 3)
WARM = np.array([True, True, False, False])
TEST = later([(0, 0), (0, 3), (1, 1), (2, 2)])


def test_every_segment_limits_candidates_and_relevant_items() -> None:
    result = evaluate({A: DOWN}, TEST, warm=WARM, ks=(1, 2), resamples=50)
    # all: u0 has i0, i3 and sees i0, i1; u1 has i1; u2 has i2.
    assert result.user_values(A, "recall", 2).tolist() == [0.5, 1.0, 0.0]
    assert result.user_values(A, "recall", 1).tolist() == [0.5, 0.0, 0.0]
    # warm: among i0, i1 user 0 has only i0 left to find; user 2 has nothing.
    assert result.user_values(A, "recall", 1, "warm").tolist() == [1.0, 0.0]
    # cold: among i2, i3 user 0 finds i3 at rank 2 and user 2 finds i2 at rank 1.
    assert result.user_values(A, "mrr", 2, "cold").tolist() == [0.5, 1.0]
    assert result.counts() == {
        "all": {"averaged": 3, "without_relevant": 0, "candidates": 4, "relevant_items": 4},
        "warm": {"averaged": 2, "without_relevant": 1, "candidates": 2, "relevant_items": 2},
        "cold": {"averaged": 2, "without_relevant": 1, "candidates": 2, "relevant_items": 2},
    }


def test_shares_of_lists() -> None:
    result = evaluate({A: DOWN, B: Fixed(np.zeros((3, 4)))}, TEST, warm=WARM, ks=(1, 3, 5), resamples=50)
    shares = result.segments["all"].shares
    assert [shares[A]["coverage", k] for k in (1, 3, 5)] == [0.25, 0.75, 1.0]
    assert [shares[A]["filled", k] for k in (1, 3, 5)] == [1.0, 1.0, 0.8]  # 4 items for 5 ranks
    assert shares[A]["cold_share", 3] == pytest.approx(1 / 3)  # i0, i1, i2: one cold
    assert [shares[B]["undecided", k] for k in (1, 3)] == [0.0, 1.0]  # one item decides nothing
    assert shares[A]["undecided", 3] == 0.0
    assert any("b / original have equal scores" in note for note in result.notes())


def test_seen_items_are_left_out_unless_repeats_count() -> None:
    bought = Fixed([[4, 3, 2, 1]], seen=[[True, False, False, False]])
    again = later([(0, 0)])
    without = evaluate({A: bought}, again, segments=("all",), ks=(1,), resamples=50)
    assert without.mean(A, "recall", 1) == 0.0
    repeats = evaluate({A: bought}, again, segments=("all",), ks=(1,), resamples=50, exclude_seen=False)
    assert repeats.mean(A, "recall", 1) == 1.0


def test_a_pair_counts_once_and_weightless_rows_do_not() -> None:
    test = later([(0, 0), (0, 0), (0, 3), (1, 1)], weight=[1, 1, 0, 0])
    result = evaluate({A: DOWN}, test, segments=("all",), ks=(2,), resamples=50)
    assert result.user_values(A, "recall", 2).tolist() == [1.0]  # i0 is all of user 0's
    assert result.counts()["all"]["without_relevant"] == 1  # user 1 is shown


def plain_values(scores: Any, relevant: list[set[int]], allowed: Any, k: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"recall": [], "ndcg": [], "map": []}
    for row, mine in zip(scores, relevant, strict=True):
        mine = {i for i in mine if allowed[i]}
        if mine:
            ranked = sorted(np.flatnonzero(allowed), key=lambda i: (-row[i], i))[:k]
            ranks = [r for r, i in enumerate(ranked, 1) if i in mine]
            best = min(k, len(mine))
            found["recall"].append(len(ranks) / len(mine))
            ideal = sum(1 / math.log2(r + 1) for r in range(1, best + 1))
            found["ndcg"].append(sum(1 / math.log2(r + 1) for r in ranks) / ideal)
            found["map"].append(sum(j / r for j, r in enumerate(ranks, 1)) / best)
    return found


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_blocks_of_users_agree_with_a_loop_over_them(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_pass, "BLOCK_USERS", block)
    rng = np.random.default_rng(0)
    scores, warm = rng.integers(0, 30, size=(25, 40)), rng.random(40) < 0.6
    relevant = [set(rng.choice(40, size=rng.integers(1, 8), replace=False).tolist()) for _ in range(25)]
    model = Fixed(scores)
    test = later([(u, i) for u, items in enumerate(relevant) for i in items])
    result = evaluate({A: model}, test, warm=warm, ks=(3, 10), resamples=20)
    for segment, allowed in {"all": warm | ~warm, "warm": warm, "cold": ~warm}.items():
        for k in (3, 10):
            for metric, values in plain_values(scores, relevant, allowed, k).items():
                np.testing.assert_allclose(result.user_values(A, metric, k, segment), values, rtol=1e-6)  # float32
    assert max(model.asked) <= block
    # One pass a segment serves six metrics and both k: each averaged user is asked for once a segment.
    assert sum(model.asked) == sum(part["averaged"] for part in result.counts().values())


def test_rows_and_comparisons_are_what_the_report_reads() -> None:
    result = evaluate({A: DOWN, B: UP}, TEST, warm=WARM, ks=(1, 2), resamples=50)
    found = json.loads(json.dumps(result.to_json(A), allow_nan=False))
    assert found["baseline"] == "a / none"
    assert len(found["rows"]) == 2 * 3 * 2 * (len(METRICS) + len(SHARES)) - 2 * 2 * 2  # cold_share: in "all" only
    for row in found["rows"]:
        assert set(row) == set(
            ["model", "features", "segment", "metric", "k", "value", "low", "high", "n_users", "denominator"]
        )
        if row["metric"] in METRICS:
            assert 0 <= row["low"] <= row["value"] + 1e-6
            assert row["value"] <= row["high"] + 1e-6 <= 1 + 2e-6
    assert {r["denominator"] for r in found["rows"] if r["metric"] == "map"} == {"min(k, the user's relevant items)"}
    assert len(found["comparisons"]) == 3 * 2 * len(METRICS)
    for row in found["comparisons"]:
        key = (row["metric"], row["k"], row["segment"])
        assert row["difference"] == pytest.approx(result.mean(B, *key) - result.mean(A, *key), abs=1e-7)
        assert row["low"] <= row["difference"] + 1e-6 <= row["high"] + 2e-6
        assert row["n_better"] + row["n_worse"] <= row["n_users"]
        assert row["p_value"] <= row["p_adjusted"] <= 1


def test_users_who_gain_and_lose_are_counted() -> None:
    result = evaluate({A: DOWN, B: UP}, TEST, segments=("all",), ks=(2,), resamples=50)
    row = next(r for r in result.compare(A) if r["metric"] == "recall")
    # UP lists i3 and i2: u0 still has one of two, u1 loses i1, u2 gains i2.
    assert (row["n_users"], row["n_better"], row["n_worse"], row["difference"]) == (3, 1, 1, 0.0)


def test_holm_is_over_the_models_of_one_segment_metric_and_k() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((80, 30))
    test = later([(u, i) for u in range(80) for i in np.argsort(-truth[u])[:3]])
    models = {f"m{j}": Fixed(truth + noise * rng.random((80, 30))) for j, noise in enumerate((9, 5, 3, 9))}
    result = evaluate(models, test, segments=("all",), ks=(5, 10), resamples=200)
    for metric in METRICS:
        family = [r for r in result.compare("m0") if (r["metric"], r["k"]) == (metric, 5)]
        raw = sorted(r["p_value"] for r in family)
        expected = np.minimum(np.maximum.accumulate([3 * raw[0], 2 * raw[1], raw[2]]), 1)  # Holm by hand
        assert sorted(r["p_adjusted"] for r in family) == pytest.approx(expected)
    alone = result.compare("m0", among=["m2"])
    assert {r["model"] for r in alone} == {"m2"}
    assert all(r["p_adjusted"] == r["p_value"] for r in alone)


def test_a_better_model_is_found_better_and_best() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((200, 40))
    test = later([(u, i) for u in range(200) for i in np.argsort(-truth[u])[:3]])
    models = {
        "good": Fixed(truth + 0.3 * rng.random((200, 40))),
        "bad": Fixed(rng.random((200, 40))),
        "twin": Fixed(rng.random((200, 40))),
    }
    result = evaluate(models, test, warm=np.ones(40, dtype=bool), ks=(10,), resamples=500)
    assert result.best_of(models, "recall", 10) == ModelKey("good")
    assert result.best_of(["twin", "bad", "twin"], "recall", 10).model in {"twin", "bad"}
    rows = result.compare("bad")
    found = {r["model"]: r for r in rows if r["metric"] == "recall" and r["segment"] == "all"}
    assert found["good"]["low"] > 0
    assert found["good"]["p_adjusted"] < 0.05
    assert found["twin"]["low"] < 0 < found["twin"]["high"]
    # Everything is warm: the cold segment is counted and shown, and has no rows.
    assert result.counts()["cold"] == dict(averaged=0, without_relevant=200, candidates=0, relevant_items=0)
    assert not [r for r in (*rows, *result.rows()) if r["segment"] == "cold"]
    assert any(note.startswith("Nobody in the test has a relevant item") for note in result.notes())
    with pytest.raises(DataError, match="no best model in segment 'cold'"):
        result.best_of(models, "recall", 10, "cold")


def test_groups_break_the_lists_over_all_candidates_down() -> None:
    rng = np.random.default_rng(4)
    scores, kinds = rng.random((25, 40)), rng.integers(0, 3, size=40)
    relevant = [set(rng.choice(40, size=rng.integers(1, 8), replace=False).tolist()) for _ in range(25)]
    ages = rng.integers(0, 2, size=25)
    model = Fixed(scores)
    groups = (
        Groups("kind", "items", kinds, ("x", "y", "z")),
        Groups("age", "users", ages, ("new", "old")),
        Groups("blank", "items", np.full(40, -1), ("none of these",)),
    )
    test = later([(u, i) for u, items in enumerate(relevant) for i in items])
    result = evaluate({A: model}, test, segments=("all",), ks=(3, 10), groups=groups, resamples=20)
    assert sum(model.asked) == 25  # no further lists are made
    for code, label in enumerate("xyz"):
        part = result.groups[f"kind: {label}"]
        expected = []
        for u, items in enumerate(relevant):
            mine = {i for i in items if kinds[i] == code}
            if mine:
                top = sorted(range(40), key=lambda i, u=u: (-scores[u, i], i))[:10]  # type: ignore[misc]
                expected.append(len(mine & set(top)) / len(mine))
        recall = part.values[A][:, part.columns.index(("recall", 10))]
        np.testing.assert_allclose(recall, expected, rtol=1e-6)
        assert (part.n_users, part.n_without) == (len(expected), 25 - len(expected))
        assert part.n_candidates == (kinds == code).sum()
    whole = result.user_values(A, "ndcg", 10)
    for code, label in enumerate(("new", "old")):
        part = result.groups[f"age: {label}"]
        np.testing.assert_array_equal(part.values[A][:, part.columns.index(("ndcg", 10))], whole[ages == code])
    assert set(result.groups) == {"kind: x", "kind: y", "kind: z", "age: new", "age: old"}
    rows = result.group_rows()
    assert {r["k"] for r in rows} == {10}
    assert len(rows) == 5 * len(METRICS)
    twin = evaluate({A: model, B: Fixed(-scores)}, test, segments=("all",), groups=groups, resamples=20)
    assert {r["segment"] for r in twin.compare(A, groups=True)} == set(result.groups)


def test_effects_are_relative_and_in_standard_deviations() -> None:
    rng = np.random.default_rng(3)
    truth = rng.random((60, 30))
    test = later([(u, i) for u in range(60) for i in np.argsort(-truth[u])[:3]])
    models = {"a": Fixed(truth + 9 * rng.random((60, 30))), "b": Fixed(truth + 2 * rng.random((60, 30)))}
    result = evaluate(models, test, segments=("all",), ks=(5,), resamples=50)
    row = next(r for r in result.compare("a") if r["metric"] == "ndcg")
    a, b = (result.user_values(name, "ndcg", 5).astype(float) for name in "ab")
    assert row["relative"] == pytest.approx(b.mean() / a.mean() - 1)
    assert row["effect_size"] == pytest.approx(stats.ttest_rel(b, a).statistic / np.sqrt(60))  # t = d_z sqrt(n)
    same = next(r for r in evaluate({A: DOWN, B: DOWN}, TEST, warm=WARM, resamples=50).compare(A))
    assert (same["difference"], same["effect_size"]) == (0.0, None)


def test_bh_is_milder_than_holm_on_the_same_p_values() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((80, 30))
    test = later([(u, i) for u in range(80) for i in np.argsort(-truth[u])[:3]])
    models = {f"m{j}": Fixed(truth + noise * rng.random((80, 30))) for j, noise in enumerate((9, 5, 3, 9))}
    result = evaluate(models, test, segments=("all",), ks=(5,), resamples=200)
    holm, bh = result.compare("m0"), result.compare("m0", adjust="bh")
    assert [r["p_value"] for r in holm] == [r["p_value"] for r in bh]
    assert all(a["p_adjusted"] >= b["p_adjusted"] >= b["p_value"] for a, b in zip(holm, bh, strict=True))
    assert any(a["p_adjusted"] > b["p_adjusted"] for a, b in zip(holm, bh, strict=True))


def test_metrics_are_chosen_by_name_and_read_as_deep_as_they_need() -> None:
    result = evaluate({A: DOWN}, TEST, warm=WARM, ks=(1,), metrics=("pauc", "recall"), segments=("all",), resamples=20)
    assert {r["metric"] for r in result.rows()} - set(SHARES) == {"pauc", "recall"}
    # u0 has i0 and i3; the highest irrelevant one is i1: i0 is above it, i3 is not. u1 has i1, below i0. u2 has i2.
    assert result.user_values(A, "pauc", 1).tolist() == [0.5, 0.0, 0.0]


def test_same_seed_same_result() -> None:
    first, again = (evaluate({A: DOWN, B: UP}, TEST, warm=WARM, resamples=50, seed=3).to_json(A) for _ in range(2))
    assert first == again


def nan_scores(scores: npt.ArrayLike) -> Fixed:
    """Lists as they should be, with one broken score."""
    model = Fixed(scores)
    inner = model.top_items

    def top_items(user_idx: Any, **rest: Any) -> Any:
        lists, best = inner(user_idx, **rest)
        best[0, 0] = np.nan
        return lists, best

    model.top_items = top_items  # type: ignore[method-assign]
    return model


def answers(lists: Any) -> Fixed:
    """Says the same whatever it is asked."""
    model = Fixed(np.zeros((3, 4)))
    array = np.asarray(lists, dtype=np.int64)
    model.top_items = lambda user_idx, **rest: (array, np.ones(array.shape, np.float32))  # type: ignore[method-assign]
    return model


Case = tuple[Callable[[], Any], type[StylerecError], str]
REFUSED: list[Case] = [
    (lambda: evaluate({}, TEST, warm=WARM), DataError, "no models were given"),
    (
        lambda: evaluate({A: DOWN}, Interactions(TEST.frame[:0], TEST.rejected), warm=WARM),
        DataError,
        "test side is empty",
    ),
    (lambda: evaluate({A: DOWN}, later([(0, 0)], weight=0.0), warm=WARM), DataError, "no test row is relevant"),
    (lambda: evaluate({A: DOWN}, later([(0, 0)]), warm=WARM, segments=("cold",)), DataError, "among the cold items"),
    (lambda: evaluate({A: DOWN}, TEST, warm=WARM, ks=(10, 0)), ConfigError, "k must be >= 1"),
    (lambda: evaluate({A: DOWN}, TEST, warm=WARM, segments=("cool",)), ConfigError, "did you mean 'cold'"),
    (lambda: evaluate({A: DOWN}, TEST, warm=WARM, metrics=("recal",)), ConfigError, "did you mean 'recall'"),
    (lambda: evaluate({A: DOWN}, TEST, warm=WARM, metrics=()), ConfigError, "metrics must name at least one"),
    (
        lambda: evaluate({A: DOWN}, TEST, warm=WARM, groups=[Groups("g", "items", np.zeros(3, int), ("x",))]),
        DataError,
        "groups 'g' need a code for each of 4 items, got 3",
    ),
    (
        lambda: evaluate(
            {A: DOWN}, TEST, warm=WARM, segments=("cold",), groups=[Groups("g", "items", 0 * WARM, ("x",))]
        ),
        ConfigError,
        "add the segment 'all'",
    ),
    (lambda: evaluate({A: DOWN}, TEST, warm=WARM).compare(A, adjust="hol"), ConfigError, "did you mean 'holm'"),
    (lambda: evaluate({A: DOWN}, TEST), ConfigError, "pass warm=dataset.is_warm"),
    (lambda: evaluate({A: DOWN}, TEST, warm=WARM[:2]), DataError, r"warm must have shape \(4,\), got \(2,\)"),
    (lambda: evaluate({A: DOWN}, later([(9, 0)]), warm=WARM), UnknownIdError, "'u9'"),
    (lambda: evaluate({A: DOWN}, later([(0, 9)]), warm=WARM), UnknownIdError, "'i9'"),
    (
        lambda: evaluate({A: DOWN, B: Fixed(np.ones((3, 5)))}, TEST, warm=WARM),
        DataError,
        "b / original was fitted on other",
    ),
    (lambda: evaluate({"a": DOWN, "a / none": UP}, TEST, warm=WARM), ConfigError, "names must be distinct"),
    (lambda: evaluate({A: nan_scores(np.ones((3, 4)))}, TEST, warm=WARM), DataError, "a / none gives NaN scores"),
    (
        lambda: evaluate({A: answers([[1, 1]] * 3)}, TEST, warm=WARM, ks=(2,)),
        DataError,
        "model a / none: row 0 recommends item index 1 more than once",
    ),
    (
        lambda: evaluate({A: answers([[1, 4]] * 3)}, TEST, warm=WARM, ks=(2,)),
        DataError,
        "model a / none: lists must hold item indices",
    ),
    (lambda: evaluate({A: answers([[1, 2]] * 3)}, TEST, warm=WARM), DataError, r"shape \(3, 2\), expected \(3, 20\)"),
    (
        lambda: evaluate({A: answers([[2, 3]] * 2)}, TEST, warm=WARM, ks=(2,), segments=("warm",)),
        DataError,
        "outside the candidates",
    ),
    (lambda: evaluate({A: DOWN}, TEST, warm=WARM, resamples=0), ConfigError, "resamples must be >= 1"),
    (lambda: evaluate({A: DOWN}, TEST, warm=WARM).compare("als"), ConfigError, "unknown model 'als / none'"),
    (lambda: evaluate({A: DOWN}, TEST, warm=WARM).mean(A, "recal", 10), ConfigError, "did you mean 'recall@10'"),
    (lambda: evaluate({A: DOWN}, TEST, warm=WARM).best_of([], "recall", 10), DataError, "no models were given"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_bad_input_is_refused_by_name(call: Callable[[], Any], error: type[StylerecError], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_pairs_with_baselines_of_their_own_are_one_family() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((80, 30))
    test = later([(u, i) for u in range(80) for i in np.argsort(-truth[u])[:3]])
    models = {f"m{j}": Fixed(truth + noise * rng.random((80, 30))) for j, noise in enumerate((9, 5, 3, 2))}
    result = evaluate(models, test, segments=("all",), ks=(5,), metrics=("ndcg",), resamples=200)
    rows = result.compare_pairs([("m1", "m0"), ("m3", "m2")])
    assert [(r["model"], r["baseline"]) for r in rows] == [("m1", "m0 / none"), ("m3", "m2 / none")]
    raw = sorted(r["p_value"] for r in rows)
    assert sorted(r["p_adjusted"] for r in rows) == pytest.approx([min(2 * raw[0], 1), max(2 * raw[0], raw[1])])
    assert [r["difference"] for r in result.compare("m0", among=["m1"])] == [rows[0]["difference"]]
    with pytest.raises(ConfigError, match="unknown model 'm9 / none'"):
        result.compare_pairs([("m1", "m9")])
