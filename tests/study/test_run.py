"""Stages run once, run again when what they read has changed, and keep what was finished before a failure."""

from pathlib import Path
from typing import Any

import pytest

from recsys.errors import DataError
from recsys.files import write_bytes
from study.run import Stage, Study, Work, run_stages

FILE = '[catalog]\npath = "items.csv"\n[interactions]\npath = "sales.csv"\n'


@pytest.fixture
def study(tmp_path: Path) -> Study:
    path = tmp_path / "study.toml"
    path.write_text(FILE)
    return Study.create(path, tmp_path / "run")


class Recorder:
    """Stages `a` → `b` that count their runs."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.settings: dict[str, Any] = {"a": 0, "b": 0}

    def stage(self, name: str, needs: tuple[str, ...]) -> Stage:
        def work(study: Study) -> Work:
            self.runs.append(name)
            write_bytes(study.folder / f"{name}.txt", name.encode())
            return Work(1, "rows")

        return Stage(name, needs, lambda study: self.settings[name], work, (f"{name}.txt",))

    def run(self, study: Study) -> list[str]:
        self.runs.clear()
        run_stages(study, [self.stage("a", ()), self.stage("b", ("a",))], say=lambda line: None)
        return list(self.runs)


def test_a_second_run_does_nothing(study: Study) -> None:
    recorder = Recorder()
    assert recorder.run(study) == ["a", "b"]
    assert recorder.run(study) == []


def test_changed_inputs_redo_the_stage_and_what_follows(study: Study) -> None:
    recorder = Recorder()
    recorder.run(study)
    recorder.settings["b"] = 1
    assert recorder.run(study) == ["b"]
    recorder.settings["a"] = 1
    assert recorder.run(study) == ["a", "b"]


@pytest.mark.parametrize("damage", ["delete", "truncate"])
def test_damaged_outputs_are_made_again(study: Study, damage: str) -> None:
    recorder = Recorder()
    recorder.run(study)
    path = study.folder / "b.txt"
    path.unlink() if damage == "delete" else path.write_bytes(b"")
    assert recorder.run(study) == ["b"]


def test_a_failure_keeps_finished_stages(study: Study) -> None:
    recorder = Recorder()

    def fail(study: Study) -> Work:
        raise DataError("no")

    broken = [recorder.stage("a", ()), Stage("b", ("a",), lambda study: 0, fail, ("b.txt",))]
    with pytest.raises(DataError):
        run_stages(study, broken, say=lambda line: None)
    assert recorder.run(study) == ["b"]


def test_the_ledger_holds_the_cost(study: Study) -> None:
    Recorder().run(study)
    entry = study.folder.entry("a")
    assert entry is not None
    assert entry["seconds"] > 0
    assert entry["peak_memory_mb"] > 10
    assert (entry["work"], entry["unit"]) == (1, "rows")
