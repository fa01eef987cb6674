"""What every model must do: test classes to inherit; the small shop they are tested on is in `small_shop`."""

from __future__ import annotations

import json
import shutil
from hashlib import blake2b

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from growth_contract import GrowthContract, refuses
from small_shop import COLD_ITEMS, COLD_USER, arrays_equal, feature_table, shop

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.errors import ArtifactError, ConfigError, DataError, UnknownIdError
from recsys.files import file_hash, stable_hash, write_json
from recsys.models.artifacts import load_model
from recsys.models.fitted import FittedModel

__all__ = ["COLD_ITEMS", "COLD_USER", "FeatureContract", "ModelContract", "arrays_equal", "feature_table", "shop"]


class ModelContract(GrowthContract):
    """Inherit, and give a ``model``."""

    model = None
    personal = True
    """Whether two users can get different scores."""
    cosine = True
    """Whether similarity lies in [-1, 1]."""

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls) -> Dataset:
        return shop()

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, data) -> FittedModel:
        return cls.model.fit(data)

    def test_same_seed_same_model_whatever_the_threads(self, data, fitted):
        before = torch.get_num_threads()
        try:
            for threads in (1, 2, 4):
                torch.set_num_threads(threads)
                assert arrays_equal(self.model.fit(data), fitted)
                assert torch.get_num_threads() == threads  # left as it was
        finally:
            torch.set_num_threads(before)

    def test_scores_agree_with_recommend(self, data, fitted):
        scores = fitted.scores(data.users.ids)
        assert scores.shape == (12, 34)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
        recs = fitted.recommend(data.users.ids, k=34, exclude_seen=False).to_frame()
        pivot = recs.pivot(index="user_id", columns="item_id", values="score")
        pivot = pivot.loc[list(data.users.ids), list(data.items.ids)].to_numpy()
        np.testing.assert_allclose(pivot, scores, rtol=1e-5, atol=1e-6)  # float32 sums in another blocking
        ordered = np.argsort(-scores, axis=1, kind="stable")
        best = recs[recs["rank"] == 1].set_index("user_id").loc[list(data.users.ids), "score"]
        np.testing.assert_allclose(best, scores[np.arange(12), ordered[:, 0]], rtol=1e-5, atol=1e-6)
        assert (np.diff(recs.groupby("user_id")["score"].apply(list).tolist(), axis=1) <= 0).all()

    def test_scores_of_chosen_items_are_columns_of_all(self, fitted, data):
        chosen = data.items.ids[[33, 2, 2]]
        np.testing.assert_allclose(
            fitted.scores(["user 3"], chosen), fitted.scores(["user 3"])[:, [33, 2, 2]], rtol=1e-6
        )

    def test_answers_in_the_order_asked(self, fitted):
        recs = fitted.recommend(["user 7", "user 2"], k=3)
        assert recs.user_id.tolist() == ["user 7"] * 3 + ["user 2"] * 3
        assert recs.rank.tolist() == [1, 2, 3] * 2
        alone = fitted.recommend(["user 2"], k=3)
        assert recs.item_id[3:].tolist() == alone.item_id.tolist()

    def test_never_what_is_seen_unless_asked(self, data, fitted):
        bought = data.matrix.toarray() > 0
        recs = fitted.recommend(data.users.ids, k=34)
        got = np.zeros_like(bought)
        got[data.users.encode(recs.user_id), data.items.encode(recs.item_id)] = True
        np.testing.assert_array_equal(got, ~bought)  # k >= catalogue: all the rest, and nothing else
        assert len(fitted.recommend(["user 0"], k=34, exclude_seen=False)) == 34

    def test_allow_and_deny(self, data, fitted):
        allow, deny = data.items.ids[[0, 1, 4, 31]], data.items.ids[[4]]
        recs = fitted.recommend(["user 3", COLD_USER], k=10, allow=allow, deny=deny, exclude_seen=False)
        assert sorted(recs.item_id.tolist()) == sorted([*data.items.ids[[0, 1, 31]]] * 2)
        assert data.items.ids[4] not in fitted.recommend(["user 3"], k=34, deny=deny).item_id
        assert len(fitted.recommend(["user 3"], k=5, allow=[])) == 0

    def test_short_lists_are_short(self, data, fitted):
        found, best = fitted.top_items(np.array([0, 11]), k=50)
        n_free = 34 - int((data.matrix.toarray()[[0]] > 0).sum())
        assert (found[0] >= 0).sum() == n_free
        assert (found[1] >= 0).sum() == 34
        np.testing.assert_array_equal(found < 0, best == -np.inf)

    def test_cold_items_can_be_recommended(self, data, fitted):
        cold = data.items.ids[COLD_ITEMS]
        recs = fitted.recommend(["user 0"], k=4, allow=cold)
        assert sorted(recs.item_id) == sorted(cold)

    def test_known_user_without_history_is_served(self, fitted):
        recs = fitted.recommend([COLD_USER], k=5)
        assert len(recs) == 5
        assert np.isfinite(recs.score).all()

    def test_users_differ(self, data, fitted):
        same = np.array_equal(*fitted.scores(["user 0", "user 1"]))
        assert same is not self.personal

    def test_unknown_ids_are_refused_by_name(self, fitted):
        with pytest.raises(UnknownIdError, match="'nobody'"):
            fitted.recommend(["user 1", "nobody"], k=1)
        with pytest.raises(UnknownIdError, match="'nothing'"):
            fitted.scores(["user 1"], ["nothing"])
        for option in ("allow", "deny"):
            with pytest.raises(UnknownIdError, match="'nothing'"):
                fitted.recommend(["user 1"], k=1, **{option: ["nothing"]})
        with pytest.raises(UnknownIdError, match=r"\[0, 12\)"):
            fitted.top_items(np.array([12]), k=1)

    def test_unknown_users_are_left_out_when_asked(self, fitted):
        alone = fitted.recommend(["user 1"], k=3)
        asked = ["nobody", "user 1", "no one"]
        skipped = fitted.recommend(asked, k=3, on_unknown="skip")  # silently: warnings are errors here
        assert skipped.to_frame().equals(alone.to_frame())
        with pytest.warns(
            UserWarning, match="2 of 3 users are unknown and left out, first 'nobody', 'no one'"
        ) as caught:
            warned = fitted.recommend(asked, k=3, on_unknown="warn")
        assert caught[0].filename == __file__  # it points at who asked
        assert warned.to_frame().equals(alone.to_frame())
        assert len(fitted.recommend(["nobody"], k=3, on_unknown="skip")) == 0
        with pytest.raises(ConfigError, match="unknown on_unknown 'ignore'"):
            fitted.recommend(["user 1"], k=3, on_unknown="ignore")
        with pytest.raises(UnknownIdError, match="'nothing'"):  # a rule with a typing error is no rule
            fitted.recommend(["user 1"], k=3, deny=["nothing"], on_unknown="skip")

    def test_equal_scores_are_ranked_by_a_hash_of_the_id(self, data, fitted):
        place = {i: blake2b(i.encode(), digest_size=8).digest() for i in data.items}
        recs = fitted.recommend(data.users.ids, k=34).to_frame()
        for _, mine in recs.groupby("user_id"):
            keys = [(-score, place[i]) for score, i in zip(mine["score"], mine["item_id"], strict=True)]
            assert keys == sorted(keys)

    def test_empty_input_gives_empty_output(self, fitted):
        assert len(fitted.recommend([], k=3)) == 0
        assert fitted.scores([]).shape == (0, 34)
        assert fitted.scores(["user 1"], []).shape == (1, 0)
        assert fitted.top_items(np.empty(0, np.int64), k=3)[0].shape == (0, 3)

    def test_impossible_requests_are_refused(self, fitted):
        with pytest.raises(ConfigError, match="k must be >= 1, got 0"):
            fitted.recommend(["user 1"], k=0)
        for k in (True, 2.0, "3", None):
            with pytest.raises(ConfigError, match="k must be a whole number"):
                fitted.recommend(["user 1"], k=k)
        for users, message in (("user 1", "single string"), (7, "got 7"), (np.array([["user 1"]]), r"shape \(1, 1\)")):
            with pytest.raises(DataError, match=message):
                fitted.recommend(users, k=1)
        for mask in (np.ones(3, bool), np.arange(34)):  # the latter are indices
            with pytest.raises(DataError, match=r"shape \(34,\) of true and false"):
                fitted.top_items(np.array([0]), k=1, allowed=mask)
        for index in ([1.5], np.ones(12, bool), [[0]], 0):
            with pytest.raises(DataError, match="must be a list of integers"):
                fitted.top_items(index, k=1)

    def test_a_list_longer_than_memory_is_as_long_as_the_catalogue(self, fitted):
        assert len(fitted.recommend(["user 0"], k=10**15, exclude_seen=False)) == 34
        if not refuses(fitted, "_item_vectors", "_item_similarity"):
            assert 0 < len(fitted.similar_items(["item 4"], k=10**15)) < 34

    def test_save_and_load_are_inverse(self, data, fitted, tmp_path):
        fitted.save(tmp_path / "m")
        for loaded in (load_model(tmp_path / "m"), type(fitted).load(tmp_path / "m")):
            assert type(loaded) is type(fitted)
            assert loaded.config == self.model
            assert loaded.users == data.users
            assert loaded.items == data.items
            assert arrays_equal(loaded, fitted)
            ours, theirs = (m.recommend(data.users.ids, k=7).to_frame() for m in (fitted, loaded))
            assert ours.equals(theirs)

    def test_damaged_artifacts_are_refused(self, fitted, tmp_path):
        fitted.save(tmp_path / "good")
        for name, damage in DAMAGES.items():
            folder = tmp_path / name
            shutil.copytree(tmp_path / "good", folder)
            message = damage(folder)
            with pytest.raises(ArtifactError, match=message):
                load_model(folder)

    def test_similar_items(self, data, fitted):
        recs = fitted.similar_items(data.items.ids[[0, 3]], k=40)
        for query in data.items.ids[[0, 3]]:
            mine = recs.item_id[recs.user_id == query]
            assert query not in mine
            assert len(set(mine)) == len(mine) > 0
        assert (np.abs(recs.score) <= 1 + 1e-6).all() or not self.cosine
        assert len(fitted.similar_items([], k=3)) == 0
        with pytest.raises(ConfigError, match="k must be"):
            fitted.similar_items([data.items.ids[0]], k=0)

    def test_similar_users(self, data, fitted):
        if refuses(fitted, "_user_vectors", "_user_similarity"):
            with pytest.raises(ConfigError, match="knows no similar users"):
                fitted.similar_users(["user 0"], k=1)
            return
        recs = fitted.similar_users(["user 0", "user 3", COLD_USER], k=40)
        for query in ("user 0", "user 3"):
            mine = recs.item_id[recs.user_id == query]
            assert sorted([*mine, query, COLD_USER]) == sorted(data.users.ids)  # all but itself and the unknown
        assert COLD_USER not in recs.user_id  # of whom nothing is known
        assert (np.abs(recs.score) <= 1 + 1e-6).all()
        query, other = (np.array([int(u.split()[1]) for u in ids]) for ids in (recs.user_id, recs.item_id))
        alike = query % 2 == other % 2  # parity is the taste
        assert recs.score[alike].mean() > recs.score[~alike].mean()
        assert len(fitted.similar_users([], k=3)) == 0
        with pytest.raises(ConfigError, match="k must be"):
            fitted.similar_users(["user 0"], k=0)


