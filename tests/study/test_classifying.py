"""From a table and photos to a classifier, a column and a block: what is written, and what is refused by name."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cli import main
from recsys.data.features import FeatureBlock
from recsys.errors import ConfigError, DataError
from study.classifying import Source, evaluate, predict, read_items, train
from style.classify.probe import ProbeConfig
from style.images import encode_jpeg

COLOURS = {"warm": (200, 90, 40), "cold": (40, 90, 200)}
ENCODERS = ("colour-histogram",)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 photos whose class is their hue, one of a single pixel, one that is no picture, and a table."""
    folder, rng = tmp_path_factory.mktemp("shop"), np.random.default_rng(0)
    (folder / "photos").mkdir()
    rows = []
    for i in range(48):
        name = ("warm", "cold")[i % 2]
        pixels = np.clip(rng.normal(COLOURS[name], 40, (40, 30, 3)) + rng.normal(0, 25, 3), 0, 255).astype(np.uint8)
        pixels[rng.integers(0, 30) :, rng.integers(0, 20) :] = 255
        (folder / "photos" / f"p{i}.jpg").write_bytes(encode_jpeg(pixels))
        rows.append((f"p{i}", f"thing {i}", name))
    (folder / "photos" / "dot.jpg").write_bytes(encode_jpeg(np.zeros((1, 1, 3), np.uint8)))
    (folder / "photos" / "broken.jpg").write_bytes(b"nothing")
    rows += [("dot", "a dot", "warm"), ("broken", "broken", "cold"), ("gone", "gone", "")]
    pd.DataFrame(rows, columns=["id", "name", "mood"]).to_csv(folder / "items.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def source(shop: Path) -> Source:
    return Source(shop / "photos", shop / "items.csv", item="id", title="name")


@pytest.fixture(scope="module")
def trained(source: Source, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    out, said = tmp_path_factory.mktemp("trained"), []
    rows = train(source, out, label="mood", encoders=ENCODERS, config=ProbeConfig(threshold=0.6), say=said.append)
    assert sum(row["photos"] for row in rows) == pytest.approx(0.2 * 48, abs=2)
    return out, said


def test_training_leaves_a_classifier_and_its_evaluation_and_names_photos_it_cannot_use(
    trained: tuple[Path, list[str]],
) -> None:
    out, said = trained
    told = json.loads((out / "evaluation.json").read_text())
    assert told["macro_f1"] > 0.8  # hues that hardly overlap
    assert (out / "confusion.svg").read_text().count("Macro-F1") >= 1
    assert f"Macro-F1 **{told['macro_f1']:.3f}**" in (out / "evaluation.md").read_text()
    assert said[0].startswith("3 of 51 photos cannot be used (dot: 1 x 1 pixels")
    assert "broken: " in said[0]
    assert "gone: no picture" in said[0]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_prediction_is_a_column_and_a_block_over_all_items(
    suffix: str, source: Source, trained: tuple[Path, list[str]], tmp_path: Path
) -> None:
    rows = predict(trained[0], source, tmp_path / f"items.{suffix}", top=2, block=tmp_path / "features")
    file = tmp_path / f"items.{suffix}"
    made = pd.read_csv(file) if suffix == "csv" else pd.read_parquet(file)
    assert made["item_id"].tolist() == read_items(source)["item_id"].tolist()
    block = FeatureBlock.load(tmp_path / "features", "style")
    assert block.columns == ("cold", "warm")
    assert block.shape == (51, 2)
    assert not block.values[48:].any()  # no photo, no probabilities
    assert np.asarray(block.values[:48]).max(axis=1) == pytest.approx(made["style_probability"][:48], abs=1e-6)
    sure = made["style_probability"] >= 0.6
    named = made["style"].fillna("")
    assert np.array_equal(named != "", sure)
    truth = pd.Series(["warm", "cold"] * 24)
    assert (named[:48] == truth)[sure[:48]].mean() > 0.9
    assert sum(row["items"] for row in rows) == 48


def test_evaluation_of_other_photos_is_by_hand(source: Source, trained: tuple[Path, list[str]], tmp_path: Path) -> None:
    evaluate(trained[0], source, tmp_path, label="mood")
    told = json.loads((tmp_path / "evaluation.json").read_text())
    said = predict(trained[0], source, tmp_path / "all.csv", threshold=0.0)
    assert sum(map(sum, told["confusion"])) == sum(row["items"] for row in said) == 48
    named = pd.read_csv(tmp_path / "all.csv")["style"][:48]
    assert told["accuracy"] == pytest.approx((named == pd.Series(["warm", "cold"] * 24)).mean())


def test_photos_in_folders_are_labelled_by_them_and_one_photo_in_two_looks_stays_on_one_side(
    shop: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    for look, tint in COLOURS.items():
        (tmp_path / "images" / look).mkdir(parents=True)
        for i in range(20):
            pixels = np.clip(rng.normal(tint, 50, (32, 32, 3)), 0, 255).astype(np.uint8)
            (tmp_path / "images" / look / f"{i}.jpg").write_bytes(encode_jpeg(pixels))
    rows = train(Source(tmp_path / "images"), tmp_path / "out", label="", encoders=ENCODERS)
    assert [row["class"] for row in rows] == ["cold", "warm"]
    # photos come in pairs (a stem in either folder): as many of either class are held out
    assert rows[0]["photos"] == rows[1]["photos"]


def test_rules_label_what_has_no_label(shop: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(shop / "items.csv", keep_default_na=False)[:48]
    frame["name"] = np.where(frame["mood"] == "warm", "sunny ", "icy ") + frame["name"]
    frame.loc[8:, "mood"] = ""
    frame.to_csv(tmp_path / "items.csv", index=False)
    (tmp_path / "rules.toml").write_text('[warm]\nwords = ["sunny"]\n[cold]\nwords = ["icy"]\n')
    source = Source(shop / "photos", tmp_path / "items.csv", item="id", title="name")
    how = {"encoders": ENCODERS, "rules": tmp_path / "rules.toml", "holdout": 0.0}
    train(source, tmp_path / "a", label="mood", **how)  # type: ignore[arg-type]
    predict(tmp_path / "a", source, tmp_path / "named.csv")
    named = pd.read_csv(tmp_path / "named.csv")["style"]
    assert (named == pd.Series(["warm", "cold"] * 24)).mean() > 0.85
    train(source, tmp_path / "b", label="", **how)  # type: ignore[arg-type]
    assert not (tmp_path / "b" / "evaluation.json").exists()


def test_what_is_wrong_is_named(source: Source, trained: tuple[Path, list[str]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown column of the items 'moood'; did you mean 'mood'\?"):
        train(source, tmp_path, label="moood", encoders=ENCODERS)
    with pytest.raises(ConfigError, match=r"unknown method 'prob'; did you mean 'probe'\?"):
        train(source, tmp_path, label="mood", encoders=ENCODERS, method="prob")
    with pytest.raises(ConfigError, match=r"must end in \.csv or \.parquet, got x\.txt"):
        predict(trained[0], source, tmp_path / "x.txt")
    with pytest.raises(DataError, match="have a column 'title' already"):
        predict(trained[0], source, tmp_path / "x.csv", column="title")
    other = pd.read_csv(source.table, keep_default_na=False)  # type: ignore[arg-type]
    other.loc[3, "mood"] = "luke"
    other.to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(DataError, match="item 'p3': unknown class 'luke'"):
        evaluate(trained[0], Source(source.images, tmp_path / "other.csv", item="id"), tmp_path, label="mood")


def test_commands_refuse_in_one_line_and_answer_a_table(shop: Path, tmp_path: Path) -> None:
    words = ["style", "classify", "train", str(shop / "photos"), "--table", str(shop / "items.csv"), "--item", "id"]
    words += ["--encoder", "colour-histogram", "--out", str(tmp_path / "c")]
    refused = CliRunner().invoke(main, [*words, "--label", "name"])
    assert refused.exit_code == 2
    assert "class 'a dot' has 1 example (item 'dot')" in refused.output
    done = CliRunner().invoke(main, [*words, "--label", "mood", "--json"])
    assert done.exit_code == 0, done.output
    assert {row["class"] for row in json.loads(done.stdout)} == {"warm", "cold"}
