"""Feature blocks as a study file writes them: what is made, fitted, kept, and used on new photos."""

import json
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from cli import main
from recsys.config import from_mapping
from recsys.data.features import FeatureBlock
from recsys.errors import ConfigError, DataError, UnknownIdError
from study.blocks import BlockConfig, FeaturesConfig
from study.embeddings import describe_like, embeddings
from study.run import Study, run_stages
from study.stages.features import FEATURES, table_for
from study.stages.ingest import INGEST
from study.stages.looks import LOOKS
from style.images import encode_jpeg
from style.transform import load_fitted
from style.whitening import Whitening

N = 30
STUDY = """
[catalog]
path = "items.csv"
images = "photos"
[interactions]
path = "sales.csv"
[looks.dim]
stylizer = "colour.reinhard"
image = "dark.jpg"
region = "all"
guard = { min_ssim = -1, min_edge = -1, min_cosine = -1, max_product_delta_e = 1000 }
[features]
device = "cpu"
blocks = [
  "texture", "category", "tfidf",
  { encoder = "palette", name = "small", dims = 5 },
  { encoder = "palette", name = "white", whiten = true, dims = 4, minus = "category" },
  { encoder = "palette", options = { colours = 3 } },
  { encoder = "tfidf", name = "words", columns = ["title", "category"], whiten = true, dims = 3 },
]
"""


def photo(i: int) -> np.ndarray:
    rng = np.random.default_rng(i)
    pixels = np.full((60, 44, 3), 250, np.uint8)
    pixels[12:48, 10:34] = rng.integers(0, 256, 3)
    pixels[12 : 12 + 4 * (i % 6), 10:34] = rng.integers(0, 256, 3)
    return pixels


def write_shop(folder: Path) -> None:
    rng = np.random.default_rng(1)
    kinds = np.array(["bag", "shoe", ""])[np.arange(N) % 3]
    titles = [f"{rng.choice(['red', 'blue', 'long', 'short'])} {k or 'thing'} {i % 7}x" for i, k in enumerate(kinds)]
    titles[4] = ""
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(N)], "title": titles, "category": kinds})
    items.to_csv(folder / "items.csv", index=False)
    sales = pd.DataFrame({"user_id": [f"u{i % 5}" for i in range(N)], "item_id": items["item_id"]})
    sales.assign(timestamp="2024-01-01").to_csv(folder / "sales.csv", index=False)
    (folder / "photos").mkdir()
    for i in range(N):
        if i == 7:
            Image.fromarray(np.zeros((1, 1, 3), np.uint8)).save(folder / "photos" / "i7.jpg")
        elif i != 8:  # i8 has no photo at all
            (folder / "photos" / f"i{i}.jpg").write_bytes(encode_jpeg(photo(i)))
    (folder / "dark.jpg").write_bytes(encode_jpeg(np.random.default_rng(2).integers(0, 90, (40, 40, 3), np.uint8)))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    (folder / "study.toml").write_text(STUDY)
    made = Study.create(folder / "study.toml", folder / "run")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run_stages(made, (INGEST, LOOKS, FEATURES), say=lambda text: None)
    assert any(
        "original: 1 picture cannot be described and count as absent (i7: 1 x 1 pixels" in str(w.message) for w in told
    )
    return made


def test_blocks_stand_in_the_order_of_the_file_and_are_as_wide_as_asked(study: Study) -> None:
    table = table_for(study, "original")
    assert table.names == ("texture", "category", "tfidf", "small", "white", "palette", "words")
    assert [table[n].shape[1] for n in ("texture", "small", "white", "palette", "words")] == [208, 5, 4, 16, 3]
    assert table_for(study, None).names == ("category", "tfidf", "words")


def test_rows_are_reduced_by_what_was_fitted_on_the_originals(study: Study) -> None:
    values = np.asarray(table_for(study, "original")["white"].values, np.float64)
    good = np.setdiff1d(np.arange(N), [7, 8])
    kinds = np.arange(N) % 3
    assert np.allclose(np.cov(values[good].T), np.eye(4), atol=1e-3)
    means = [values[good[kinds[good] == kind]].mean(axis=0) for kind in (0, 1)]
    assert np.allclose(*means, atol=1e-4)  # both are the zero of before the whitening
    assert np.abs(means[0]).max() > 1e-3  # blank categories lost the mean of all, which is another
    assert (values[[7, 8]] == 0).all()


def test_every_look_goes_through_the_parameters_of_the_originals(study: Study) -> None:
    transform, _ = load_fitted(study.folder / "features" / "small.safetensors")
    about = json.loads((study.folder / "features" / "small@dim.json").read_text())["provenance"]
    assert about["parameters_key"] == transform.key
    assert about["fitted_on"] == N - 2
    assert about["look"] == "dim"
    raw = np.concatenate([transform_free(study, f"images/dim/i{i}.jpg") for i in (0, 1)])
    assert np.allclose(np.asarray(table_for(study, "dim")["small"].values)[:2], transform.apply(raw), atol=1e-5)


def transform_free(study: Study, path: str) -> np.ndarray:
    from style.encoders.colour import Palette
    from style.images import decode, resize

    return Palette().encode(resize(decode((study.folder / path).read_bytes(), at_least=128).pixels[None], 64))


