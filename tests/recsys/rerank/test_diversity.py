"""Oracles: the definitions written out for one list at a time, in float64."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shop_lists import ITEMS, candidates, shop

from recsys.errors import ConfigError
from recsys.rerank.diversity import DPP, MMR, dpp, mmr
from recsys.rerank.lists import Lists


def drawn(seed, n=4, width=9, d=3):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, width, d))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    value = np.sort(rng.random((n, width)), axis=1)[:, ::-1].copy()
    value[-1, 4:] = -np.inf  # a short list
    return value, vectors.astype(np.float32)


def mmr_by_definition(value, vectors, k, trade):
    chosen = []
    for _ in range(k):
        left = [i for i in range(len(value)) if i not in chosen and value[i] > -np.inf]
        if not left:
            break
        gain = [
            trade * value[i] - (1 - trade) * max((float(vectors[i] @ vectors[j]) for j in chosen), default=0)
            for i in left
        ]
        chosen.append(left[int(np.argmax(gain))] if chosen else left[int(np.argmax(value[left]))])
    return chosen + [-1] * (k - len(chosen))


@given(st.integers(0, 500), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
@settings(max_examples=40)
def test_mmr_equals_its_definition(seed, trade):
    value, vectors = drawn(seed)
    expected = [mmr_by_definition(v, x, 6, trade) for v, x in zip(value, vectors, strict=True)]
    assert mmr(value, vectors, 6, trade).tolist() == expected


def log_objective(value, vectors, subset, trade):
    """trade · Σ value + (1 - trade) · log det S, by numpy's determinant."""
    kernel = (1 + vectors[subset].astype(np.float64) @ vectors[subset].T) / 2
    return trade * value[subset].sum() + (1 - trade) * np.linalg.slogdet(kernel)[1]


# S = (1 + cosine) / 2 of d-dimensional vectors has rank d + 1, so 4 items of 3 dimensions can still be told apart.
@given(st.integers(0, 500), st.sampled_from([0.0, 0.4, 0.8]))
@settings(max_examples=40)
def test_every_dpp_choice_is_the_best_next_one(seed, trade):
    value, vectors = drawn(seed)
    found = dpp(value, vectors, 4, trade)
    for v, x, chosen in zip(value, vectors, found, strict=True):
        for step in range(4):
            left = [i for i in range(9) if i not in chosen[:step] and v[i] > -np.inf]
            gains = {i: log_objective(v, x, [*chosen[:step], i], trade) for i in left}
            assert gains[chosen[step]] == pytest.approx(max(gains.values()), abs=1e-4)  # float32 cosines


def test_dpp_of_two_is_the_best_pair_when_all_values_are_equal():
    # The first is arbitrary then (every diagonal entry is 1), so compare with the best pair that contains it.
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(1, 8, 4))
    vectors = (vectors / np.linalg.norm(vectors, axis=2, keepdims=True)).astype(np.float32)
    value = np.ones((1, 8))
    first, second = dpp(value, vectors, 2, 0.0)[0]
    pairs = {p: log_objective(value[0], vectors[0], list(p), 0.0) for p in itertools.combinations(range(8), 2)}
    assert first == 0
    assert tuple(sorted((first, second))) == max((p for p in pairs if 0 in p), key=pairs.__getitem__)


def test_dpp_of_copies_falls_back_to_value():
    vectors = np.tile(np.array([1, 0], np.float32), (1, 6, 1))
    value = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]])
    assert dpp(value, vectors, 6, 0.5).tolist() == [[0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("step", [MMR(("look",), trade=1.0), DPP(("look", "kind"), trade=1.0)])
def test_full_trade_changes_nothing(step):
    lists = Lists.of(candidates(), ITEMS)
    np.testing.assert_array_equal(step(lists, shop(), 6).item, lists.item)


@pytest.mark.parametrize("kind", [MMR, DPP])
def test_no_candidate_is_lost_and_batches_do_not_matter(kind, monkeypatch):
    lists, known = Lists.of(candidates(9), ITEMS), shop(9)
    whole = kind(("look",), trade=0.3)(lists, known, 5)
    monkeypatch.setattr("recsys.rerank.diversity.BATCH_BYTES", 1)
    np.testing.assert_array_equal(kind(("look",), trade=0.3)(lists, known, 5).item, whole.item)
    np.testing.assert_array_equal(np.sort(whole.item, axis=1), np.sort(lists.item, axis=1))
    assert (whole.item[-1, 3:] == -1).all()


@pytest.mark.parametrize("kind", [MMR, DPP])
def test_more_diversity_lowers_mean_likeness(kind):
    lists, known = Lists.of(candidates(40, 20, short=False), ITEMS), shop(40)

    def likeness(trade):
        x = known.vectors(("look",), kind(("look",), trade=trade)(lists, known, 5).item[:, :5])
        return float((x @ x.transpose(0, 2, 1))[:, ~np.eye(5, dtype=bool)].mean())

    assert likeness(0.0) < likeness(0.7) < likeness(1.0)


def test_likeness_over_blocks_is_the_mean_cosine():
    known = shop()
    item = np.array([[0, 1, 5]])
    look, kind = (known.vectors((b,), item)[0].astype(np.float64) for b in ("look", "kind"))
    both = known.vectors(("look", "kind"), item)[0].astype(np.float64)
    np.testing.assert_allclose(both @ both.T, (look @ look.T + kind @ kind.T) / 2, atol=1e-6)


def test_refuses_wrong_settings():
    with pytest.raises(ConfigError, match=r"mmr: trade must lie in \[0, 1\], got 2"):
        MMR(("look",), trade=2)
    with pytest.raises(ConfigError, match="dpp: blocks must name"):
        DPP(())
    with pytest.raises(ConfigError, match="unknown feature block 'loook'; did you mean 'look'"):
        MMR(("loook",))(Lists.of(candidates(), ITEMS), shop(), 3)
