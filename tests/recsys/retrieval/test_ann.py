"""Oracle: the model's own exact search under the same filters."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import scipy.sparse as sp

from recsys.data.ids import IdMap
from recsys.errors import ArtifactError, ConfigError, DataError, UnknownIdError
from recsys.models.fitted import FittedModel
from recsys.retrieval.factors import Factors
from recsys.retrieval.index import HNSW, INDEXES, IVF, Annoy
from recsys.retrieval.search import Limits, Retriever

N_USERS, N_ITEMS, K = 60, 2500, 10
# Effort high enough that an index which ranks by inner product finds nearly everything.
THOROUGH = {"annoy": Annoy(trees=30, effort=8), "hnsw": HNSW(effort=6), "faiss": IVF(probes=0.6)}
ASK = Limits(exact_below=0, exact_share=0.0, most_candidates=0.5)
"""The index is asked even where few items are allowed."""


@dataclass(frozen=True, eq=False)
class Given(FittedModel):
    """A model of given vectors, or of none."""

    model = "given"
    vectors: Factors | None

    def factors(self):
        return self.vectors

    def _score_block(self, user_idx):
        return np.zeros((len(user_idx), len(self.items)), np.float32)


def given(vectors, seen):
    users, items = (IdMap.of([f"{kind}{i}" for i in range(n)]) for kind, n in zip("ui", seen.shape, strict=True))
    return Given(None, users, items, seen, vectors)


@pytest.fixture(scope="module")
def model():
    """Item norms and biases vary as popularity does: neighbours by angle or distance are not the best by score."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(N_ITEMS, 12)) * rng.gamma(2, 0.5, (N_ITEMS, 1))
    factors = Factors(rng.normal(size=(N_USERS, 12)), items, rng.normal(size=N_ITEMS))
    seen = sp.csr_array(sp.random_array((N_USERS, N_ITEMS), density=0.01, rng=rng, format="csr"))
    return given(factors, seen)


@pytest.fixture(scope="module", params=list(INDEXES))
def retriever(request, model):
    return Retriever.of(model, THOROUGH[request.param], limits=ASK)


def test_every_kind_is_tried():
    assert set(THOROUGH) == set(INDEXES)


def test_finds_nearly_all_of_the_exact_lists(retriever):
    said = []
    recall = retriever.measure(k=K, sample=N_USERS, say=said.append)
    assert recall.mean > 0.95
    assert recall.low <= recall.mean <= recall.high
    assert recall.worst <= recall.mean
    assert said == [f"{retriever.config.kind}: {recall.to_text()}"]
    assert recall.n_users == N_USERS


def test_recall_is_the_share_of_the_exact_list(retriever):
    found, _ = retriever.top_items(np.arange(N_USERS), k=K)
    exact, _ = retriever.fitted.top_items(np.arange(N_USERS), k=K)
    expected = np.mean([len(set(f) & set(e)) / K for f, e in zip(found.tolist(), exact.tolist(), strict=True)])
    recall = retriever.measure(k=K, sample=N_USERS, say=lambda _: None)
    assert recall.mean == pytest.approx(expected)


def test_scores_are_exact_and_fall(retriever, model):
    found, best = retriever.top_items(np.arange(N_USERS), k=K)
    expected = np.take_along_axis(model.factors().block(np.arange(N_USERS)), found, axis=1)
    np.testing.assert_allclose(best, expected, rtol=1e-5, atol=1e-5)  # float32 sums in another order
    assert (np.diff(best, axis=1) <= 0).all()


@pytest.mark.parametrize("share", [0.5, 0.02])
def test_filters_are_exact(retriever, share):
    allowed = np.random.default_rng(3).random(N_ITEMS) < share
    found, _ = retriever.top_items(np.arange(N_USERS), k=K, allowed=allowed)
    assert allowed[found[found >= 0]].all()
    assert not retriever.fitted.seen[np.arange(N_USERS)[:, None], np.maximum(found, 0)].toarray()[found >= 0].any()
    assert (np.diff(np.sort(found, axis=1), axis=1)[np.sort(found, axis=1)[:, :-1] >= 0] > 0).all()  # no item twice


def stubbed(model, proposals, **limits):
    """A retriever whose index proposes the same candidates to everybody."""

    class Stub:
        def search(self, queries, n):
            row = np.full(n, -1)
            row[: len(proposals)] = proposals[:n]
            return np.tile(row, (len(queries), 1))

    return Retriever(model, model.factors(), HNSW(), Stub(), Limits(**limits))


def test_lists_that_come_short_are_searched_exactly(model):
    short = stubbed(model, [1, 2, 3])  # 3 candidates cannot fill 10 places
    found, best = short.top_items(np.arange(N_USERS), k=K)
    exact, scores = model.top_items(np.arange(N_USERS), k=K)
    np.testing.assert_array_equal(found, exact)
    np.testing.assert_array_equal(best, scores)
    recall = short.measure(k=K, sample=N_USERS, say=lambda _: None)
    assert (recall.mean, recall.exact_share) == (1.0, 1.0)


def test_seen_candidates_are_left_out_and_the_rest_ranked_exactly(model):
    proposals = np.arange(100, 160)
    found, _ = stubbed(model, proposals).top_items(np.arange(N_USERS), k=3)
    only = np.isin(np.arange(N_ITEMS), proposals)
    # The best among the proposals, found by exact search with them as allow-list. k + seen is fetched: 6 + about 25.
    wide = stubbed(model, proposals, overfetch=25).top_items(np.arange(N_USERS), k=3)[0]
    exact, _ = model.top_items(np.arange(N_USERS), k=3, allowed=only)
    np.testing.assert_array_equal(wide, exact)
    assert only[found].all()


