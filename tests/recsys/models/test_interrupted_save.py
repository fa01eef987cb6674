"""A process that is killed while it saves leaves a folder from which the old or the new model can be loaded."""

import os
from contextlib import suppress

import numpy as np
import pytest
from small_shop import shop

from recsys.errors import ArtifactError
from recsys.models.artifacts import load_model
from recsys.models.popularity import Popularity


class Killed(BaseException):
    """What stands for SIGKILL."""


@pytest.mark.parametrize("had", [True, False])
def test_whenever_a_save_is_killed_the_old_or_the_new_model_is_there(had, tmp_path, monkeypatch):
    old, new = (Popularity(half_life_days=days).fit(shop()) for days in (5.0, 50.0))
    found = []
    for n in range(12):  # so many calls of the system are made before it is killed
        folder, calls = tmp_path / str(n), iter(range(n))
        if had:
            old.save(folder)
        with monkeypatch.context() as patch:
            for name in ("fsync", "chmod", "replace"):
                patch.setattr(os, name, dies_after(calls, getattr(os, name)))
            with suppress(Killed):
                new.save(folder)
        found.append(half_life(folder))
    before = 5.0 if had else None
    assert found == sorted(found, key=lambda days: days == 50.0)  # never back to the old one
    assert set(found) == {before, 50.0}
    new.save(tmp_path / "0")
    assert sorted(p.name for p in (tmp_path / "0").iterdir()) == ["model.json", "model.safetensors"]
    np.testing.assert_array_equal(load_model(tmp_path / "0").item_score, new.item_score)


def half_life(folder):
    """Of the model there, None if there is none."""
    try:
        return float(load_model(folder).config.half_life_days)
    except ArtifactError:
        return None


def dies_after(calls, call):
    def one_more(*args, **kwargs):
        if next(calls, None) is None:
            raise Killed
        return call(*args, **kwargs)

    return one_more
