"""Oracle: a loop over users."""

import dataclasses

import numpy as np
import pytest
from model_contract import shop
from score_table import Table

from recsys.errors import ConfigError, DataError
from recsys.models.popularity import Popularity
from recsys.models.validation import Holdout, K


@pytest.fixture(scope="module")
def data():
    return shop(n_users=40)


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


def test_too_little_is_refused(data):
    with pytest.raises(DataError, match="leaves nothing"):
        Holdout.of(data, 0.999)
    with pytest.raises(DataError, match="no timestamp"):
        Holdout.of(dataclasses.replace(data, timestamp=np.full_like(data.timestamp, "NaT")), 0.2)


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
