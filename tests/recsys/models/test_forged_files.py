"""A model file whose hashes were made anew can hold anything: it must neither crash nor answer with NaN."""

import os

import numpy as np
import pytest
from model_contract import rewrite
from safetensors.numpy import load_file, save_file
from small_shop import shop

from recsys.errors import ArtifactError
from recsys.files import file_hash
from recsys.models.als import ALS
from recsys.models.artifacts import load_model
from recsys.models.bpr import BPR
from recsys.models.content import Content
from recsys.models.ease import EASE
from recsys.models.ensemble import Ensemble, Member
from recsys.models.feature_als import FeatureALS
from recsys.models.hybrid import HybridModel
from recsys.models.item_knn import ItemKNN
from recsys.models.lightfm import LightFM
from recsys.models.popularity import Popularity

MODELS = [
    Popularity(),
    ItemKNN(),
    EASE(),
    ALS(factors=3, iterations=2),
    BPR(factors=3, epochs=2),
    LightFM(factors=3, epochs=1),
    Content(),
    HybridModel(factors=3, epochs=1),
    FeatureALS(factors=3, iterations=2),
    Ensemble(members=(Member("popularity"), Member("item-knn")), weights=(0.5, 0.5)),
]


def forgeries(array):
    """Other arrays of the same kind: cut short, narrower, out of range, not finite, or all the same."""
    extreme = np.nan if array.dtype.kind == "f" else array.dtype.type(True) if array.dtype == bool else None
    extreme = np.iinfo(array.dtype).max if extreme is None else extreme
    found = [array[:-1], np.full_like(array, extreme), np.zeros_like(array)]
    return found + ([np.ascontiguousarray(array[:, :-1])] if array.ndim == 2 else [])


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_forged_arrays_are_refused_or_do_no_harm(model, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # hundreds of files
    data, path = shop(), tmp_path / "model.safetensors"
    model.fit(data).save(tmp_path)
    arrays, refused = load_file(path), 0
    for name, array in arrays.items():
        for forged in forgeries(array):
            save_file(arrays | {name: forged}, path)
            rewrite(tmp_path, sha256=file_hash(path))
            try:
                loaded = load_model(tmp_path)
            except ArtifactError:
                refused += 1
            else:
                assert np.isfinite(loaded.recommend(data.users.ids, k=3).score).all()
    assert refused > len(arrays)  # at the least, each array cut short
