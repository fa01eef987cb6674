"""Oracles: numpy arrays; for one-hot, pandas' get_dummies."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data import FeatureBlock, FeatureTable, IdMap
from recsys.errors import ArtifactError, DataError, UnknownIdError

DENSE = np.arange(6, dtype=np.float32).reshape(3, 2)


def dense(block: FeatureBlock) -> np.ndarray:
    return block.values.toarray() if block.is_sparse else np.asarray(block.values)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(name=st.text(st.characters(exclude_categories=("Cs",)), min_size=1), sparse=st.booleans())
def test_blocks_of_any_name_come_back_from_within_their_folder(tmp_path: Path, name: str, sparse: bool) -> None:
    folder = tmp_path / "deep" / "features"
    block = FeatureBlock(name, sp.csr_array(DENSE) if sparse else DENSE, ("a", "b"), {"look": "retro"})
    block.save(folder)
    again = FeatureBlock.load(folder, name)
    np.testing.assert_array_equal(dense(again), DENSE)
    assert (again.name, again.columns, again.provenance) == (name, ("a", "b"), {"look": "retro"})
    assert {p.name for p in tmp_path.iterdir()} == {"deep"}
    assert {p.name for p in (tmp_path / "deep").iterdir()} == {"features"}


@pytest.mark.parametrize("name", ["category", "efficientnet-lite0", "gram@retro", "Brand"])
def test_plain_names_are_file_names(tmp_path: Path, name: str) -> None:
    FeatureBlock(name, DENSE).save(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {f"{name}.npy", f"{name}.json"}


def test_a_mapped_block_stays_on_disk_and_reads_alike(tmp_path: Path) -> None:
    FeatureBlock("x", DENSE).save(tmp_path)
    block = FeatureBlock.load(tmp_path, "x", mmap=True)
    assert isinstance(block.values, np.memmap)
    np.testing.assert_array_equal(block.rows([2, 0, 0]).values, DENSE[[2, 0, 0]])


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("x.npy", lambda data: data[:-4]),
        ("x.npy", lambda data: b"\x80\x04K\x01."),  # a pickle, never run
        ("x.json", lambda data: data[:-5]),
        ("x.json", lambda data: data.replace(b"3", b"4")),
        ("x.json", lambda data: b"[]"),
        ("s.npz", lambda data: data[:-30]),
        ("s.npz", lambda data: data.replace(np.float32(3).tobytes(), np.float32(4).tobytes())),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, file: str, damage) -> None:
    FeatureBlock("x", DENSE).save(tmp_path)
    FeatureBlock("s", sp.csr_array(DENSE)).save(tmp_path)
    path = tmp_path / file
    before = path.read_bytes()
    path.write_bytes(damage(before))
    assert path.read_bytes() != before
    with pytest.raises(ArtifactError, match="make it again"):
        FeatureBlock.load(tmp_path, file[0])


def test_indices_beyond_the_matrix_are_refused(tmp_path: Path) -> None:
    FeatureBlock("s", sp.csr_array(DENSE)).save(tmp_path)
    with np.load(tmp_path / "s.npz") as file:
        parts = dict(file)
    np.savez(tmp_path / "s.npz", **(parts | {"indices": parts["indices"] + 1000}))
    with pytest.raises(ArtifactError, match="make it again"):
        FeatureBlock.load(tmp_path, "s")


def test_numbers_that_are_none_name_block_and_row() -> None:
    for bad in (np.nan, np.inf, -np.inf):
        values = np.zeros((70_000, 2), np.float32)
        values[69_999, 1] = bad
        with pytest.raises(DataError, match="'colour' has NaN or infinite values, first in row 69999"):
            FeatureBlock("colour", values)


def test_numbers_whose_squares_would_leave_float32_are_refused() -> None:
    for values in (DENSE * np.float32(1e15), DENSE.astype(np.float64) * 1e300, sp.csr_array(DENSE * np.float32(1e15))):
        with pytest.raises(DataError, match=r"'x' has values beyond 1e\+15, first in row [01]; scale them to about 1"):
            FeatureBlock("x", values)
    for kind in (np.float16, np.float64, np.int8, bool):
        assert FeatureBlock("x", DENSE.astype(kind)).shape == (3, 2)
    assert FeatureBlock("x", DENSE * np.float32(1e14)).shape == (3, 2)


def test_sparse_numbers_that_are_none_name_the_row() -> None:
    values = sp.csr_array(np.array([[1, 2], [0, 0], [3, np.nan], [np.inf, 1]], dtype=np.float32))
    with pytest.raises(DataError, match="first in row 2;"):
        FeatureBlock("tags", values)


@pytest.mark.parametrize(
    ("values", "columns", "message"),
    [
        (DENSE[0], None, r"must be 2-d .* got shape \(2,\)"),
        (DENSE, ("a",), "2 columns but 1 names"),
        (DENSE, ("a", "a"), "has the column 'a' twice"),
        (DENSE, "ab", r"must be a list of names, got 'ab'; write \['ab'\]"),
        (DENSE.tolist(), None, r"must be a numpy array or a sparse matrix, got list"),
        (pd.DataFrame(DENSE), None, r"got DataFrame; give frame\.to_numpy"),
        (DENSE.astype(str), None, "must hold real numbers, got <U"),
        (DENSE.astype(object), None, "must hold real numbers, got object"),
        (DENSE * 1j, None, "must hold real numbers, got complex"),
    ],
)
def test_blocks_of_another_shape_or_kind_are_refused(values, columns, message: str) -> None:
    with pytest.raises(DataError, match=message):
        FeatureBlock("x", values, columns)


def test_column_names_may_be_any_sequence_and_sparse_values_any_format() -> None:
    named = FeatureBlock("x", DENSE, ["a", "b"])
    assert named.columns == ("a", "b")
    for kind in (sp.coo_array, sp.csc_array, sp.csr_matrix, sp.lil_array):
        block = FeatureBlock("s", kind(DENSE))
        assert block.values.format == "csr"
        np.testing.assert_array_equal(dense(block.rows([2, 0])), DENSE[[2, 0]])


@given(st.lists(st.sampled_from(["bag", "shoe", "Bag", "", None, "é"]), max_size=20))
def test_one_hot_agrees_with_pandas(labels: list[str | None]) -> None:
    block = FeatureBlock.one_hot("category", labels)
    known = pd.Series([label or None for label in labels], dtype=object)
    expected = pd.get_dummies(known)
    assert block.columns == tuple(sorted(expected.columns))
    np.testing.assert_array_equal(dense(block), expected[list(block.columns)].to_numpy(dtype=np.float32))


def table() -> FeatureTable:
    ids = IdMap.of("abc")
    return FeatureTable(ids, (FeatureBlock("x", DENSE), FeatureBlock("s", sp.csr_array(DENSE[:, :1]))))


def test_tables_follow_ids_wherever_they_stand() -> None:
    moved = table().align(IdMap.of("cab"))
    np.testing.assert_array_equal(dense(moved["x"]), DENSE[[2, 0, 1]])
    np.testing.assert_array_equal(dense(moved["s"]), DENSE[[2, 0, 1], :1])
    same = table()
    assert same.align(IdMap.of("abc")) is same
    with pytest.raises(UnknownIdError, match="first 'z'"):
        table().align(IdMap.of("az"))


def test_the_ids_of_a_table_are_a_map() -> None:
    with pytest.raises(DataError, match=r"must be an IdMap, got ndarray; write IdMap\.of\(ids\)"):
        FeatureTable(np.array(["a", "b", "c"]), (FeatureBlock("x", DENSE),))


def test_tables_select_add_and_count() -> None:
    both = table()
    assert (both.names, both.n_dims) == (("x", "s"), 3)
    assert both.select(["s"]).names == ("s",)
    assert both.add(FeatureBlock("y", DENSE)).names == ("x", "s", "y")
    with pytest.raises(DataError, match="names must be distinct"):
        both.add(FeatureBlock("x", DENSE))
    with pytest.raises(DataError, match="has 2 rows, the table has 3 ids"):
        both.add(FeatureBlock("y", DENSE[:2]))
    with pytest.raises(DataError, match="unknown feature block 'xx'; did you mean 'x'"):
        both["xx"]


def test_descriptions_are_readable_json(tmp_path: Path) -> None:
    FeatureBlock("x", DENSE, provenance={"encoder": "gram", "size": np.int64(224)}).save(tmp_path)
    about = json.loads((tmp_path / "x.json").read_text())
    assert about == {
        "name": "x",
        "shape": [3, 2],
        "sparse": False,
        "columns": None,
        "provenance": {"encoder": "gram", "size": 224},
    }
