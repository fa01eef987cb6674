"""Every way to learn: against closed forms and simulations, its refusals, its files."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from sklearn.neighbors import NearestCentroid

from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.errors import ArtifactError, ConfigError, DataError, UnknownIdError
from style.classify.classifier import FILE, Classifier
from style.classify.labels import Labels
from style.classify.probe import ProbeConfig, best_threshold, class_weights, fit_probe
from style.classify.propagate import PropagateConfig, fit_propagated, neighbour_graph, shifted, smoothed
from style.classify.prototype import fit_prototypes

Fit = Callable[[FeatureTable, Labels], Classifier]
FITS: dict[str, Fit] = {"probe": fit_probe, "prototypes": fit_prototypes, "propagate": fit_propagated}


def clouds(
    seed: int, n: int, *, spread: float = 1.0, shares: tuple[float, ...] = (0.5, 0.3, 0.2)
) -> tuple[FeatureTable, np.ndarray]:
    """Rows around a mean a class, in two blocks of very different scale."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(len(shares), n, p=shares)
    rows = 2 * np.eye(len(shares), 6)[truth] + spread * rng.normal(size=(n, 6))
    ids = IdMap.of([f"i{i}" for i in range(n)])
    blocks = (
        FeatureBlock("a", rows[:, :4].astype(np.float32)),
        FeatureBlock("b", (1000 * rows[:, 4:]).astype(np.float32)),
    )
    return FeatureTable(ids, blocks), truth


def labelled(table: FeatureTable, truth: np.ndarray, every: int = 1) -> Labels:
    names = np.array(["plain", "retro", "street"], dtype=object)[truth]
    names[np.arange(len(names)) % every != 0] = ""
    return Labels.of(table.ids, names)


@pytest.fixture(params=list(FITS))
def fit(request: pytest.FixtureRequest) -> Fit:
    return FITS[request.param]


def test_probabilities_sum_to_one_and_are_the_same_again_from_disk(fit: Fit, tmp_path: Path) -> None:
    table, truth = clouds(0, 300)
    made = fit(table, labelled(table, truth, 2))
    assert made.mark == fit(table, labelled(table, truth, 2)).mark  # the same seed, the same result
    said = made.predict(table)
    assert np.allclose(said.probabilities.sum(axis=1), 1)
    made.save(tmp_path)
    again = Classifier.load(tmp_path).predict(table)
    assert np.array_equal(said.probabilities, again.probabilities)
    assert Classifier.load(tmp_path).about == json.loads(json.dumps(dict(made.about)))
    assert [p.name for p in tmp_path.iterdir()] == [FILE]
    assert (said.probabilities.argmax(axis=1) == truth).mean() > 0.75  # by Bayes' rule about 0.85


