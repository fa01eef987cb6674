"""Oracle: a full sort by (score descending, BLAKE2b of the id)."""

from hashlib import blake2b

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from small_shop import shop

from recsys.models.als import ALS
from recsys.models.popularity import Popularity
from recsys.models.ties import hash_order, top_k_fair
from recsys.retrieval.factors import Factors


@st.composite
def rankings(draw):
    n, m = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    scores = draw(st.lists(st.integers(0, 2), min_size=n * m, max_size=n * m))
    seen = draw(st.lists(st.booleans(), min_size=n * m, max_size=n * m))
    return {
        "scores": np.array(scores, np.float32).reshape(n, m),
        "seen": np.array(seen).reshape(n, m),
        "allowed": np.array(draw(st.lists(st.booleans(), min_size=m, max_size=m))),
        "rows": np.array(draw(st.lists(st.integers(0, n - 1), max_size=8)), np.int64),
        "order": np.array(draw(st.permutations(range(m)))),
        "k": draw(st.integers(1, m + 2)),
    }


@pytest.mark.parametrize("as_factors", [False, True])
@given(case=rankings())
def test_equals_a_full_sort(as_factors, case):
    scores, order, k = case["scores"], case["order"], case["k"]
    m = scores.shape[1]
    # The inner product with a unit vector is exact, so both forms have the same ties.
    source = Factors(scores, np.eye(m, dtype=np.float32)) if as_factors else lambda rows: scores[rows]
    found, best = top_k_fair(
        source,
        case["rows"],
        k,
        n_columns=m,
        order=lambda: order,
        seen=sp.csr_array(case["seen"].astype(np.float32)),
        allowed=case["allowed"],
    )
    place = np.argsort(order)
    assert found.shape == best.shape == (len(case["rows"]), k)
    for row, columns, values in zip(case["rows"], found, best, strict=True):
        free = np.flatnonzero(case["allowed"] & ~case["seen"][row])
        expected = sorted(free, key=lambda c: (-scores[row, c], place[c]))[:k]
        n = len(expected)
        assert columns[:n].tolist() == expected
        assert (columns[n:] == -1).all()
        assert values[:n].tolist() == scores[row, expected].tolist()
        assert (values[n:] == -np.inf).all()


def test_the_order_of_ties_is_not_asked_for_without_any():
    def order():
        raise AssertionError

    table = np.array([[3.0, 1.0, 2.0]], np.float32)
    assert top_k_fair(lambda r: table[r], np.array([0]), 3, n_columns=3, order=order)[0].tolist() == [[0, 2, 1]]


def test_hash_is_that_of_the_bytes_whatever_stands_beside():
    ids = ["../../x", "👗", "0108775015", "a\ud800b", ""]
    expected = sorted(range(5), key=lambda i: blake2b(ids[i].encode("utf-8", "surrogatepass"), digest_size=8).digest())
    assert hash_order(ids).tolist() == expected
    assert [i for i in hash_order(ids) if i < 3] == hash_order(ids[:3]).tolist()


@pytest.mark.parametrize("model", [Popularity(), ALS(factors=4)])
def test_the_order_of_the_catalogue_is_no_rank(model):
    """Cold items all score the same; their list is the same whichever comes first in the catalogue."""
    data = shop()
    cold = data.items.ids[30:34]
    lists = [model.fit(d).recommend(["user 0"], k=3, allow=cold).item_id.tolist() for d in (data, _turned(data))]
    assert lists[0] == lists[1]
    assert lists[0] == sorted(cold, key=lambda i: blake2b(i.encode(), digest_size=8).digest())[:3]


def _turned(data):
    items = type(data.items).of(data.items.ids[::-1])
    return type(data)(
        data.users,
        items,
        data.user_idx,
        len(items) - 1 - data.item_idx,
        data.weight,
        data.timestamp,
        data.item_features.align(items),
        data.user_features,
    )
