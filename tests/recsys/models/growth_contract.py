"""What every model must do when the shop has moved on, and for users it never met."""

from __future__ import annotations

import numpy as np
import pytest
from small_shop import COLD_USER, arrays_equal, histories, later_shop

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureTable
from recsys.data.ids import IdMap
from recsys.errors import ConfigError, DataError, UnknownIdError
from recsys.models.artifacts import load_model
from recsys.models.fitted import FittedModel


def refuses(fitted: FittedModel, *abilities: str) -> bool:
    """Whether the model has none of what `FittedModel` leaves to its subclasses."""
    return all(getattr(type(fitted), a) is getattr(FittedModel, a) for a in abilities)


def reordered(data: Dataset) -> Dataset:
    """The same shop with users, items and log in another order."""
    users, items = IdMap.of(data.users.ids[::-1]), IdMap.of(np.roll(data.items.ids, 11))
    log = np.random.default_rng(3).permutation(len(data.user_idx))
    return Dataset(
        users,
        items,
        users.encode(data.users.decode(data.user_idx[log])),
        items.encode(data.items.decode(data.item_idx[log])),
        data.weight[log],
        data.timestamp[log],
        data.item_features.align(items),
        FeatureTable(users),
    )


class GrowthContract:
    """Part of `ModelContract`."""

    @pytest.fixture(scope="class")
    @classmethod
    def later(cls) -> Dataset:
        return later_shop()

    @pytest.fixture(scope="class")
    @classmethod
    def grown(cls, fitted, later) -> FittedModel:
        if refuses(fitted, "partial_fit"):
            with pytest.raises(ConfigError, match=r"cannot take up a new dataset"):
                fitted.partial_fit(later)
            pytest.skip("refuses, and says so")
        return fitted.partial_fit(later)

    def test_partial_fit_finds_everything_by_its_id(self, data, fitted, grown):
        again = fitted.partial_fit(reordered(data))
        np.testing.assert_allclose(
            again.scores(data.users.ids, data.items.ids), fitted.scores(data.users.ids), rtol=1e-4, atol=1e-5
        )
        assert again.config == fitted.config

    def test_partial_fit_serves_the_new_dataset_and_leaves_the_model(self, data, fitted, later, grown):
        assert type(grown) is type(fitted)
        assert grown.users == later.users
        assert grown.items == later.items
        scores = grown.scores(later.users.ids)
        assert scores.shape == (13, 34)
        assert np.isfinite(scores).all()
        has = later.matrix.toarray() > 0
        recs = grown.recommend(later.users.ids, k=40)
        got = np.zeros_like(has)
        got[later.users.encode(recs.user_id), later.items.encode(recs.item_id)] = True
        np.testing.assert_array_equal(got, ~has)
        with pytest.raises(UnknownIdError, match="'user 1'"):
            grown.recommend(["user 1"], k=1)  # gone
        assert arrays_equal(fitted, self.model.fit(data))

    def test_new_users_get_their_taste_and_nobody_the_average(self, fitted, later, grown):
        even = [
            i
            for i in later.items
            if (name := i.split())[0] == "item" and 12 <= int(name[1]) < 30 and int(name[1]) % 2 == 0
        ]
        odd = [f"item {int(i.split()[1]) + 1}" for i in even]
        fan, nobody = grown.scores(["new fan"], even), grown.scores(["new nobody"])
        if self.personal:
            assert fan.mean() > grown.scores(["new fan"], odd).mean()
        np.testing.assert_allclose(nobody, grown.scores([COLD_USER]), rtol=1e-4, atol=1e-5)

    def test_a_grown_model_can_be_stored_and_grow_again(self, later, grown, tmp_path):
        grown.save(tmp_path / "m")
        loaded = load_model(tmp_path / "m")
        assert arrays_equal(loaded, grown)
        np.testing.assert_array_equal(loaded.scores(later.users.ids), grown.scores(later.users.ids))
        twice = loaded.partial_fit(later)
        np.testing.assert_allclose(twice.scores(later.users.ids), grown.scores(later.users.ids), rtol=1e-4, atol=1e-5)

    def test_strangers_are_served_by_their_history(self, data, fitted):
        known = histories(data)
        if refuses(fitted, "_with_users"):
            with pytest.raises(ConfigError, match="cannot serve users it was not fitted on"):
                fitted.recommend_for({"x": known["user 0"]}, k=1)
            return
        asked = {"even": known["user 0"], "nothing": [], "odd": known["user 3"]}
        recs = fitted.recommend_for(asked, k=34)
        assert list(dict.fromkeys(recs.user_id)) == ["even", "nothing", "odd"]
        for name, history in asked.items():
            mine = recs.item_id[recs.user_id == name]
            assert sorted([*mine, *set(history)]) == sorted(data.items.ids)  # all they have not
        cold = fitted.recommend([COLD_USER], k=34).to_frame()
        mine = recs.to_frame()[recs.user_id == "nothing"]
        np.testing.assert_allclose(mine["score"], cold["score"], rtol=1e-4, atol=1e-5)
        if self.personal:
            warm = recs.to_frame()[np.isin(recs.item_id, data.items.ids[3:30])]
            taste = np.array([int(i.split()[1]) % 2 for i in warm["item_id"]])
            for name, own in (("even", 0), ("odd", 1)):
                mine = warm["user_id"] == name
                assert warm["score"][mine & (taste == own)].mean() > warm["score"][mine & (taste != own)].mean()

    def test_strangers_requests_are_checked(self, fitted):
        if refuses(fitted, "_with_users"):
            return
        assert len(fitted.recommend_for({}, k=3)) == 0
        with pytest.raises(ConfigError, match="k must be >= 1, got 0"):
            fitted.recommend_for({"x": ["item 4"]}, k=0)
        with pytest.raises(DataError, match="history of 'x' must be a list of ids"):
            fitted.recommend_for({"x": "item 4"}, k=1)
        with pytest.raises(DataError, match="histories must map names to lists of ids, got list"):
            fitted.recommend_for(["item 4"], k=1)
        with pytest.raises(UnknownIdError, match="1 of 2 ids are unknown, first 'nothing'"):
            fitted.recommend_for({"x": ["item 4", "nothing"]}, k=1)
        plain = fitted.recommend_for({"x": ["item 4"]}, k=5).to_frame()
        odd = {"x": ["item 4", "nothing"]}
        assert fitted.recommend_for(odd, k=5, on_unknown="skip").to_frame().equals(plain)
        with pytest.warns(UserWarning, match="1 of 2 items of histories are unknown") as caught:
            assert fitted.recommend_for(odd, k=5, on_unknown="warn").to_frame().equals(plain)
        assert caught[0].filename == __file__