class FeatureContract:
    """For models whose item features can be exchanged; inherit beside `ModelContract`."""

    def test_exchanging_the_table_fitted_on_changes_nothing(self, data, fitted):
        again = fitted.with_item_features(data.item_features)
        np.testing.assert_allclose(again.scores(data.users.ids), fitted.scores(data.users.ids), atol=1e-6)

    def test_exchange_follows_ids_not_rows(self, data, fitted):
        back = data.items.ids[::-1]
        turned = data.item_features.align(IdMap.of(back))
        again = fitted.with_item_features(turned)
        np.testing.assert_allclose(again.scores(data.users.ids), fitted.scores(data.users.ids), atol=1e-6)

    def test_other_pictures_move_scores_and_leave_the_original(self, data, fitted):
        before = fitted.scores(data.users.ids)
        values = data.item_features["look"].values.copy()
        values[[30, 31]] = values[[31, 30]]  # two cold items swap looks
        other = FeatureTable(data.items, (FeatureBlock("look", values), *data.item_features.blocks[1:]))
        after = fitted.with_item_features(other).scores(data.users.ids)
        assert np.abs(after[:, [30, 31]] - before[:, [30, 31]]).max() > 1e-3
        rest = [i for i in range(34) if i not in (30, 31)]
        np.testing.assert_allclose(after[:, rest], before[:, rest], atol=1e-6)
        np.testing.assert_array_equal(fitted.scores(data.users.ids), before)

    def test_exchange_works_after_loading(self, data, fitted, tmp_path):
        fitted.save(tmp_path / "m")
        other = feature_table(data.items, seed=5)
        ours, theirs = (m.with_item_features(other) for m in (fitted, load_model(tmp_path / "m")))
        np.testing.assert_array_equal(ours.scores(data.users.ids), theirs.scores(data.users.ids))

    @pytest.mark.parametrize(
        ("block", "message"),
        [
            (None, "unknown feature block 'look'"),
            (FeatureBlock("look", np.ones((34, 11), np.float32)), "11 dense columns.*fitted on 12"),
            (FeatureBlock("look", sp.csr_array(np.ones((34, 12), np.float32))), "12 sparse columns"),
            (
                FeatureBlock("look", np.ones((34, 12), np.float32), columns=tuple("abcdefghijkl")),
                "other columns.*first 'a', expected 'unnamed'",
            ),
        ],
    )
    def test_a_table_of_other_columns_is_refused(self, data, fitted, block, message):
        rest = data.item_features.blocks[1:]
        with pytest.raises(DataError, match=message):
            fitted.with_item_features(FeatureTable(data.items, rest if block is None else (block, *rest)))

    def test_other_categories_are_refused(self, data, fitted):
        other = FeatureBlock.one_hot("category", ["bag", "lamp"] * 17)
        look, _, price = data.item_features.blocks
        with pytest.raises(DataError, match="first 'lamp', expected 'shoe'"):
            fitted.with_item_features(FeatureTable(data.items, (look, other, price)))

    def test_a_table_without_an_item_is_refused(self, data, fitted):
        with pytest.raises(UnknownIdError, match="1 of 34"):
            fitted.with_item_features(data.item_features.align(IdMap.of(data.items.ids[1:])))

    def test_a_block_that_does_not_exist_is_refused(self, data):
        with pytest.raises(DataError, match="unknown feature block 'lok'; did you mean 'look'"):
            type(self.model)(blocks=("lok",)).fit(data)
        with pytest.raises(ConfigError, match="weights 'lok'; did you mean 'look'"):
            type(self.model)(weights={"lok": 2.0}).fit(data)


