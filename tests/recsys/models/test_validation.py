"""Oracles: a loop over users, and lists in which cold items are counted."""

import dataclasses

import numpy as np
import pytest
from model_contract import shop

from recsys.errors import ConfigError, DataError
from recsys.models.popularity import Popularity
from recsys.models.validation import Holdout, K
from recsys.topk import top_k


@pytest.fixture(scope="module")
def data():
    return shop(n_users=40)


class Table:
    """Lists from a score matrix over all users."""

    def __init__(self, past, scores):
        self.scores = np.where(past.matrix.toarray() > 0, -np.inf, scores).astype(np.float32)

    def top_items(self, user_idx, *, k, exclude_seen=True, allowed=None):
        scores = self.scores[user_idx].copy()
        if allowed is not None:
            scores[:, ~allowed] = -np.inf
        return top_k(scores, k)


def test_the_past_is_before_what_is_judged(data):
    held = Holdout.of(data, 0.25)
    assert held.past.timestamp.max() < np.sort(data.timestamp)[int(len(data.timestamp) * 0.75)]
    assert len(held.past.items) == len(data.items)
    assert 0.6 < len(held.past.timestamp) / len(data.timestamp) <= 0.75  # whole days go to one side
    past = held.past.matrix.toarray() > 0
    user = held.users[held.owner]
    assert not past[user, held.item].any()
    assert past[held.users].any(axis=1).all()
    assert (data.matrix.toarray()[user, held.item] > 0).all()
    assert len(set(zip(user, held.item, strict=True))) == len(user)


def test_ndcg_equals_a_loop(data):
    held = Holdout.of(data, 0.25)
    table = Table(held.past, np.random.default_rng(0).normal(size=(40, 34)))
    expected = []
    for position, user in enumerate(held.users):
        wanted = set(held.item[held.owner == position])
        ranked = [i for i in np.argsort(-table.scores[user], kind="stable") if table.scores[user, i] > -np.inf][:K]
        gain = sum(1 / np.log2(rank + 2) for rank, item in enumerate(ranked) if item in wanted)
        expected.append(gain / sum(1 / np.log2(rank + 2) for rank in range(min(len(wanted), K))))
    assert held.ndcg(table) == pytest.approx(np.mean(expected), abs=1e-12)


@pytest.mark.parametrize("shift", [-8.0, 0.0, 8.0])
def test_with_the_offset_lists_hold_as_many_cold_items_as_were_chosen(shift):
    data = shop(n_users=300, n_items=400)
    rng = np.random.default_rng(0)
    late = data.timestamp >= np.sort(data.timestamp)[int(len(data.timestamp) * 0.75)]
    item = np.where(late & (rng.random(len(late)) < 0.3), rng.integers(30, 400, len(late)), data.item_idx)
    data = dataclasses.replace(data, item_idx=item)  # three in ten later choices are of new items
    held = Holdout.of(data, 0.25)
    warm = held.past.is_warm
    scores = rng.normal(size=(300, 400)) + np.where(warm, 0, shift)
    offset = held.cold_offset(Table(held.past, scores))
    lists, _ = Table(held.past, scores + np.where(warm, 0, offset)).top_items(held.users, k=K)
    share = (~warm[lists[lists >= 0]]).mean()
    assert held.cold_share > 0.2
    assert share == pytest.approx(held.cold_share, abs=0.02)  # one list in twenty is a step of .05 for one user


def test_too_little_is_refused(data):
    with pytest.raises(DataError, match="leaves nothing"):
        Holdout.of(data, 0.999)
    with pytest.raises(DataError, match="no timestamp"):
        Holdout.of(dataclasses.replace(data, timestamp=np.full_like(data.timestamp, "NaT")), 0.2)


def test_where_there_are_too_few_cold_items_the_offset_is_no_larger_than_it_takes_to_list_them_all():
    data = shop(n_users=40, n_items=32)  # items 30 and 31 are cold
    late = data.timestamp >= np.sort(data.timestamp)[int(len(data.timestamp) * 0.75)]
    item = np.where(late, 30 + np.arange(len(late)) % 2, data.item_idx)
    data = dataclasses.replace(data, item_idx=item)
    held = Holdout.of(data, 0.25)
    assert held.cold_share > 2 / K  # more than two items can fill
    scores = np.random.default_rng(0).normal(size=(40, 32))
    offset = held.cold_offset(Table(held.past, scores))
    assert abs(offset) < np.ptp(scores) + 1
    lists, _ = Table(held.past, scores + offset * ~held.past.is_warm).top_items(held.users, k=K)
    assert ((lists == 30) | (lists == 31)).sum(axis=1).min() >= 1


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ConfigError, match="share to hold out"):
        Holdout.of(shop(), share)


def test_a_tiny_share_holds_out_the_last_moment():
    holdout = Holdout.of(shop(), 0.001)
    assert len(holdout.past.timestamp) < len(shop().timestamp)


def test_an_unknown_judge_is_named():
    holdout = Holdout.of(shop(), 0.2)
    with pytest.raises(ConfigError, match="did you mean 'halves'"):
        holdout.ndcg(Popularity().fit(holdout.past), "halfs")
