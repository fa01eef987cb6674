"""Training of stylizers on folders: what styles are taken from, what is written, what is refused."""

import io
import json
import shutil
from contextlib import ExitStack
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image
from stylizer_contract import pictures

from cli_style import TRAINABLE
from recsys.errors import ArtifactError, ConfigError, DataError, ImageError
from study.folder import StudyFolder
from study.training import KINDS, styles_from, train_style
from style.stylizers.feedforward import FeedForward
from style.training import Photos, TrainConfig

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


def flipped(path, place):
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1
    path.write_bytes(data)


class TestFilesThatChanged:
    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, photos, styles, tmp_path_factory):
        out = tmp_path_factory.mktemp("trained")
        train_style("feedforward", photos, [styles / "day.png"], out, config=CONFIG, options=OPTIONS)
        return out

    @pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
    @pytest.mark.parametrize("share", np.linspace(0, 1, 12, endpoint=False))
    def test_a_bit_anywhere_in_a_model_is_noticed(self, trained, tmp_path, name, share):
        copy = shutil.copytree(trained, tmp_path / "copy")
        flipped(copy / name, int(share * (copy / name).stat().st_size) + 3)
        with pytest.raises(ArtifactError):
            FeedForward(str(copy), device="cpu")

    @pytest.mark.parametrize("share", np.linspace(0, 1, 12, endpoint=False))
    def test_a_bit_anywhere_in_a_checkpoint_is_noticed(self, trained, photos, styles, tmp_path, share):
        """All of it decides how the training goes on."""
        copy = shutil.copytree(trained, tmp_path / "copy")
        path = copy / "checkpoint.safetensors"
        flipped(path, int(share * path.stat().st_size))
        with pytest.raises(ArtifactError, match="damaged"):
            train_style("feedforward", photos, [styles / "day.png"], copy, config=CONFIG, options=OPTIONS)

    @pytest.mark.parametrize("change", [{"format": 99}, {"kind": "cut"}])
    def test_a_model_of_another_format_or_kind_is_refused(self, trained, tmp_path, change):
        copy = shutil.copytree(trained, tmp_path / "copy")
        facts = json.loads((copy / "model.json").read_text())
        (copy / "model.json").write_text(json.dumps(facts | change))
        with pytest.raises(ArtifactError, match="no feedforward model of format"):
            FeedForward(str(copy), device="cpu")

    def test_a_file_is_no_folder_of_a_model(self, trained):
        with pytest.raises(ArtifactError, match="is no folder of a trained model"):
            FeedForward(str(trained / "model.json"), device="cpu")


def test_other_photos_of_the_same_number_are_refused(photos, styles, tmp_path):
    train_style("feedforward", photos, [styles / "day.png"], tmp_path / "out", config=CONFIG, options=OPTIONS)
    others = shutil.copytree(photos, tmp_path / "others")
    (others / "03.png").rename(others / "99.png")
    with pytest.raises(ArtifactError, match="other options, styles or photos"):
        train_style("feedforward", others, [styles / "day.png"], tmp_path / "out", config=CONFIG, options=OPTIONS)


def test_one_training_writes_to_a_folder_at_a_time(photos, styles, tmp_path):
    with StudyFolder(tmp_path).lock(), pytest.raises(ConfigError, match="another process is working on"):
        train_style("feedforward", photos, [styles / "day.png"], tmp_path, config=CONFIG, options=OPTIONS)


def test_what_cannot_be_read_is_left_out_and_named(photos, styles, tmp_path):
    mixed, said = shutil.copytree(photos, tmp_path / "mixed"), []
    (mixed / "README.txt").write_text("shot in May")
    whole = (mixed / "05.png").read_bytes()
    (mixed / "05.png").write_bytes(whole[: len(whole) // 2])
    config = TrainConfig(steps=12, batch=2, size=32, every=12)  # more than one epoch of 11, so that all are met
    train_style(
        "feedforward", mixed, [styles / "day.png"], tmp_path / "out", config=config, options=OPTIONS, say=said.append
    )
    left = [line for line in said if "left out" in line]
    assert len(left) == 2
    assert left[0].startswith("photo left out: 05.png: the picture is damaged")
    assert left[1].startswith("photo left out: README.txt: not a picture")


def test_in_place_of_a_damaged_photo_the_next_one_of_its_part_is_taken():
    files = {name: png(picture) for name, picture in zip("abcd", pictures(4, (32, 32), seed=3), strict=True)}
    whole = Photos(list("abcd"), files.__getitem__, held=2)
    torn = Photos(list("abcd"), (files | {"b": b"", "c": b"x"}).__getitem__, held=2)
    np.testing.assert_array_equal(torn.held_out(32), whole.held_out(32)[[0, 0]])
    config = TrainConfig(batch=1, size=32)
    np.testing.assert_array_equal(torn._crop(2, config.size, None), whole._crop(3, config.size, None))
    assert sorted(torn.damaged) == ["b", "c"]
    with pytest.raises(DataError, match="none of 2 photos can be read"):
        Photos(list("ab"), lambda name: b"", held=2).held_out(32)


def png(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()
