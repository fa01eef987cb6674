"""The ground: whole files or none, configuration with suggestions, extras, ids and features."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from recsys.config import from_mapping, to_mapping
from recsys.data import FeatureBlock, FeatureTable, IdMap, Presentation, Presentations
from recsys.errors import ArtifactError, ConfigError, DataError, MissingExtraError, UnknownIdError
from recsys.extras import require
from recsys.files import atomic_write, read_json, write_json
from recsys.registry import create


def fail_while_writing(path: Path) -> None:
    with atomic_write(path, "w") as file:
        file.write("half")
        raise RuntimeError("power cut")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        fail_while_writing(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_json_knows_numpy_and_refuses_damage(tmp_path: Path) -> None:
    write_json(
        tmp_path / "a.json", {"x": np.float32(0.5), "n": np.int64(3), "nan": float("nan"), "l": np.arange(2)}
    )
    assert read_json(tmp_path / "a.json") == {"x": 0.5, "n": 3, "nan": None, "l": [0, 1]}
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ArtifactError, match="damaged"):
        read_json(tmp_path / "a.json")


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = Inner()
    sizes: tuple[int, ...] = (1, 2)
    most: int | None = None
    on: bool = True
    tables: dict[str, float] = field(default_factory=dict)


def test_nested_configuration_round_trips() -> None:
    table = {"name": "a", "inner": {"rate": 1}, "sizes": [3], "most": 4, "on": False, "tables": {"x": 2}}
    made = from_mapping(Outer, table)
    assert made == Outer("a", Inner(1.0), (3,), 4, False, {"x": 2.0})
    assert from_mapping(Outer, to_mapping(made)) == made


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "misses name"),
        ({"name": 3}, "name must be str, got 3"),
        ({"name": "a", "inner": {"rat": 1}}, r"\[inner\] 'rat'; did you mean 'rate'"),
        ({"name": "a", "sizes": ["x"]}, r"sizes\[0\] must be int"),
        ({"name": "a", "most": True}, "most must be int"),
        ({"name": "a", "inner": 5}, "must be a table"),
    ],
)
def test_wrong_configuration_names_the_place(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_mapping(Outer, table)


def test_a_missing_package_names_its_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"stylerec\[ann\]"):
        require("no_such_package_anywhere", extra="ann")


def test_unknown_components_list_the_known() -> None:
    with pytest.raises(ConfigError, match="unknown model 'hybird'; did you mean 'hybrid'"):
        create("models", "hybird")
    with pytest.raises(ConfigError, match="hybrid"):
        create("models", "hybrid", no_such_option=1)


def test_ids_must_be_distinct_and_known() -> None:
    with pytest.raises(DataError, match="'a' more than once"):
        IdMap.of(["a", "a"])
    ids = IdMap.of(["a", "b"])
    assert ids.encode(["b", "x"], on_unknown="skip").tolist() == [1]
    with pytest.raises(UnknownIdError, match="first 'x'"):
        ids.encode(["b", "x"])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_features_name_block_and_row(bad: float) -> None:
    values = np.zeros((5, 2), np.float32)
    values[3, 1] = bad
    with pytest.raises(DataError, match="'colour' has NaN or infinite values, first in row 3"):
        FeatureBlock("colour", values)


@pytest.mark.parametrize("sparse", [False, True])
def test_blocks_round_trip_and_refuse_damage(tmp_path: Path, sparse: bool) -> None:
    dense = np.arange(6, dtype=np.float32).reshape(3, 2)
    block = FeatureBlock("x", sp.csr_array(dense) if sparse else dense, ("a", "b"), {"look": "retro"})
    block.save(tmp_path)
    again = FeatureBlock.load(tmp_path, "x")
    values = again.values.toarray() if sparse else again.values
    assert np.array_equal(values, dense)
    assert (again.columns, again.provenance) == (("a", "b"), {"look": "retro"})
    path = next(p for p in tmp_path.iterdir() if p.suffix in (".npy", ".npz"))
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ArtifactError, match="make it again"):
        FeatureBlock.load(tmp_path, "x")


def test_tables_align_by_id() -> None:
    table = FeatureTable(IdMap.of("abc"), (FeatureBlock("x", np.arange(3, dtype=np.float32)[:, None]),))
    assert table.align(IdMap.of("cab"))["x"].values[:, 0].tolist() == [2, 0, 1]
    with pytest.raises(DataError, match="Known: x"):
        table["y"]


def test_presentations_round_trip(tmp_path: Path) -> None:
    rows = [
        Presentation("a", "retro", "images/a.jpg", {"ssim": 0.9}),
        Presentation("b", "retro", accepted=False, reason="no"),
    ]
    Presentations.of(rows).save(tmp_path / "p.parquet")
    again = Presentations.load(tmp_path / "p.parquet")
    assert again.accepted("retro").to_dict() == {"a": True, "b": False}
    assert Presentations.of([]).looks == ()
