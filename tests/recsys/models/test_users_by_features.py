"""A user of whom only features are known is served what users of these features like, fitted on or new."""

import numpy as np
import pandas as pd
import pytest

from recsys.data import Catalog, Dataset, FeatureBlock, FeatureTable, IdMap, Interactions
from recsys.models.feature_als import FeatureALS
from recsys.models.hybrid import HybridModel
from recsys.models.lightfm import LightFM

RNG = np.random.default_rng(0)
CATALOG = Catalog.from_frame(pd.DataFrame({"item_id": [f"i{k}" for k in range(40)]}))
USERS = [f"u{u}" for u in range(60)]
LOG = Interactions.from_frame(
    pd.DataFrame(
        [(f"u{u}", f"i{k}") for u in range(60) for k in range(40) if k % 2 == u % 2 and RNG.random() < 0.3],
        columns=["user_id", "item_id"],
    )
)


def shop(users: list[str]) -> Dataset:
    segment = FeatureBlock.one_hot("segment", [("even", "odd")[int(u[-1]) % 2] for u in users])
    return Dataset.of(LOG, CATALOG, user_features=FeatureTable(IdMap.of(users), (segment,)))


@pytest.mark.parametrize(
    "model",
    [HybridModel(factors=8), FeatureALS(factors=8), LightFM(factors=8, epochs=20)],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.parametrize("new", [False, True])
def test_strangers_get_what_their_segment_likes(model, new):
    whole = shop([*USERS, "stranger 0", "stranger 1"])
    fitted = model.fit(shop(USERS)).partial_fit(whole) if new else model.fit(whole)
    recs = fitted.recommend(["stranger 0", "stranger 1"], k=10)
    item, user = (np.array([int(i[-1]) % 2 for i in ids]) for ids in (recs.item_id, recs.user_id))
    np.testing.assert_array_equal(item, user)  # by construction nobody likes both kinds