def test_a_classifier_that_was_changed_is_refused(tmp_path: Path) -> None:
    table, truth = clouds(0, 60)
    fit_prototypes(table, labelled(table, truth)).save(tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    with safetensors.safe_open(tmp_path / FILE, framework="numpy") as file:
        facts, mark = json.loads(file.metadata()["classifier"]), file.metadata()["mark"]
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def write(facts: dict, arrays: dict) -> None:  # type: ignore[type-arg]
        metadata = {"classifier": json.dumps(facts), "mark": mark}
        (tmp_path / FILE).write_bytes(safetensors.numpy.save(arrays, metadata=metadata))

    cases = {
        "holds no classifier": lambda: (tmp_path / FILE).write_bytes(whole[:-9]),
        "not of format 1": lambda: write(facts | {"format": 2}, arrays),
        "has besides: extra": lambda: write(facts | {"extra": 1}, arrays),
        "its mark does not fit": lambda: write(facts, arrays | {"bias": arrays["bias"] + 1}),
        "is damaged": lambda: write(facts, arrays | {"bias": arrays["bias"][:1]}),
    }
    for message, spoil in cases.items():
        spoil()
        with pytest.raises(ArtifactError, match=message):
            Classifier.load(tmp_path)
    (tmp_path / FILE).unlink()
    with pytest.raises(ArtifactError, match="does not exist; `stylerec style classify train` makes one"):
        Classifier.load(tmp_path)


def test_wrong_labels_are_refused_by_name() -> None:
    table, truth = clouds(0, 20)
    names = np.array(["plain"] * 19 + ["retro"], dtype=object)
    with pytest.raises(DataError, match=r"class 'retro' has 1 example \(item 'i19'\), at least 2 are needed"):
        fit_probe(table, Labels.of(table.ids, names))
    with pytest.raises(DataError, match="all labels are 'plain': there is nothing to tell apart"):
        fit_prototypes(table, Labels.of(table.ids, ["plain"] * 20))
    with pytest.raises(DataError, match=r"item 'i3': unknown class 'retr'; did you mean 'retro'\?"):
        Labels.of(table.ids, ["", "", "", "retr", *[""] * 16], classes=["plain", "retro"])
    with pytest.raises(DataError, match="no item has a label"):
        Labels.of(table.ids, [None] * 20)
    with pytest.raises(DataError, match="every item has a label"):
        fit_propagated(table, labelled(table, truth))
    import pandas as pd

    frame = pd.DataFrame({"id": ["i0", "i99"], "style": ["plain", "retro"]})
    with pytest.raises(UnknownIdError, match=r"labels name items that are not there: 1 of 2 .* first 'i99'"):
        Labels.from_frame(frame, table.ids, item="id", column="style")
    frame = pd.DataFrame({"id": ["i0", "i0"], "style": ["plain", "retro"]})
    with pytest.raises(DataError, match="item 'i0' is labelled 'plain' and 'retro'"):
        Labels.from_frame(frame, table.ids, item="id", column="style")


def test_constant_and_foreign_features_are_told_by_name() -> None:
    table, truth = clouds(0, 60)
    dead = table.add(FeatureBlock("dead", np.full((60, 3), 0.1, np.float32)))
    with pytest.raises(DataError, match="block 'dead' is constant: all 60 items have the same row"):
        fit_probe(dead, labelled(table, truth))
    half = table.add(FeatureBlock("half", np.stack([np.full(60, 0.1), np.ones(60), truth], axis=1).astype(np.float32)))
    with pytest.warns(UserWarning, match="block 'half': 2 of 3 columns never vary"):
        made = fit_prototypes(half, labelled(table, truth))
    with pytest.raises(DataError, match="unknown feature block 'half'"):
        made.predict(table)
    wide = table.add(FeatureBlock("half", np.zeros((60, 4), np.float32)))
    with pytest.raises(DataError, match="block 'half' has 4 columns, the classifier knows 3"):
        made.predict(wide)


def test_prototypes_name_the_nearest_mean_of_scikit_learn() -> None:
    table, truth = clouds(1, 200, spread=2.0)
    made = fit_prototypes(table, labelled(table, truth))
    rows = made.scaling.apply(table)
    theirs = NearestCentroid().fit(rows, truth).predict(rows)
    assert np.array_equal(made.predict(table).probabilities.argmax(axis=1), theirs)


def test_one_example_a_class_will_do_for_prototypes() -> None:
    table, truth = clouds(1, 30, spread=0.3)
    table = table.select(["a"])  # the other block is noise
    first = [int(np.flatnonzero(truth == c)[0]) for c in range(3)]
    labels = labelled(table, truth).only(np.isin(np.arange(30), first))
    assert (fit_prototypes(table, labels).predict(table).probabilities.argmax(axis=1) == truth).mean() > 0.9


def test_balance_raises_the_recall_of_a_rare_class() -> None:
    table, truth = clouds(2, 3000, spread=2.0, shares=(0.9, 0.07, 0.03))
    labels = labelled(table, truth)
    logits = [fit_probe(table, labels, None, ProbeConfig(balance=b)).logits(table) for b in (0.0, 1.0)]
    recall = [(x.argmax(axis=1) == 2)[truth == 2].mean() for x in logits]
    assert recall[1] > recall[0] + 0.2
    weights = class_weights(labels, 1.0)
    assert np.bincount(truth, weights) == pytest.approx([1000] * 3)  # every class weighs the same


def test_probabilities_are_calibrated_on_rows_that_were_not_seen() -> None:
    table, truth = clouds(3, 6000, spread=2.0)
    seen = np.arange(6000) < 400
    made = fit_probe(table, labelled(table, truth).only(seen))
    chances = made.predict(table).probabilities[~seen]
    # per class: mean probability against share; 5600 rows and 400 to learn from: 0.03 is twice the error of either
    assert chances.mean(axis=0) == pytest.approx(np.bincount(truth[~seen]) / 5600, abs=0.05)
    right = chances.argmax(axis=1) == truth[~seen]
    assert chances.max(axis=1).mean() == pytest.approx(right.mean(), abs=0.05)


def test_abstention_top_and_block_say_what_the_probabilities_say() -> None:
    table, truth = clouds(4, 200, spread=2.0)
    made = fit_probe(table, labelled(table, truth)).abstaining(0.7)
    said = made.predict(table)
    sure = said.probabilities.max(axis=1) >= 0.7
    assert 0.1 < sure.mean() < 0.95
    assert np.array_equal(said.names != "", sure)
    top = said.top(2)
    assert top["probability"].to_numpy().reshape(-1, 2) == pytest.approx(-np.sort(-said.probabilities)[:, :2])
    assert said.block().columns == ("plain", "retro", "street")
    assert said.to_frame("look")["look_probability"].to_numpy() == pytest.approx(said.probabilities.max(axis=1))
    for wrong in (
        lambda: made.abstaining(1.5),
        lambda: said.top(0),
        lambda: ProbeConfig(folds=1),
        lambda: ProbeConfig(penalties=()),
    ):
        with pytest.raises(ConfigError):
            wrong()


def test_several_labels_an_item_are_separate_questions_with_their_best_thresholds() -> None:
    table, truth = clouds(5, 400, spread=0.7)
    big = np.asarray(table["a"].values)[:, 3] > 0.5  # a second, independent quality
    texts = ["|".join(["retro"] * int(c == 1) + ["big"] * int(b)) or "none" for c, b in zip(truth, big, strict=True)]
    made = fit_probe(table, Labels.of(table.ids, texts, several=True))
    chances = made.predict(table).probabilities
    assert made.classes == ("big", "none", "retro")
    named = chances >= made.thresholds
    assert (named[:, 0] == big).mean() > 0.9
    assert (named[:, 2] == (truth == 1)).mean() > 0.85
    for name, row in zip(made.predict(table).names, named, strict=True):
        assert name == "|".join(np.array(made.classes)[row])
    with pytest.raises(ConfigError, match="one class an item"):
        fit_prototypes(table, Labels.of(table.ids, texts, several=True))


def test_the_best_threshold_is_the_best_of_all() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        chances, truth = rng.random(30).round(1), rng.random(30) < 0.3

        def f1(at: float, chances: np.ndarray = chances, truth: np.ndarray = truth) -> float:
            named = chances >= at
            return 2 * (named & truth).sum() / max(named.sum() + truth.sum(), 1)

        assert f1(best_threshold(truth, chances)) == pytest.approx(max(f1(t) for t in chances))


def test_unlabelled_rows_help_where_shares_differ_from_those_of_the_labels() -> None:
    gains = []
    for seed in range(8):
        table, truth = clouds([7, seed], 1500, spread=1.6, shares=(0.8, 0.15, 0.05))
        rng = np.random.default_rng(seed)
        chosen = np.concatenate([rng.choice(np.flatnonzero(truth == c), 12, replace=False) for c in range(3)])
        labels = labelled(table, truth).only(np.isin(np.arange(1500), chosen))
        hits = [
            (f(table, labels).predict(table).probabilities.argmax(axis=1) == truth).mean()
            for f in (fit_probe, fit_propagated)
        ]
        gains.append(hits[1] - hits[0])
    assert np.mean(gains) > 0.02
    assert np.mean(gains) / (np.std(gains, ddof=1) / np.sqrt(8)) > 3


def test_shares_are_found_where_probabilities_are_calibrated() -> None:
    # the mean of calibrated probabilities is the share; under other shares Bayes' rule gives the odds
    chances = np.array([[0.8, 0.2], [0.4, 0.6]])
    shares, made = shifted(chances, np.array([0.5, 0.5]), np.array([True, True]))
    assert shares == pytest.approx([0.6, 0.4])
    assert made[0, 0] / made[0, 1] == pytest.approx(4 * 1.5)


def test_smoothing_is_the_closed_form_of_zhou() -> None:
    table, truth = clouds(8, 80)
    labels, config = labelled(table, truth, 8), PropagateConfig(neighbours=5, alpha=0.8)
    rows = np.concatenate([np.asarray(b.values) for b in table.blocks], axis=1)
    start = np.where(labels.known[:, None], labels.targets, 1 / 3)
    graph = neighbour_graph(rows, 5).toarray()
    assert np.allclose(graph, graph.T)
    closed = 0.2 * np.linalg.solve(np.eye(80) - 0.8 * graph, start)
    closed /= closed.sum(axis=1, keepdims=True)
    found = smoothed(rows, start, labels, config)
    assert found[~labels.known] == pytest.approx(closed[~labels.known], abs=1e-3)
    assert np.array_equal(found[labels.known], labels.targets[labels.known])
