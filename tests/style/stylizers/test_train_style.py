"""Training of stylizers on folders: what styles are taken from, what is written, what is refused."""

from contextlib import ExitStack
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image
from stylizer_contract import pictures

from cli_style import TRAINABLE
from recsys.errors import ArtifactError, ConfigError, ImageError
from study.training import KINDS, styles_from, train_style
from style.stylizers.feedforward import FeedForward
from style.training import TrainConfig

CONFIG = TrainConfig(steps=2, batch=2, size=32, every=1)
OPTIONS = {"backbone": "random", "device": "cpu", "tiles": 1}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i, picture in enumerate(pictures(18, (40, 36), seed=1)):
        Image.fromarray(picture).save(folder / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def styles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("styles")
    for name, seed in (("a/night", 9), ("b/night", 8), ("day", 7)):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pictures(1, (40, 40), seed=seed)[0]).save(folder / f"{name}.png")
    return folder


def test_the_command_knows_every_kind():
    assert tuple(KINDS) == TRAINABLE


def test_styles_are_files_folders_and_zips(styles, tmp_path):
    with ZipFile(tmp_path / "more.zip", "w") as packed:
        packed.write(styles / "day.png", "dusk.png")
    with ExitStack() as stack:
        found = styles_from([styles / "a" / "night.png", styles, tmp_path / "more.zip"], stack)
        assert found.names == ["night", "night-2", "night-3", "day", "dusk"]
        np.testing.assert_array_equal(found.whole("dusk"), found.whole("day"))
        assert found.draw(torch.Generator().manual_seed(0), 4, 32).shape == (4, 32, 32, 3)


def test_a_missing_style_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"nowhere\.png does not exist"), ExitStack() as stack:
        styles_from([tmp_path / "nowhere.png"], stack)


def test_no_style_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least one style image"), ExitStack() as stack:
        styles_from([tmp_path], stack)


def test_a_trained_model_serves_its_styles(photos, styles, tmp_path):
    rows = train_style("feedforward", photos, [styles], tmp_path, config=CONFIG, options=OPTIONS, tensorboard=True)
    assert [row["step"] for row in rows] == [1, 2]
    assert FeedForward(str(tmp_path), device="cpu").styles == ("night", "night-2", "day")
    events = next(tmp_path.glob("events.out.tfevents.*"))
    assert b"held_out_loss" in events.read_bytes()
    with pytest.raises(ArtifactError, match="other options, styles or photos"):
        train_style("feedforward", photos, [styles / "day.png"], tmp_path, config=CONFIG, options=OPTIONS)


def test_an_unknown_kind_is_named(photos, styles, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'feedforward'"):
        train_style("feedforwards", photos, [styles], tmp_path, config=CONFIG, options={})
