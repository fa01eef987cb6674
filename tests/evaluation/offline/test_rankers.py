"""Oracles: the formula by hand, popularity, and a model that had been told."""

import numpy as np
import pandas as pd
import pytest

from evaluation.offline.groups import Groups
from evaluation.offline.rankers import Excluding, ItemScores
from evaluation.splits import thinned
from recsys.data import Catalog, Dataset, Interactions
from recsys.errors import ConfigError, DataError
from recsys.models.popularity import Popularity

ITEMS = [f"i{i:02d}" for i in range(30)]


@pytest.fixture(scope="module")
def log() -> Interactions:
    rng = np.random.default_rng(0)
    item = rng.choice(ITEMS[:20], p=np.arange(20, 0, -1) / 210, size=400)
    return Interactions.from_frame(pd.DataFrame({"user_id": rng.integers(0, 40, 400).astype(str), "item_id": item}))


def dataset(log: Interactions) -> Dataset:
    return Dataset.of(log, Catalog.from_frame(pd.DataFrame({"item_id": ITEMS})))


def test_biases_without_groups_are_popularity_among_warm_items(log: Interactions) -> None:
    data = dataset(log)
    once = Dataset.of(
        Interactions.from_frame(log.frame.drop_duplicates(["user_id", "item_id"])[["user_id", "item_id"]]),
        Catalog.from_frame(pd.DataFrame({"item_id": ITEMS})),
    )
    users = np.arange(len(data.users))
    ours, _ = ItemScores.bias_only(data).top_items(users, k=10, allowed=data.is_warm)
    theirs, _ = Popularity().fit(once).top_items(users, k=10, allowed=data.is_warm)
    np.testing.assert_array_equal(ours, theirs)


def test_an_item_is_drawn_towards_its_group() -> None:
    rows = pd.DataFrame({"user_id": list("uvwu"), "item_id": ["i00", "i00", "i00", "i02"]})
    data = dataset(Interactions.from_frame(rows))
    groups = Groups.of_values("kind", "items", ["x", "x", "y", "y", ""] + ["z"] * 25)
    score = ItemScores.bias_only(data, groups, shape=2).score
    # Means: x 3 / 2, y 1 / 2, z 0, of all 4 / 30 for the item without a group.
    expected = [1.5 * 5 / 3.5, 1.5 * 2 / 3.5, 0.5 * 3 / 2.5, 0.5 * 2 / 2.5, 4 / 30 * 2 / (4 / 30 + 2), 0]
    np.testing.assert_allclose(score[:6], expected, rtol=1e-6)
    with pytest.raises(ConfigError, match="shape must be > 0, got 0"):
        ItemScores.bias_only(data, shape=0)
    with pytest.raises(DataError, match="bias-only needs groups of the 30 items"):
        ItemScores.bias_only(data, Groups.of_values("kind", "items", ["x"]))


def test_what_a_thinned_model_was_not_told_is_left_out_all_the_same(log: Interactions) -> None:
    whole, half = dataset(log), dataset(thinned(log, 0.5, seed=1))
    assert whole.users == half.users
    model = Popularity().fit(half)
    users = np.arange(len(whole.users))[::-1]
    lists, scores = Excluding.of(model, whole).top_items(users, k=5)
    had = whole.matrix.toarray() > 0
    assert model.top_items(users, k=5)[0].tolist() != lists.tolist()
    raw = model.scores(model.users.ids[users])
    raw[had[users]] = -np.inf
    np.testing.assert_array_equal(np.sort(raw, axis=1)[:, :-6:-1], scores)  # the best of what is left, by plain sort
    assert not np.take_along_axis(had[users], lists, axis=1).any()
    with_seen = Excluding.of(model, whole).top_items(users, k=5, exclude_seen=False)
    np.testing.assert_array_equal(with_seen[0], model.top_items(users, k=5, exclude_seen=False)[0])


def test_lists_that_end_early_stay_short(log: Interactions) -> None:
    whole = dataset(log)
    allowed = np.arange(30) < 3
    lists, scores = Excluding.of(Popularity().fit(whole), whole).top_items(np.arange(40), k=4, allowed=allowed)
    left = (~(whole.matrix.toarray() > 0) & allowed).sum(axis=1)
    np.testing.assert_array_equal((lists >= 0).sum(axis=1), left)
    assert (np.isneginf(scores) == (lists < 0)).all()


def test_other_ids_are_refused(log: Interactions) -> None:
    other = Dataset.of(log, Catalog.from_frame(pd.DataFrame({"item_id": ITEMS[::-1]})))
    with pytest.raises(DataError, match="must have the users and items of the model"):
        Excluding.of(Popularity().fit(dataset(log)), other)
