"""Oracle: scores small enough to be read."""

import numpy as np
import pytest

from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.data.presentation import Presentation, Presentations
from recsys.data.recommendations import Recommendations
from recsys.errors import ConfigError, DataError, UnknownIdError
from recsys.models.content import Content
from recsys.rerank import presentation as module
from recsys.rerank.presentation import choose_presentation, pair_scores

USERS, ITEMS = IdMap.of(["u", "v"]), IdMap.of(["a", "b", "c"])


class Table:
    """A model that looks its scores up."""

    def __init__(self, scores):
        self.table = np.array(scores, np.float32)

    def scores(self, users, items=None):
        return self.table[USERS.encode(users)][:, ITEMS.encode(items)]


MODELS = {
    "retro": Table([[5.12, 2.0, 9.0], [0.0, 0.0, 0.0]]),
    "original": Table([[5.0, 2.0, 1.0], [1.0, 1.0, 1.0]]),
    "noir": Table([[4.0, 2.5, 3.0], [0.9, 0.0, 1.2]]),
}
GUARD = Presentations.of(
    [
        Presentation("a", "retro"),
        Presentation("b", "retro"),
        Presentation("c", "retro", accepted=False, reason="ssim 0.31 < 0.60"),
        Presentation("a", "noir"),
        Presentation("b", "noir"),
        Presentation("c", "noir"),
        Presentation("stranger", "noir"),
    ]
)
RECS = Recommendations.of("uuuvv", ["a", "b", "c", "a", "b"], [3, 2, 1, 3, 2], [1, 2, 3, 1, 2])


def test_the_best_accepted_look_is_shown_with_its_reason():
    shown = choose_presentation(RECS, MODELS, GUARD)
    frame = shown.to_frame()
    assert frame["presentation"].tolist() == ["retro", "noir", "noir", "original", "original"]
    np.testing.assert_allclose(frame["gain"], [0.12, 0.5, 2.0, 0, 0], atol=1e-6)  # float32 scores
    assert frame["reason"].tolist() == [
        "retro scores 0.12 above the original; guard accepted",
        "noir scores 0.5 above the original; guard accepted",
        "noir scores 2 above the original; guard accepted",
        "noir, the best accepted look, scores 0.1 below the original",
        "retro, the best accepted look, scores 1 below the original",
    ]
    untouched = ["user_id", "item_id", "score", "rank"]
    assert frame[untouched].equals(RECS.to_frame()[untouched])
    text = "5 items shown: original 2, retro 1, noir 2; restyled items score 0.873 above their originals"
    assert shown.to_text() == text


def test_a_refused_look_is_not_shown_however_high_it_scores():
    shown = choose_presentation(RECS, {k: MODELS[k] for k in ("original", "retro")}, GUARD)
    assert shown.recommendations.presentation.tolist() == ["retro", "original", "original", "original", "original"]
    assert shown.reasons()[2] == "retro scores 8 above the original, but the guard refused: ssim 0.31 < 0.60"
    assert shown.reasons()[1] == "retro, the best accepted look, scores 0 apart from the original"


def test_a_look_without_a_judgement_is_not_shown():
    shown = choose_presentation(RECS, MODELS, Presentations.of([]))
    assert set(shown.recommendations.presentation) == {"original"}
    assert shown.reasons()[0] == "retro scores 0.12 above the original, but the guard refused: there is no such picture"
    assert shown.reasons()[4] == "no look is accepted for this item"


def test_a_margin_keeps_originals():
    shown = choose_presentation(RECS, MODELS, GUARD, margin=0.3)
    assert shown.recommendations.presentation.tolist() == ["original", "noir", "noir", "original", "original"]
    assert shown.reasons()[0] == (
        "retro, the best accepted look, scores 0.12 above the original, less than the margin of 0.3"
    )


def test_equal_looks_keep_the_original_then_the_order_of_models():
    same = Table(np.ones((2, 3)))
    assert set(choose_presentation(RECS, {"noir": same, "original": same}, GUARD).recommendations.presentation) == {
        "original"
    }
    both = {"noir": Table(np.full((2, 3), 2)), "original": same, "retro": Table(np.full((2, 3), 2))}
    assert choose_presentation(RECS, both, GUARD).recommendations.presentation[0] == "noir"


def test_only_the_original_or_no_rows():
    alone = choose_presentation(RECS, {"original": MODELS["original"]}, GUARD)
    assert set(alone.reasons()) == {"there is no look but the original"}
    none = choose_presentation(Recommendations.of([], [], [], []), MODELS, GUARD)
    assert len(none.to_frame()) == 0
    assert none.to_text() == "0 items shown: original 0, retro 0, noir 0"


@pytest.mark.parametrize("batch", [1, 2, 256])
def test_pair_scores_are_entries_of_the_score_matrix(monkeypatch, batch):
    monkeypatch.setattr(module, "USERS", batch)
    users, items = np.array([*"vuvuu"], object), np.array([*"abcca"], object)
    expected = MODELS["noir"].table[USERS.encode(users), ITEMS.encode(items)]
    np.testing.assert_array_equal(pair_scores(MODELS["noir"], users, items), expected.astype(np.float64))


def test_a_fitted_model_and_its_pictures_in_another_look():
    # A user whose history points along axis 0; in the look, item "b" does too.
    from recsys.data.dataset import Dataset

    plain = FeatureBlock("look", np.array([[1, 0], [0, 1], [0, 1]], np.float32))
    styled = FeatureBlock("look", np.array([[1, 0], [1, 0], [0, 1]], np.float32))
    data = Dataset(
        IdMap.of(["u"]), ITEMS, np.array([0]), np.array([0]), np.ones(1, np.float32),
        np.array(["2020-01-01"], "datetime64[ns]"), FeatureTable(ITEMS, (plain,)), FeatureTable(IdMap.of(["u"])),
    )  # fmt: skip
    fitted = Content(whitening=0.0).fit(data)
    models = {"original": fitted, "retro": fitted.with_item_features(FeatureTable(ITEMS, (styled,)))}
    shown = choose_presentation(fitted.recommend(["u"], k=2), models, GUARD)
    assert dict(zip(shown.recommendations.item_id, shown.recommendations.presentation, strict=True)) == {
        "b": "retro",
        "c": "original",
    }


def test_refuses_what_it_cannot_compare():
    with pytest.raises(ConfigError, match="must hold 'original'"):
        choose_presentation(RECS, {"retro": MODELS["retro"]}, GUARD)
    with pytest.raises(ConfigError, match="margin must be >= 0, got -1"):
        choose_presentation(RECS, MODELS, GUARD, margin=-1)
    with pytest.raises(DataError, match="NaN or infinity"):
        choose_presentation(RECS, {"original": Table(np.full((2, 3), np.nan))}, GUARD)
    with pytest.raises(UnknownIdError):
        choose_presentation(Recommendations.of("x", ["a"], [1.0], [1]), MODELS, GUARD)
