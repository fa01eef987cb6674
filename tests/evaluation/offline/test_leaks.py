"""Oracles: a log of which every row is known, and models that were fitted on too much of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evaluation.offline import evaluate
from evaluation.splits import Split, SplitConfig, split
from recsys.data import Catalog, Dataset, Interactions
from recsys.errors import DataError
from recsys.models.ensemble import Ensemble, Member
from recsys.models.popularity import Popularity

ITEMS = [f"i{i:02d}" for i in range(30)]
CATALOG = Catalog.from_frame(pd.DataFrame({"item_id": ITEMS}))


@pytest.fixture(scope="module")
def log() -> Interactions:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user_id": rng.integers(0, 40, 600).astype(str), "item_id": rng.choice(ITEMS, 600)})
    return Interactions.from_frame(frame.assign(timestamp=pd.date_range("2024-01-01", periods=600, freq="h")))


@pytest.fixture(scope="module")
def parts(log: Interactions) -> Split:
    return split(log, SplitConfig(quantile=0.8))


def test_a_model_fitted_on_the_test_is_refused(log: Interactions, parts: Split) -> None:
    n = len(parts.test.frame.drop_duplicates(["user_id", "item_id"]))
    cheat = Popularity().fit(Dataset.of(log, CATALOG))
    honest = Popularity().fit(Dataset.of(parts.train, CATALOG))
    with pytest.raises(
        DataError, match=rf"model cheat / none was told of {n} of the {n} choices .* fitted on the test"
    ):
        evaluate({"cheat": cheat}, parts.test, segments=("all",), resamples=20)
    assert evaluate({"honest": honest}, parts.test, segments=("all",), resamples=20).told == {}
    # Where repeats count, what a model knew is no sign of anything.
    assert not evaluate({"cheat": cheat}, log, segments=("all",), exclude_seen=False, resamples=20).told


def test_an_ensemble_is_as_honest_as_its_members(log: Interactions, parts: Split) -> None:
    options = {"members": (Member("popularity"), Member("als", options={"factors": 4, "iterations": 2}))}
    fitted = Ensemble(**options, weights=(0.5, 0.5), validation=0).fit(Dataset.of(log, CATALOG))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="model both / none was told of"):
        evaluate({"both": fitted}, parts.test, segments=("all",), resamples=20)


def test_a_test_that_repeats_train_is_counted(parts: Split) -> None:
    data = Dataset.of(parts.train, CATALOG)
    test, known = parts.test.frame, parts.train.frame.drop_duplicates(["user_id", "item_id"]).head(7)
    raw = Interactions.from_frame(pd.concat([test, known]))
    found = evaluate({"popularity": Popularity().fit(data)}, raw, segments=("all",), resamples=20)
    assert list(found.told.values()) == [7]
    assert any(
        "Some choices of the test were known to the models (7 for popularity / none)" in n for n in found.notes()
    )
