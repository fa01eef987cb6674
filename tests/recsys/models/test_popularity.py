"""Oracle: counting by hand."""

import numpy as np
import pytest
from model_contract import ModelContract, shop
from small_shop import later_shop

from recsys.errors import ConfigError, DataError
from recsys.models.popularity import Popularity


class TestPopularity(ModelContract):
    model = Popularity()
    personal = False

    def test_similar_items(self, fitted, data):
        with pytest.raises(ConfigError, match="popularity knows no similar items"):
            fitted.similar_items([data.items.ids[0]], k=1)


class TestDecayedPopularity(TestPopularity):
    model = Popularity(half_life_days=20.0)


def test_counts_weights():
    data = shop()
    expected = np.zeros(34)
    np.add.at(expected, data.item_idx, data.weight)
    np.testing.assert_array_equal(Popularity().fit(data).item_score, expected)


def test_weight_halves_every_half_life():
    data = shop()
    data.timestamp[:] = np.datetime64("2020-01-01", "ns")
    data.timestamp[0] += np.timedelta64(60, "D")  # the last one; all others are 60 days older
    score = Popularity(half_life_days=30.0).fit(data).item_score
    counts = np.bincount(data.item_idx, weights=data.weight, minlength=34)
    expected = counts / 4
    expected[data.item_idx[0]] += 0.75
    np.testing.assert_allclose(score, expected, rtol=1e-6)


def test_decay_needs_timestamps():
    data = shop()
    data.timestamp[3] = np.datetime64("NaT")
    Popularity().fit(data)
    with pytest.raises(DataError, match="1 interactions have none"):
        Popularity(half_life_days=1.0).fit(data)


def test_a_later_dataset_is_counted_anew():
    later = later_shop()
    for model in (Popularity(), Popularity(half_life_days=9.0)):
        grown = model.fit(shop()).partial_fit(later)
        np.testing.assert_array_equal(grown.item_score, model.fit(later).item_score)


@pytest.mark.parametrize("days", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_an_impossible_half_life(days):
    with pytest.raises(ConfigError, match="half_life_days must be > 0"):
        Popularity(half_life_days=days)
