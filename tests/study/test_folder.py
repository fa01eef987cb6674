"""The study folder keeps strangers out and remembers what was done."""

from pathlib import Path

import pytest

from recsys.errors import ArtifactError, ConfigError
from study.folder import StudyFolder
from study.run import Study, run_stages


def begun(path: Path, study_file: Path) -> StudyFolder:
    folder = StudyFolder.create(path)
    folder.begin(study_file)
    return folder


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text("seed = 1\n")
    return path


def test_create_copies_the_study_and_remembers_where_it_came_from(tmp_path: Path, study_file: Path) -> None:
    folder = begun(tmp_path / "run", study_file)
    assert (folder / "study.toml").read_text() == "seed = 1\n"
    assert folder.origin == tmp_path
    assert StudyFolder.open(tmp_path / "run").ledger()["stages"] == {}


def test_a_foreign_folder_is_refused_and_untouched(tmp_path: Path, study_file: Path) -> None:
    other = tmp_path / "photos"
    other.mkdir()
    (other / "me.jpg").write_bytes(b"x")
    with pytest.raises(ConfigError, match="not a study folder"):
        StudyFolder.create(other)
    assert [p.name for p in other.iterdir()] == ["me.jpg"]


def test_opening_what_is_no_study_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="stylerec run"):
        StudyFolder.open(tmp_path)


def test_finished_stages_survive_a_new_configuration(tmp_path: Path, study_file: Path) -> None:
    folder = begun(tmp_path / "run", study_file)
    folder.record("ingest", {"key": "k"})
    study_file.write_text("seed = 2\n")
    again = begun(tmp_path / "run", study_file)
    assert again.entry("ingest") == {"key": "k"}
    assert (again / "study.toml").read_text() == "seed = 2\n"


def test_only_one_process_at_a_time(tmp_path: Path, study_file: Path) -> None:
    folder = begun(tmp_path / "run", study_file)
    with folder.lock(), pytest.raises(ConfigError, match="another process"), folder.lock():
        pass


def test_sizes_count_files_and_bytes(tmp_path: Path, study_file: Path) -> None:
    folder = begun(tmp_path / "run", study_file)
    (folder / "images").mkdir()
    (folder / "images" / "a").write_bytes(b"12345")
    assert folder.sizes(("images", "absent")) == {"images": [1, 5], "absent": [0, 0]}


@pytest.mark.parametrize("damage", ["{}", "[]", "{"])
def test_a_damaged_ledger_is_named_and_a_new_run_starts_over(tmp_path: Path, study_file: Path, damage: str) -> None:
    folder = begun(tmp_path / "run", study_file)
    (folder / "stages.json").write_text(damage)
    with pytest.raises(ArtifactError, match="damaged"):
        folder.ledger()
    folder.begin(study_file)
    assert folder.ledger()["stages"] == {}


def test_a_refused_run_changes_nothing(tmp_path: Path, study_file: Path) -> None:
    folder = begun(tmp_path / "run", study_file)
    other = tmp_path / "other.toml"
    other.write_text('[catalog]\npath = "a"\n[interactions]\npath = "b"\n')
    with folder.lock(), pytest.raises(ConfigError, match="another process"):
        run_stages(Study.create(other, tmp_path / "run"), [], say=lambda line: None)
    assert (folder / "study.toml").read_text() == "seed = 1\n"
