"""Real purchases, split in time. Oracles: chance order, and the popularity baseline."""

import numpy as np
import pandas as pd
import pytest

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.models.hybrid import HybridModel
from recsys.models.popularity import Popularity


@pytest.fixture(scope="module")
def split(data_dir):
    """(train dataset, (n_users, n_items) bool of later purchases of what was not bought before)."""
    folder = data_dir / "hm_fashion"
    log = pd.read_csv(folder / "transactions.csv.gz", dtype=str)
    when = pd.to_datetime(log["t_dat"])
    train, test = log[when <= when.quantile(0.8)], log[when > when.quantile(0.8)]
    items, users = IdMap.of(sorted(log["article_id"].unique())), IdMap.of(sorted(train["user"].unique()))
    about = pd.read_csv(folder / "items.csv.gz", dtype=str).set_index("article_id").loc[list(items)]
    names = ("product_type_name", "section_name", "graphical_appearance_name", "department_name")
    table = FeatureTable(items, tuple(FeatureBlock.one_hot(n, about[n]) for n in names))
    data = Dataset(
        users,
        items,
        users.encode(train["user"].to_numpy(object)),
        items.encode(train["article_id"].to_numpy(object)),
        np.ones(len(train), np.float32),
        pd.to_datetime(train["t_dat"]).to_numpy("datetime64[ns]"),
        table,
        FeatureTable(users),
    )
    later = np.zeros((len(users), len(items)), bool)
    test = test[test["user"].isin(set(users))]
    later[users.encode(test["user"].to_numpy(object)), items.encode(test["article_id"].to_numpy(object))] = True
    return data, later & ~(data.matrix.toarray() > 0)


def recall(fitted, relevant, allowed, k):
    relevant = relevant & allowed
    active = np.flatnonzero(relevant.any(axis=1))
    found, _ = fitted.top_items(active, k=k, allowed=allowed)
    hits = (relevant[active[:, None], found] & (found >= 0)).sum(axis=1)
    return float((hits / relevant[active].sum(axis=1)).mean())


@pytest.mark.realdata
def test_hybrid_reaches_cold_items_and_keeps_up_with_popularity_on_warm_ones(split):
    data, later = split
    hybrid = HybridModel(epochs=6).fit(data)
    warm = data.is_warm
    chance = 100 / int((~warm).sum())
    assert recall(hybrid, later, ~warm, 100) > 2 * chance
    assert recall(hybrid, later, warm, 100) > 0.7 * recall(Popularity().fit(data), later, warm, 100)
