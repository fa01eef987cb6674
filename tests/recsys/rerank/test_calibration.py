"""Oracles: Steck's equations written out for one list at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shop_lists import ITEMS, candidates, shop

from recsys.errors import ConfigError
from recsys.rerank.calibration import Calibrate, calibrated
from recsys.rerank.known import Known
from recsys.rerank.lists import Lists


def divergence(target, group, size):
    """KL(p, q~) with q~ = .99 q + .01 p (Steck 2018, eq. 3 and 4)."""
    q = np.array([np.sum(np.asarray(group) == g) for g in range(len(target))]) / size
    smooth = 0.99 * q + 0.01 * target
    return sum(p * np.log(p / s) for p, s in zip(target, smooth, strict=True) if p > 0)


def greedy_by_definition(value, group, target, k, trade):
    chosen = []
    for _ in range(k):
        left = [i for i in range(len(value)) if i not in chosen and value[i] > -np.inf]
        if not left:
            break
        gain = [
            trade * sum(value[[*chosen, i]]) - (1 - trade) * divergence(target, group[[*chosen, i]], len(chosen) + 1)
            for i in left
        ]
        best = max(gain)
        chosen.append(next(i for i, g in zip(left, gain, strict=True) if g > best - 1e-12))  # ties: the first
    return chosen + [-1] * (k - len(chosen))


@given(st.integers(0, 500), st.sampled_from([0.0, 0.4, 0.9]))
@settings(max_examples=40)
def test_equals_its_definition(seed, trade):
    rng = np.random.default_rng(seed)
    value = np.sort(rng.random((3, 8)), axis=1)[:, ::-1].copy()
    value[2, 3:] = -np.inf
    group = rng.integers(-1, 4, (3, 8))
    target = rng.dirichlet(np.ones(4), 3)
    target[0, 1] = 0
    target[0] /= target[0].sum()
    expected = [greedy_by_definition(*row, 5, trade) for row in zip(value, group, target, strict=True)]
    assert calibrated(value, group, target, 5, trade).tolist() == expected


def test_a_list_takes_the_shares_of_its_user():
    # 70 % / 30 %: of 10 places 7 and 3 (KL is 0 there), though all of group 0 has the higher value.
    value = np.concatenate([np.linspace(1, 0.6, 20), np.linspace(0.4, 0, 20)])[None]
    group = np.repeat([0, 1], 20)[None]
    chosen = calibrated(value, group, np.array([[0.7, 0.3]]), 10, 0.0)
    assert np.bincount(group[0, chosen[0]]).tolist() == [7, 3]


def test_full_trade_changes_nothing_and_users_without_history_keep_their_lists():
    lists, known = Lists.of(candidates(), ITEMS), shop()
    np.testing.assert_array_equal(Calibrate("category", trade=1.0)(lists, known, 6).item, lists.item)
    moved = Calibrate("category", trade=0.0)(lists, known, 6)
    np.testing.assert_array_equal(moved.item[0], lists.item[0])
    assert (moved.item[1:4] != lists.item[1:4]).any()
    np.testing.assert_array_equal(np.sort(moved.item, axis=1), np.sort(lists.item, axis=1))


def test_shares_are_of_weights_and_leave_out_items_without_a_group():
    known = shop()
    group, names = known.groups("category")
    assert names == ("bag", "hat", "shoe")
    lists = Lists.of(candidates(), ITEMS)
    weight = known.history.toarray()[2]
    expected = np.array([weight[group == g].sum() for g in range(3)])
    np.testing.assert_allclose(known.shares(lists, group, 3)[2], expected / expected.sum())
    assert (known.shares(lists, group, 3)[0] == 0).all()


def test_an_unknown_user_has_no_shares():
    known = shop(2)  # knows u0 and u1 only
    assert (known.shares(Lists.of(candidates(), ITEMS), known.groups("seller")[0], 4)[2:] == 0).all()


def test_groups_of_a_block_are_its_columns_or_clusters_of_style():
    known = shop()
    by_kind, kinds = known.groups("kind")
    by_category, categories = known.groups("category")
    assert kinds == categories
    np.testing.assert_array_equal(by_kind, by_category)
    style, names = known.groups("look")
    assert style[3] == -1  # its row is zero
    assert len(names) == 12
    assert set(np.delete(style, 3)) <= set(range(12))
    np.testing.assert_array_equal(style, shop().groups("look")[0])  # same seed, same clusters


def test_refuses_what_it_cannot_use():
    lists = Lists.of(candidates(), ITEMS)
    with pytest.raises(ConfigError, match="column or feature block 'categry'; did you mean 'category'"):
        Calibrate("categry")(lists, shop(), 3)
    with pytest.raises(ConfigError, match="needs what users have"):
        Calibrate("category")(lists, Known(ITEMS, catalog=shop().catalog), 3)
    with pytest.raises(ConfigError, match="trade must lie in"):
        Calibrate("category", trade=-1)