def test_originals_and_looks_are_rows_of_one_table(study: Study) -> None:
    table = embeddings(study, ["small", "texture"])
    assert set(table.keys["look"]) == {"original", "dim"}
    assert not table.keys.duplicated().any()
    original, dim = table.rows("small", ["i3", "i0"]), table.rows("small", ["i3", "i0"], "dim")
    assert np.array_equal(original, np.asarray(table_for(study, "original")["small"].values)[[3, 0]])
    assert np.array_equal(dim, np.asarray(table_for(study, "dim")["small"].values)[[3, 0]])
    assert np.abs(original - dim).max() > 0.1
    mixed = table.rows("small", ["i3", "i3"], ["dim", "original"])
    assert np.array_equal(mixed, [dim[0], original[0]])
    with pytest.raises(UnknownIdError, match="'i8' is not shown in 'dim'"):
        table.rows("small", ["i8"], "dim")
    with pytest.raises(DataError, match="unknown block of pictures 'smal'"):
        embeddings(study, ["smal"])


def test_the_same_photos_described_anew_have_the_studys_rows(study: Study, tmp_path: Path) -> None:
    made = describe_like(study.folder.path, study.base / "photos", tmp_path, study.base / "items.csv")
    assert {row["block"] for row in made} == {"texture", "tfidf", "small", "white", "palette", "words"}
    names = pd.read_csv(tmp_path / "items.csv")
    table = table_for(study, "original")
    place = table.ids.encode(names["image"].str[:-4].to_numpy(dtype=object))
    for row in made:
        ours = FeatureBlock.load(tmp_path, row["block"]).values
        assert np.allclose(ours, np.asarray(table[row["block"]].values)[place], atol=1e-4), row["block"]
    assert names.set_index("image")["problem"]["i7.jpg"].startswith("1 x 1 pixels")


def test_new_photos_need_their_items_where_a_block_reads_columns(study: Study, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'white' takes off the mean of each 'category'; give .* --items"):
        describe_like(study.folder.path, study.base / "photos", tmp_path)
    few = tmp_path / "few.csv"
    pd.read_csv(study.base / "items.csv").head(3).to_csv(few, index=False)
    result = CliRunner().invoke(
        main,
        [
            "style",
            "embed",
            *map(str, [study.base / "photos", "--like", study.folder.path, "--items", few, "--out", tmp_path]),
        ],
    )
    assert result.exit_code == 2
    assert "has no item for 26 of 29 photos, first 'i10.jpg'" in result.stderr


def test_a_changed_block_is_made_again_and_an_unchanged_one_is_not(study: Study) -> None:
    said: list[str] = []
    run_stages(Study.open(study.folder.path), (INGEST, LOOKS, FEATURES), say=said.append)
    assert said[-1] == "features: reused"


def parsed(blocks: str) -> FeaturesConfig:
    return from_mapping(FeaturesConfig, tomllib.loads(f"blocks = {blocks}"), where="features")


@pytest.mark.parametrize(
    ("blocks", "match"),
    [
        ('["gram", "gram"]', "'gram' is there twice; give one of them a name"),
        ('[{ encoder = "grm" }]', "unknown encoder 'grm'; did you mean 'gram'"),
        ('[{ encoder = "gram", dim = 3 }]', "did you mean 'dims'"),
        ('[{ encoder = "gram", dims = 0 }]', "dims of gram must be >= 1, got 0"),
        ('[{ encoder = "gram", columns = ["title"] }]', "gram reads pictures, not the columns"),
    ],
)
def test_blocks_that_cannot_be_are_told(blocks: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        parsed(blocks)


@pytest.mark.parametrize(
    ("table", "advised", "wanted"),
    [
        ({}, 0, (0, False)),
        ({}, 64, (64, True)),
        ({"whiten": False}, 64, (0, False)),
        ({"whiten": True}, 0, (64, True)),
        ({"dims": 9}, 0, (9, False)),
        ({"dims": 9}, 64, (9, True)),
        ({"dims": 9, "whiten": True}, 0, (9, True)),
    ],
)
def test_what_a_block_is_reduced_to(table: dict[str, object], advised: int, wanted: tuple[int, bool]) -> None:
    assert from_mapping(BlockConfig, {"encoder": "gram"} | table).reduction(advised) == wanted


def test_a_hub_name_reads_pictures_and_with_columns_words() -> None:
    features = parsed('["hf:a/b", { encoder = "hf:a/b", name = "t", columns = ["title"] }, "season", "tfidf"]')
    assert [b.called for b in features.pictures] == ["hf:a/b"]
    assert [b.called for b in features.texts] == ["t", "tfidf"]
    assert features.columns == ("season",)
    assert features.metadata == ("season", "t", "tfidf")


@pytest.mark.parametrize(
    ("blocks", "match"),
    [
        (
            '[{ encoder = "tfidf", columns = ["titel"] }]',
            "'tfidf': unknown catalogue column 'titel'; did you mean 'title'",
        ),
        ('[{ encoder = "palette", minus = "kind" }]', "'palette': unknown catalogue column 'kind'"),
        ('["palete"]', "unknown feature block .* did you mean 'palette'"),
    ],
)
@pytest.mark.filterwarnings("ignore:original")
def test_blocks_that_the_catalogue_cannot_serve_are_told(study: Study, tmp_path: Path, blocks: str, match: str) -> None:
    path = study.base / "wrong.toml"
    path.write_text("looks = {}\n" + STUDY[: STUDY.index("[looks.dim]")] + f"[features]\nblocks = {blocks}\n")
    wrong = Study.create(path, tmp_path / "run")
    with pytest.raises(ConfigError, match=match):
        run_stages(wrong, (INGEST, LOOKS, FEATURES), say=lambda text: None)


def test_whitening_says_how_much_it_keeps() -> None:
    x = np.random.default_rng(0).normal(size=(2000, 3)) * [3, 2, 1]
    assert Whitening.fit(x, 2).kept == pytest.approx(13 / 14, abs=0.01)
