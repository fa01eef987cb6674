"""Parts add up to the score, and each part is what its oracle says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.errors import ConfigError, DataError, UnknownIdError
from recsys.explain.explanation import VIEWS, Explanation, explain
from recsys.models.als import ALS, _solver
from recsys.models.blocks import fit_transforms
from recsys.models.bpr import BPR
from recsys.models.content import Content
from recsys.models.ease import EASE
from recsys.models.ensemble import Ensemble, Member
from recsys.models.feature_als import FeatureALS
from recsys.models.hybrid import HybridModel
from recsys.models.item_knn import ItemKNN
from recsys.models.popularity import Popularity
from recsys.models.visual import VBPR, DeepStyle

N_USERS, N_ITEMS = 14, 30
COLD, NOBODY = "item 29", "user 13"
"""Nobody has the last item; the last user has only an interaction of weight 0."""


def features(items: IdMap, seed: int = 1) -> FeatureTable:
    rng = np.random.default_rng(seed)
    return FeatureTable(
        items,
        (
            FeatureBlock("look", rng.normal(size=(len(items), 6)).astype(np.float32)),
            FeatureBlock.one_hot("category", [("bag", "shoe", "")[i % 3] for i in range(len(items))]),
            FeatureBlock("stock", rng.gamma(2, 10, (len(items), 2)).astype(np.float32), columns=("price", "age")),
        ),
    )


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Interactions of unequal weight, some repeated."""
    users, items = (IdMap.of([f"{kind} {i}" for i in range(n)]) for kind, n in (("user", N_USERS), ("item", N_ITEMS)))
    rng = np.random.default_rng(0)
    pairs = np.argwhere(rng.random((N_USERS - 1, N_ITEMS - 1)) < 0.35)
    pairs = np.vstack([pairs, pairs[::5], [[N_USERS - 1, 4]]])
    weight = rng.integers(1, 5, len(pairs)).astype(np.float32)
    weight[-1] = 0
    people = FeatureTable(users, (FeatureBlock.one_hot("segment", ["young", "old"] * (N_USERS // 2)),))
    when = np.datetime64("2024-01-01", "ns") + rng.integers(0, 99, len(pairs)).astype("timedelta64[D]")
    return Dataset(users, items, pairs[:, 0], pairs[:, 1], weight, when, features(items), people)


@pytest.fixture(scope="module")
def plain(data: Dataset) -> Dataset:
    return replace(data, user_features=FeatureTable(data.users))


def values(explained: Explanation, by: str, kind: str | None = None) -> dict[str, float]:
    return {p.name: p.value for p in explained.parts(by) if kind in (None, p.kind)}  # type: ignore[arg-type]


MODELS = [
    Popularity(),
    ItemKNN(k=5),
    EASE(l2=5.0),
    ALS(factors=6),
    BPR(factors=6, epochs=3),
    Content(weights={"look": 2.0}),
    HybridModel(factors=6, epochs=2),
    HybridModel(factors=6, epochs=2, history=False, loss="logistic", raw=("stock",)),
    HybridModel(factors=6, epochs=2, blocks=(), user_blocks=()),
    HybridModel(factors=6, epochs=2, user_id=False, user_blocks=()),
    VBPR(factors=4, visual_factors=3, epochs=2),
    DeepStyle(factors=4, epochs=2),
    FeatureALS(factors=4, iterations=3),
    FeatureALS(factors=4, iterations=3, blocks=(), user_blocks=()),
    Ensemble(members=(Member("popularity"), Member("content"), Member("hybrid", {"factors": 6, "epochs": 2}))),
    Ensemble(members=(Member("als", {"factors": 4}), Member("item-knn", {"k": 5})), weights=(2.0, 1.0), validation=0),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_parts_add_up_to_the_score(model, data: Dataset) -> None:
    fitted = model.fit(data)
    scores = fitted.scores(["user 2", "user 5", NOBODY])
    for user, row in zip(["user 2", "user 5", NOBODY], scores, strict=True):
        for item in ("item 0", "item 7", COLD):
            explained = explain(fitted, user, item, data)
            assert explained.score == pytest.approx(row[data.items.encode([item])[0]], rel=1e-6, abs=1e-6)
            for by in VIEWS:
                # float32 in the model, float64 in the parts
                frame = explained.to_frame(by)
                assert frame["value"].sum() == pytest.approx(explained.score, rel=1e-5, abs=1e-5)
                assert not frame.duplicated(["kind", "name"]).any()


def test_lightfms_parts_add_up_to_the_score(data: Dataset) -> None:
    pytest.importorskip("lightfm")
    from recsys.models.lightfm import LightFM

    fitted = LightFM(factors=4, epochs=2).fit(data)
    for user, item in (("user 2", "item 7"), (NOBODY, COLD)):
        explained = explain(fitted, user, item, data)
        assert {"look", "stock.price"} <= set(values(explained, "item", "taste"))
        for by in VIEWS:
            assert sum(p.value for p in explained.parts(by)) == pytest.approx(explained.score, rel=1e-5, abs=1e-5)


class TestEnsemble:
    members = (Member("popularity"), Member("item-knn", {"k": 5}))

    def test_parts_are_the_members_on_the_scale_of_the_blend(self, data: Dataset) -> None:
        fitted = Ensemble(members=self.members, weights=(3.0, 1.0), validation=0).fit(data)
        popular, near = fitted.members
        warm = data.is_warm
        spread = [m._score_block(np.array([3]))[0, warm].astype(float).std() for m in (popular, near)]
        found = explain(fitted, "user 3", "item 8", data)
        count = float(data.matrix[:, [8]].sum())
        assert values(found, "user", "item bias")["id"] == pytest.approx(0.75 * count / spread[0], rel=1e-5)
        alone = values(explain(near, "user 3", "item 8", data), "user", "past item")
        expected = {name: 0.25 * value / spread[1] for name, value in alone.items()}
        assert values(found, "user", "past item") == pytest.approx(expected, rel=1e-5, abs=1e-9)

    def test_the_cold_offset_is_the_items_bias(self, data: Dataset) -> None:
        fitted = Ensemble(members=(Member("content"),), weights=(1.0,), validation=0).fit(data)
        moved = replace(fitted, offset=np.array([2.0], np.float32))
        before, after = (values(explain(f, "user 3", COLD, data), "item", "item bias") for f in (fitted, moved))
        assert after["id"] - before.get("id", 0.0) == pytest.approx(2.0)

    def test_ranks_have_no_parts(self, data: Dataset) -> None:
        fitted = Ensemble(members=self.members, weights=(1.0, 1.0), validation=0, blend="reciprocal-rank").fit(data)
        with pytest.raises(ConfigError, match="explain a member instead"):
            explain(fitted, "user 3", "item 8", data)


class TestFeatureALS:
    def test_a_past_items_part_is_what_the_score_gains_a_unit_of_its_right_side(self, data: Dataset) -> None:
        """The normal equations by hand: A = a QᵀQ + l I + Σ w q qᵀ, part j = q_i A⁻¹ w_j q_j."""
        fitted = FeatureALS(factors=4, iterations=2, user_blocks=(), blocks=(), regularization=0.05).fit(data)
        row = np.log1p(data.matrix.toarray()[3]) / fitted.unit[0]
        q = fitted.item_factors[fitted.learned].astype(float)
        own = fitted.item_factors.astype(float) * row[:, None]
        pull = 0.05 * (row.sum() + 0.1 * len(q))
        a = 0.1 * q.T @ q + pull * np.eye(4) + own.T @ fitted.item_factors
        part = own @ np.linalg.solve(a, fitted.item_factors[8].astype(float))
        found = values(explain(fitted, "user 3", "item 8", data), "user", "past item")
        # the model keeps float32
        assert found == pytest.approx({f"item {j}": part[j] for j in np.flatnonzero(row)}, rel=1e-3, abs=1e-5)

    def test_nothing_is_left_over(self, data: Dataset) -> None:
        """Users are solved exactly, so past items and features of the user are all there is."""
        explained = explain(FeatureALS(factors=4, iterations=2).fit(data), "user 3", "item 8", data)
        assert {"past item", "feature", "common"} <= {p.kind for p in explained.parts("user")}
        assert values(explained, "user", "rest").get("rest", 0.0) == pytest.approx(0, abs=1e-4)


class TestHybrid:
    model = HybridModel(factors=5, epochs=3, history=False)

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, data: Dataset):
        return cls.model.fit(data)

    def test_biases_are_the_models(self, fitted, data: Dataset) -> None:
        explained = explain(fitted, "user 3", "item 8", data)
        biases = sum(values(explained, "item", "item bias").values())
        assert biases == pytest.approx(fitted.item_bias[8], abs=1e-6)

    @pytest.mark.parametrize("block", [0, 1, 2])
    def test_a_blocks_part_is_what_the_score_loses_without_its_weights(self, fitted, data: Dataset, block: int) -> None:
        """Without history features enter on the item's side only, so the score is linear in their weights."""
        weights = tuple(w * (i != block) for i, w in enumerate(fitted.item_weights))
        without = replace(fitted, item_weights=weights).with_item_features(data.item_features)
        name = data.item_features.names[block]
        lost = explain(fitted, "user 3", "item 8", data).score - float(without.scores(["user 3"], ["item 8"])[0, 0])
        parts = explain(fitted, "user 3", "item 8", data).parts("item")
        assert sum(p.value for p in parts if p.name.startswith(name)) == pytest.approx(lost, abs=1e-5)

    def test_a_columns_part_is_what_the_score_loses_without_its_weight(self, fitted, data: Dataset) -> None:
        weights = [w.copy() for w in fitted.item_weights]
        weights[2][1] = 0  # stock.age
        without = replace(fitted, item_weights=tuple(weights)).with_item_features(data.item_features)
        explained = explain(fitted, "user 3", "item 8", data)
        lost = explained.score - float(without.scores(["user 3"], ["item 8"])[0, 0])
        assert sum(p.value for p in explained.parts("item") if p.name == "stock.age") == pytest.approx(lost, abs=1e-5)

    def test_one_hot_columns_are_named_and_only_those_that_are_there(self, fitted, data: Dataset) -> None:
        names = {p.name for p in explain(fitted, "user 3", "item 7", data).parts("item") if p.kind == "taste"}
        assert names == {"id", "look", "category=shoe", "stock.price", "stock.age"}

    def test_user_features_are_named(self, fitted, data: Dataset) -> None:
        part = values(explain(fitted, "user 3", "item 7", data), "user", "feature")
        row = fitted.user_weights[0][list(data.user_features["segment"].columns).index("old")]
        assert part == {"segment=old": pytest.approx(float(row[:-1] @ fitted.item_vectors[7]), abs=1e-6)}

    def test_past_items_are_their_content_by_log_weight(self, plain: Dataset) -> None:
        """The definition, written out: log(1 + w_j) / Σ log(1 + w) <x_j W, q_i>."""
        fitted = HybridModel(factors=5, epochs=2).fit(plain)
        row = plain.matrix.toarray()[4]
        content = (fitted.items_made - fitted.item_ids)[:, :-1]
        share = np.log1p(row) / np.log1p(row).sum()
        expected = {f"item {j}": share[j] * (content[j] @ fitted.item_vectors[9]) for j in np.flatnonzero(row)}
        assert values(explain(fitted, "user 4", "item 9", plain), "user", "past item") == pytest.approx(
            expected, abs=1e-6
        )

    def test_other_pictures(self, plain: Dataset) -> None:
        fitted, shown = HybridModel(factors=5, epochs=2).fit(plain), features(plain.items, seed=9)
        looking = fitted.with_item_features(shown)
        explained = explain(looking, "user 4", "item 9", plain, shown=shown)
        assert sum(p.value for p in explained.parts()) == pytest.approx(explained.score, abs=1e-5)
        had = values(explain(fitted, "user 4", "item 9", plain), "both", "past item × id")
        assert values(explained, "both", "past item × id") == had  # what was bought stays as it was

    def test_after_partial_fit(self, plain: Dataset) -> None:
        fitted = HybridModel(factors=5, epochs=2).fit(plain)
        items = IdMap.of([*plain.items.ids[::-1], "new"])
        later = replace(
            plain,
            items=items,
            item_idx=np.append(items.encode(plain.items.decode(plain.item_idx)), len(items) - 1),
            user_idx=np.append(plain.user_idx, 2),
            weight=np.append(plain.weight, np.float32(1)),
            timestamp=np.append(plain.timestamp, plain.timestamp[:1]),
            item_features=features(items),
        )
        explained = explain(fitted.partial_fit(later), "user 2", "new", later)
        assert "new" in values(explained, "user", "past item")

    def test_a_dataset_it_was_not_fitted_on_is_refused(self, fitted, data: Dataset) -> None:
        with pytest.raises(DataError, match="pass data, the dataset it was fitted on"):
            explain(fitted, "user 3", "item 8")
        other = data.with_item_features(features(data.items, seed=5))
        with pytest.raises(DataError, match="the parts add up to"):
            explain(fitted, "user 3", "item 8", other)
        turned = IdMap.of(data.users.ids[::-1])
        fewer = replace(data, users=turned, user_features=data.user_features.align(turned))
        with pytest.raises(DataError, match="other users or items"):
            explain(fitted, "user 3", "item 8", fewer)


class TestALS:
    def test_the_implicit_package_says_the_same(self, data: Dataset) -> None:
        """`implicit`'s explain solves the user exactly; what training left is a term of its own."""
        fitted = ALS(factors=5, alpha=2.0, regularization=0.3, iterations=4).fit(data)
        peer = _solver(fitted.config)
        peer.item_factors = fitted.item_factors
        total, top, _ = peer.explain(3, sp.csr_matrix(data.matrix), 8, N=99)
        explained = explain(fitted, "user 3", "item 8")
        past = values(explained, "user", "past item")
        assert past == pytest.approx({f"item {i}": s for i, s in top}, abs=1e-5)
        assert values(explained, "user", "rest")["rest"] == pytest.approx(explained.score - total, abs=1e-5)

    def test_nothing_is_left_of_users_solved_exactly(self, data: Dataset) -> None:
        fitted = ALS(factors=5).fit(data)
        strangers = fitted._with_users(IdMap.of(["w"]), sp.csr_array(data.matrix[[3]]))
        rest = values(explain(strangers, "w", "item 8"), "user", "rest")
        assert rest.get("rest", 0.0) == pytest.approx(0, abs=1e-4)  # a float32 solution


@pytest.mark.parametrize("model", [EASE(l2=3.0), ItemKNN(k=8, weighting="bm25")], ids=["ease", "item-knn"])
def test_an_item_models_part_is_what_the_score_loses_without_the_past_item(model, data: Dataset) -> None:
    """The score is linear in what the user has."""
    fitted = model.fit(data)
    history = data.matrix.toarray()[3]
    parts = values(explain(fitted, "user 3", "item 8"), "user", "past item")
    assert set(parts) == {f"item {j}" for j in np.flatnonzero(history)}
    for name, value in parts.items():
        fewer = history.copy()
        fewer[data.items.encode([name])[0]] = 0
        without = fitted._with_users(IdMap.of(["w"]), sp.csr_array(fewer[None]))
        lost = fitted.scores(["user 3"], ["item 8"])[0, 0] - without.scores(["w"], ["item 8"])[0, 0]
        assert value == pytest.approx(float(lost), abs=1e-5)


def test_contents_parts_are_cosines_to_each_past_item(data: Dataset) -> None:
    """Written out from the definition: weight share · h_j <x_j, x_i> / |Σ h x|, by block."""
    fitted = Content(weights={"look": 2.0}).fit(data)
    explained = explain(fitted, "user 3", "item 7", data)
    transforms = fit_transforms(data.item_features, None, {"look": 2.0}, max_dims=128, whitening=0.5)
    row = data.matrix.toarray()[3]
    blocks = {}
    for t in transforms:
        x = t.apply(data.item_features[t.name])
        x = np.asarray(x if isinstance(x, np.ndarray) else x.toarray(), float)
        x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-30)
        blocks[t.name] = t.weight / 4 * row * (x @ x[7]) / np.linalg.norm(row @ x)
    by_item = values(explained, "item")
    for name, parts in blocks.items():
        assert sum(v for k, v in by_item.items() if k.startswith(name)) == pytest.approx(parts.sum(), abs=1e-6)
    past = sum(blocks.values())
    expected = {f"item {j}": past[j] for j in np.flatnonzero(row)}
    assert values(explained, "user", "past item") == pytest.approx(expected, abs=1e-6)


def test_who_has_nothing_is_the_average_user(data: Dataset, plain: Dataset) -> None:
    for model, given in ((ALS(factors=4), data), (BPR(factors=4, epochs=2), data), (HybridModel(epochs=1), plain)):
        kinds = {p.kind for p in explain(model.fit(given), NOBODY, "item 3", given).parts("user")}
        assert kinds <= {"average user", "item bias", "user bias"}
        assert "average user" in kinds


def test_unknown_ids_views_and_models_are_refused(data: Dataset) -> None:
    fitted = Popularity().fit(data)
    with pytest.raises(UnknownIdError, match="'nobody'"):
        explain(fitted, "nobody", "item 1")
    with pytest.raises(UnknownIdError, match="'nothing'"):
        explain(fitted, "user 1", "nothing")
    with pytest.raises(ConfigError, match="did you mean 'item'"):
        explain(fitted, "user 1", "item 1").parts("items")  # type: ignore[arg-type]

    class Opaque:
        model, users, items = "opaque", data.users, data.items

        def scores(self, users, items):
            return np.zeros((1, 1), np.float32)

    with pytest.raises(ConfigError, match="opaque cannot say why"):
        explain(Opaque(), "user 1", "item 1")  # type: ignore[arg-type]
