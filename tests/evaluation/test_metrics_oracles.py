"""Oracles: trec_eval (pytrec-eval-terrier), ranx with its README, scikit-learn, RecTools' documentation."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from evaluation import metrics
from evaluation.metrics import RANKING, best_gains, gain_matrix, hit_matrix, ndcg_graded

EXACT = 1e-12  # both sides add the same few doubles, in another order
TREC = {"precision": "P", "recall": "recall", "ndcg": "ndcg_cut", "map_all": "map_cut"}
RANX = {
    "precision": "precision",
    "recall": "recall",
    "hit_rate": "hit_rate",
    "ndcg": "ndcg",
    "map_all": "map",
    "mrr": "mrr",
}


@pytest.fixture(scope="module")
def ranx() -> Iterator[ModuleType]:
    """ranx without its compiler: the same code, and no minute of compiling."""
    import numba

    before, numba.config.DISABLE_JIT = numba.config.DISABLE_JIT, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what its imports deprecate
            import ranx
        yield ranx
    finally:
        numba.config.DISABLE_JIT = before


@st.composite
def problems(draw: st.DrawFn) -> dict[str, Any]:
    """Lists of one length without ties, and grades of some items, at least one a user; grades are 1 to 4."""
    n_users, n_items = draw(st.integers(1, 4)), draw(st.integers(2, 14))
    width, k = draw(st.integers(1, n_items)), draw(st.integers(1, 12))
    lists = [draw(st.permutations(range(n_items)))[:width] for _ in range(n_users)]
    grades = [draw(st.dictionaries(st.integers(0, n_items - 1), st.integers(1, 4), min_size=1)) for _ in range(n_users)]
    pairs = [(u, i, g) for u, own in enumerate(grades) for i, g in own.items()]
    user, item, grade = (np.array(column) for column in zip(*pairs, strict=True))
    return {
        "items": np.array(lists),
        "user": user,
        "item": item,
        "gain": grade.astype(float),
        "n_items": n_items,
        "n_relevant": np.array([len(own) for own in grades]),
        "k": k,
        "run": {f"q{u}": {f"d{i}": float(width - r) for r, i in enumerate(row)} for u, row in enumerate(lists)},
        "qrels": {f"q{u}": {f"d{i}": g for i, g in own.items()} for u, own in enumerate(grades)},
    }


def hits_of(p: dict[str, Any]) -> np.ndarray:
    return hit_matrix(p["items"], p["user"], p["item"], p["n_items"])


def graded(p: dict[str, Any], k: int) -> np.ndarray:
    gains = gain_matrix(p["items"], p["user"], p["item"], p["gain"], p["n_items"])
    return ndcg_graded(gains, best_gains(p["user"], p["gain"], len(p["items"]), k), k)


def binary(qrels: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {q: dict.fromkeys(own, 1) for q, own in qrels.items()}


def trec(qrels: dict[str, Any], run: dict[str, Any], measure: str) -> list[float]:
    found = pytrec_eval.RelevanceEvaluator(qrels, {measure}).evaluate(run)
    return [found[q][measure.replace(".", "_")] for q in run]


@settings(max_examples=150, deadline=None)
@given(p=problems())
def test_trec_eval_has_the_same_values(p: dict[str, Any]) -> None:
    hits, k = hits_of(p), p["k"]
    for name, theirs in TREC.items():
        expected = trec(binary(p["qrels"]), p["run"], f"{theirs}.{k}")
        np.testing.assert_allclose(RANKING[name].function(hits, p["n_relevant"], k), expected, rtol=EXACT, err_msg=name)
    np.testing.assert_allclose(graded(p, k), trec(p["qrels"], p["run"], f"ndcg_cut.{k}"), rtol=EXACT)
    every = p["n_items"]
    for name, theirs in {"mrr": "recip_rank", "r_precision": "Rprec", "map_all": "map", "ndcg": "ndcg"}.items():
        expected = trec(binary(p["qrels"]), p["run"], theirs)
        found = RANKING[name].function(hits, p["n_relevant"], every)
        np.testing.assert_allclose(found, expected, rtol=EXACT, err_msg=name)
    expected = trec(binary(p["qrels"]), p["run"], "success.5")
    np.testing.assert_array_equal(metrics.hit_rate(hits, p["n_relevant"], 5), expected)


@settings(max_examples=80, deadline=None)
@given(p=problems())
def test_ranx_has_the_same_values(ranx: ModuleType, p: dict[str, Any]) -> None:
    hits, k = hits_of(p), p["k"]

    def theirs(qrels: dict[str, Any], name: str) -> np.ndarray:
        return np.atleast_1d(ranx.evaluate(ranx.Qrels(qrels), ranx.Run(p["run"]), name, return_mean=False))

    for name, other in RANX.items():
        expected = theirs(binary(p["qrels"]), f"{other}@{k}")
        np.testing.assert_allclose(RANKING[name].function(hits, p["n_relevant"], k), expected, rtol=EXACT, err_msg=name)
    np.testing.assert_allclose(graded(p, k), theirs(p["qrels"], f"ndcg@{k}"), rtol=EXACT)
    expected = theirs(binary(p["qrels"]), "rbp.80")
    np.testing.assert_allclose(metrics.rbp(hits, p["n_relevant"], p["items"].shape[1]), expected, rtol=EXACT)


def test_ranx_readme() -> None:
    # ranx 0.3 README, "Define Qrels and Run": q_1 {d_12: 5, d_25: 3}, q_2 {d_11: 6, d_22: 1}; runs as ranked there.
    items = np.array([[12, 23, 25, 36, 32, 35], [12, 11, 25, 36, 22, 35]])
    user, item, gain = np.array([0, 0, 1, 1]), np.array([12, 25, 11, 22]), np.array([5.0, 3.0, 6.0, 1.0])
    hits, relevant = hit_matrix(items, user, item, 40), np.array([2, 2])
    found = ndcg_graded(gain_matrix(items, user, item, gain, 40), best_gains(user, gain, 2, 5), 5)
    assert found.mean() == pytest.approx(0.7861261, abs=5e-8)  # as printed, seven digits
    assert metrics.average_precision_all(hits, relevant, 5).mean() == pytest.approx(0.6416667, abs=5e-8)
    assert metrics.average_precision(hits, relevant, 5).mean() == pytest.approx(0.6416667, abs=5e-8)  # 2 <= k
    assert metrics.reciprocal_rank(hits, relevant, 6).mean() == 0.75


def test_ndcg_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, (50, 30)) * (rng.random((50, 30)) < 0.15).astype(float)
    truth[:, 0] = 2.0  # scikit-learn gives 0 where nothing is relevant; that case is ours to define
    scores = rng.permuted(np.tile(np.arange(30.0), (50, 1)), axis=1)
    gains = np.take_along_axis(truth, np.argsort(-scores, axis=1), axis=1)
    best, hits = -np.sort(-truth, axis=1), gains > 0
    for k in (1, 5, 30):
        found = ndcg_graded(gains, best, k).mean()
        assert found == pytest.approx(ndcg_score(truth, scores, k=k), rel=1e-12)
        expected = ndcg_score((truth > 0).astype(float), scores, k=k)
        assert metrics.ndcg(hits, hits.sum(axis=1), k).mean() == pytest.approx(expected, rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(p=problems())
def test_auc_is_scikit_learns(p: dict[str, Any]) -> None:
    hits, n_items = hits_of(p), p["n_items"]
    found = metrics.auc(hits, p["n_relevant"], n_items)
    for u, row in enumerate(p["items"]):
        score = np.full(n_items, -1000.0)  # unlisted items: tied, below all
        score[row] = -np.arange(len(row))
        truth = np.isin(np.arange(n_items), p["item"][p["user"] == u])
        if truth.all():
            assert np.isnan(found[u])
        else:
            assert found[u] == pytest.approx(roc_auc_score(truth, score), rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(row=st.lists(st.booleans(), min_size=2, max_size=16), k=st.integers(1, 16))
def test_partial_auc_is_scikit_learns_on_the_highest(row: list[bool], k: int) -> None:
    hits = np.array(row)
    n = int(hits.sum())
    if not n or len(row) - n < k:
        return  # there are no k irrelevant items to compare with
    score = -np.arange(len(row), dtype=float)
    negative, positive = np.flatnonzero(~hits)[:k], np.flatnonzero(hits)
    for found, few in ((metrics.pauc, positive), (metrics.pap, positive[:k])):
        chosen = np.concatenate([few, negative])
        expected = roc_auc_score(hits[chosen], score[chosen])
        assert found(hits[None], np.array([n]), k)[0] == pytest.approx(expected, rel=1e-12)


def test_partial_auc_of_rectools_documentation() -> None:
    # RecTools 0.7, PartialAUC: lists [1, 2], [3, 1, 2], [3, 2]; relevant {1, 2}, {1, 3}, {1, 2}.
    items = np.array([[1, 2, -1], [3, 1, 2], [3, 2, -1]])
    hits = hit_matrix(items, np.repeat([0, 1, 2], 2), np.array([1, 2, 1, 3, 1, 2]), 4)
    np.testing.assert_allclose(metrics.pauc(hits, np.array([2, 2, 2]), 1), [1, 1, 0])
    np.testing.assert_allclose(metrics.pauc(hits, np.array([2, 2, 2]), 3), [1, 1, 1 / 3], rtol=1e-12)