def _truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    return "truncated or was changed"


def _flip(folder):
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    return "truncated or was changed"


def _edit(folder):
    path = folder / "model.json"
    path.write_text(path.read_text().replace('"users": 12', '"users": 13'))
    return "changed after it was written"


def rewrite(folder, **changes):
    """A manifest that is consistent in itself."""
    manifest = json.loads((folder / "model.json").read_text()) | changes
    manifest["digest"] = stable_hash({k: v for k, v in manifest.items() if k != "digest"})
    write_json(folder / "model.json", manifest)


def _negative(folder):
    rewrite(folder, format=-1)
    return "describes no model"


def _newer(folder):
    rewrite(folder, format=99)
    return "format 99, this version reads up to 1; upgrade"


def _unknown_model(folder):
    rewrite(folder, model="alz")
    return "unknown model 'alz'"


def _unknown_option(folder):
    rewrite(folder, config={"no_such_option": 1})
    return "unknown key"


def _not_safetensors(folder):
    path = folder / "model.safetensors"
    path.write_bytes(b"\x00" * 64)
    rewrite(folder, sha256=file_hash(path))
    return "no safetensors file"


def _no_json(folder):
    (folder / "model.json").write_text("{")
    return "not valid JSON"


def _half(name):
    def damage(folder):
        (folder / name).unlink()
        return "does not exist"

    return damage


DAMAGES = {
    "truncated": _truncate,
    "flipped": _flip,
    "edited": _edit,
    "newer": _newer,
    "negative": _negative,
    "unknown": _unknown_model,
    "option": _unknown_option,
    "format": _not_safetensors,
    "json": _no_json,
    "no-manifest": _half("model.json"),
    "no-arrays": _half("model.safetensors"),
}
