"""Oracles: logs whose later choices are counted, and lists in which cold items are counted."""

import dataclasses

import numpy as np
import pytest
from model_contract import shop
from score_table import Table

from recsys.errors import ConfigError, DataError
from recsys.models.calibration import cold_offset, expected_cold_share
from recsys.models.validation import K


def a_shop_that_renews_itself(*, days=400, life=60, n_users=2000, seed=0):
    """A hundred and fifty choices a day, evenly of the items that appeared in the last ``life`` days, one a day."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), 150)
    item = np.clip(day + life - rng.integers(0, life, len(day)), 0, None)
    log = shop(n_users=n_users, n_items=days + life)
    return dataclasses.replace(
        log,
        user_idx=rng.integers(0, n_users, len(day)),
        item_idx=item,
        weight=np.ones(len(day), np.float32),
        timestamp=np.datetime64("2024-01-01", "ns") + day * np.timedelta64(1, "D"),
    )


def part(data, mask):
    names = ("user_idx", "item_idx", "weight", "timestamp")
    return dataclasses.replace(data, **{n: getattr(data, n)[mask] for n in names})


@pytest.mark.parametrize("horizon", [5, 20, 50, 100])
def test_the_share_of_new_items_among_later_choices_is_foreseen(horizon):
    """Oracle: what is chosen after the cut, counted."""
    data = a_shop_that_renews_itself()
    day = (data.timestamp - data.timestamp.min()) / np.timedelta64(1, "D")
    past, later = part(data, day < 300), part(data, (day >= 300) & (day < 300 + horizon))
    true = (~past.is_warm[later.item_idx]).mean()
    assert expected_cold_share(past, horizon) == pytest.approx(true, abs=0.03)  # 750 choices at least: s.e. .01


def test_without_a_horizon_it_is_the_recent_choices_span():
    data = a_shop_that_renews_itself()
    # a fifth of 400 days, first to last, but for choices made before
    assert expected_cold_share(data) == pytest.approx(expected_cold_share(data, 79.0), abs=0.005)


def test_a_shop_of_old_items_expects_none():
    data = shop(n_users=40)
    item = np.arange(len(data.item_idx)) % 30
    days = np.datetime64("2024-01-01", "ns") + np.arange(len(item)) * np.timedelta64(1, "D")
    assert expected_cold_share(dataclasses.replace(data, item_idx=item, timestamp=days), 10.0) == 0.0


def test_choosing_the_same_again_is_no_choice_of_an_old_item():
    data = a_shop_that_renews_itself(days=100)
    twice = dataclasses.replace(
        data, **{n: np.concatenate([getattr(data, n)] * 2) for n in ("user_idx", "item_idx", "weight", "timestamp")}
    )
    assert expected_cold_share(twice, 10.0) == pytest.approx(expected_cold_share(data, 10.0), abs=1e-12)


@pytest.mark.parametrize("options", [{"horizon_days": -1.0}, {"horizon_days": np.nan}, {"recent": 0.0}])
def test_what_is_no_span_is_refused(options):
    with pytest.raises(ConfigError, match="horizon_days must be"):
        expected_cold_share(shop(), **options)


def test_choices_without_a_time_are_refused():
    data = shop()
    with pytest.raises(DataError, match="no timestamp"):
        expected_cold_share(dataclasses.replace(data, timestamp=np.full_like(data.timestamp, "NaT")))


@pytest.mark.parametrize("shift", [-8.0, 0.0, 8.0])
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_with_the_offset_lists_hold_the_share_that_was_asked(shift, share):
    data = shop(n_users=300, n_items=400)
    warm = data.is_warm
    scores = np.random.default_rng(0).normal(size=(300, 400)) + np.where(warm, 0, shift)
    offset = cold_offset(Table(data, scores), data, share)
    lists, _ = Table(data, scores + np.where(warm, 0, offset)).top_items(np.arange(300), k=K)
    # some have no 20 warm items left to show, and are filled with cold ones whatever the offset
    got = np.mean([(~warm[row[row >= 0]]).mean() for row in lists])
    assert got == pytest.approx(share, abs=0.02)


def test_where_there_are_too_few_cold_items_the_offset_is_no_larger_than_it_takes_to_list_them_all():
    data = shop(n_users=40, n_items=32)  # items 30 and 31 are cold
    scores = np.random.default_rng(0).normal(size=(40, 32))
    offset = cold_offset(Table(data, scores), data, 0.9)
    assert abs(offset) < np.ptp(scores) + 1
    lists, _ = Table(data, scores + offset * ~data.is_warm).top_items(np.arange(40), k=K)
    assert ((lists == 30) | (lists == 31)).sum(axis=1).min() >= 1


def test_where_nothing_is_cold_there_is_no_offset():
    data = shop(n_users=40, n_items=30)
    assert data.is_warm.all()
    assert cold_offset(Table(data, np.zeros((40, 30))), data, 0.5) == 0.0
