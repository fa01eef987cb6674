"""The sample store on disk: complete, repeatable, polite to what is there, and honest about its flaws."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from evaluation.sample import STYLES, write_store
from evaluation.sample.people import TASTES
from recsys.errors import ConfigError, DataError

SMALL = {"items": 22, "users": 20, "seed": 5}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "store"
    return folder, write_store(folder, **SMALL)


def contents(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def read(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def test_same_arguments_same_bytes(store, tmp_path):
    write_store(tmp_path / "again", **SMALL)
    assert contents(tmp_path / "again") == contents(store[0])


def test_another_seed_is_another_store(store, tmp_path):
    truth = write_store(tmp_path / "other", **{**SMALL, "seed": 6})
    assert not np.array_equal(truth.styles, store[1].styles)


def test_a_finished_store_is_not_written_again(store):
    before = {p: p.stat().st_mtime_ns for p in store[0].rglob("*.*") if p.suffix in (".jpg", ".csv")}
    write_store(store[0], **SMALL)
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_damage_is_repaired_and_other_arguments_replace_the_store(tmp_path):
    folder = tmp_path / "store"
    truth = write_store(folder, **SMALL)
    whole = contents(folder)
    (folder / "images" / truth.items["image"].iloc[4]).write_bytes(b"cut off")
    (folder / "truth.json").unlink()  # as after a kill in the middle
    write_store(folder, **SMALL)
    assert contents(folder) == whole
    write_store(folder, **{**SMALL, "items": 20, "seed": 8})
    assert len(list((folder / "images").iterdir())) == 20


def test_foreign_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match=r"thesis\.txt"):
        write_store(tmp_path, **SMALL)
    assert contents(tmp_path).keys() == {"thesis.txt"}


def test_too_small_a_store_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least 20 items"):
        write_store(tmp_path / "s", items=5)


def test_catalogue_names_no_style_and_keeps_awkward_ids(store):
    items = read(store[0] / "items.csv")
    assert {"0001e5", "NA", "000000"} <= set(items["item_id"])
    assert items["item_id"].is_unique
    text = (store[0] / "items.csv").read_text()
    assert not any(style in text for style in STYLES)
    assert {p.name for p in (store[0] / "images").iterdir()} == set(items["image"])


def test_bad_rows_are_where_truth_says_and_nothing_else_is_bad(store):
    folder, truth = store
    log, items = read(folder / "interactions.csv"), read(folder / "items.csv")
    for flaw in truth.bad_rows:
        assert log.loc[flaw["row"], flaw["field"]] == flaw["value"]
    good = log.drop(index=[flaw["row"] for flaw in truth.bad_rows])
    assert good["item_id"].isin(items["item_id"]).all()
    assert pd.to_datetime(good["timestamp"], format="ISO8601").is_monotonic_increasing
    assert set(good["weight"]) == {"1", "3"}
    assert (good["user_id"] != "").all()
    assert not good.duplicated().any()


def test_one_image_is_truncated_and_one_is_cmyk(store):
    folder, truth = store
    modes = {}
    for name in truth.items["image"]:
        with Image.open(folder / "images" / name) as image:
            assert image.size == (240, 320)
            try:
                image.load()
                modes[name] = image.mode.lower()
            except OSError:
                modes[name] = "truncated"
    assert {name: mode for name, mode in modes.items() if mode != "rgb"} == dict(truth.bad_images)


def test_truth_on_disk_is_the_truth(store):
    folder, truth = store
    value = json.loads((folder / "truth.json").read_text())
    assert value["styles"] == list(STYLES)
    shares = np.array([value["items"][s] for s in STYLES]).T
    np.testing.assert_array_equal(shares, truth.styles)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_array_equal(np.array([value["users"][t] for t in TASTES]).T, truth.users[TASTES])
    assert value["clicks"]["eta"] == truth.clicks.eta


def test_store_reads_through_the_front_door(store):
    from recsys.data.catalog import Catalog
    from recsys.data.interactions import Interactions

    folder, truth = store
    catalog = Catalog.read(folder / "items.csv")
    log = Interactions.read(folder / "interactions.csv", catalog=catalog)
    assert list(catalog.ids) == list(truth.items["item_id"])
    assert sorted(log.rejected["row"]) == [flaw["row"] for flaw in truth.bad_rows]
    shown = pd.read_csv(folder / "impressions.csv", dtype={"user_id": str, "item_id": str}, keep_default_na=False)
    assert shown["propensity"].between(0, 1, inclusive="right").all()
    # every click of the log was shown
    clicks = log.frame[log.frame["event"] == "click"]
    assert int(shown["click"].sum()) == len(clicks)
