"""Models that learn from interactions refuse a dataset without any; those that need none serve everybody alike."""

import numpy as np
import pytest
from small_shop import shop

from recsys.errors import DataError
from recsys.models.als import ALS
from recsys.models.bpr import BPR
from recsys.models.content import Content
from recsys.models.ease import EASE
from recsys.models.item_knn import ItemKNN
from recsys.models.lightfm import LightFM
from recsys.models.popularity import Popularity


@pytest.fixture
def silent():
    data = shop()
    data.weight[:] = 0
    return data


@pytest.mark.parametrize("model", [ALS(), BPR(), EASE(), ItemKNN(), LightFM()], ids=lambda m: type(m).__name__)
def test_without_evidence_there_is_nothing_to_learn(model, silent):
    with pytest.raises(DataError, match="no interaction has a positive weight; there is nothing to learn from"):
        model.fit(silent)


@pytest.mark.parametrize("model", [Popularity(), Content()], ids=lambda m: type(m).__name__)
def test_without_evidence_all_items_are_alike(model, silent):
    np.testing.assert_array_equal(model.fit(silent).scores(silent.users.ids), np.zeros((12, 34), np.float32))