def test_a_long_history_does_not_shorten_a_list(retriever, model):
    factors = model.factors()
    best = np.argsort(-factors.block(np.array([4]))[0])[:2000]
    seen = sp.csr_array((np.ones(2000), (np.full(2000, 4), best)), shape=(N_USERS, N_ITEMS))
    one = replace(retriever, fitted=given(factors, seen))
    found, _ = one.top_items(np.array([1, 4]), k=K)
    exact, _ = one.fitted.top_items(np.array([4]), k=K)
    np.testing.assert_array_equal(found[1], exact[0])


def test_few_allowed_items_are_searched_exactly(model):
    class Never:
        def search(self, queries, n):
            raise AssertionError("the index was asked")

    one = Retriever(model, model.factors(), HNSW(), Never(), Limits(exact_below=100))
    allowed = np.arange(N_ITEMS) < 100
    found, _ = one.top_items(np.arange(3), k=K, allowed=allowed)
    np.testing.assert_array_equal(found, model.top_items(np.arange(3), k=K, allowed=allowed)[0])
    assert not one.searches_exactly(None)
    assert not one.searches_exactly(np.arange(N_ITEMS) < 300)
    assert one.searches_exactly(np.arange(N_ITEMS) < 249)  # below a tenth of 2,500


def test_recommend_speaks_ids(retriever):
    recs = retriever.recommend(["u9", "u2"], k=3, deny=["i0"])
    found, best = retriever.top_items(np.array([9, 2]), k=3, allowed=np.arange(N_ITEMS) != 0)
    assert recs.user_id.tolist() == ["u9"] * 3 + ["u2"] * 3
    assert recs.item_id.tolist() == [f"i{i}" for i in found.ravel()]
    assert recs.rank.tolist() == [1, 2, 3] * 2
    np.testing.assert_allclose(recs.score, best.ravel())
    assert set(retriever.recommend(["u1"], k=5, allow=["i5", "i6"], exclude_seen=False).item_id) == {"i5", "i6"}
    with pytest.raises(UnknownIdError):
        retriever.recommend(["nobody"], k=1)


def test_save_and_load_answer_alike(retriever, model, tmp_path):
    retriever.save(tmp_path / "index")
    loaded = Retriever.load(tmp_path / "index", model)
    assert loaded.config == retriever.config
    assert loaded.limits == retriever.limits
    for one, other in zip(retriever.top_items(np.arange(20), k=K), loaded.top_items(np.arange(20), k=K), strict=True):
        np.testing.assert_array_equal(one, other)


def test_same_seed_same_index(retriever, model):
    again = Retriever.of(model, retriever.config, limits=ASK)
    points = model.factors().query_points(np.arange(N_USERS))
    np.testing.assert_array_equal(again.index.search(points, 20), retriever.index.search(points, 20))


def test_refuses_files_that_were_changed_or_belong_to_another_model(retriever, model, tmp_path):
    retriever.save(tmp_path)
    other = Factors(model.factors().queries, model.factors().columns * 2, model.factors().bias)
    stranger = given(other, model.seen)
    with pytest.raises(ArtifactError, match="another model's item vectors"):
        Retriever.load(tmp_path, stranger)
    about = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps(about | {"kind": "annoy2"}))
    with pytest.raises(ArtifactError, match="changed after it was written"):
        Retriever.load(tmp_path, model)
    (tmp_path / "index.json").write_text(json.dumps(about | {"format": 99}))
    with pytest.raises(ArtifactError, match="format 99"):
        Retriever.load(tmp_path, model)
    (tmp_path / "index.json").write_text(json.dumps(about))
    whole = (tmp_path / "index.bin").read_bytes()
    (tmp_path / "index.bin").write_bytes(whole[:-5])
    with pytest.raises(ArtifactError, match="truncated or was changed"):
        Retriever.load(tmp_path, model)


def test_refuses_what_cannot_be_indexed(model):
    with pytest.raises(ConfigError, match="no inner products"):
        Retriever.of(given(None, model.seen), Annoy())
    for config in THOROUGH.values():
        with pytest.raises(DataError, match="no points to index"):
            config.build(np.zeros((0, 3), np.float32))
        with pytest.raises(DataError, match="NaN or infinity"):
            config.build(np.full((5, 3), np.nan, np.float32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Annoy(trees=0), "trees must be > 0"),
        (lambda: HNSW(links=-1), "links must be > 0"),
        (lambda: IVF(probes=1.5), r"probes must lie in \(0, 1\]"),
        (lambda: IVF(clusters=0), "clusters must be > 0"),
        (lambda: Limits(overfetch=0.5), "overfetch must be >= 1"),
        (lambda: Limits(exact_share=2), r"exact_share must lie in \[0, 1\]"),
        (lambda: Limits(most_candidates=-1), r"most_candidates must lie in \[0, 1\]"),
    ],
)
def test_refuses_settings_out_of_range(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_works_on_a_handful_of_items():
    rng = np.random.default_rng(5)
    factors = Factors(rng.normal(size=(4, 3)), rng.normal(size=(6, 3)))
    tiny = given(factors, sp.csr_array((4, 6)))
    for config in THOROUGH.values():
        found, _ = Retriever.of(tiny, config, limits=ASK).top_items(np.arange(4), k=8)
        np.testing.assert_array_equal(found, tiny.top_items(np.arange(4), k=8)[0])
