"""Run a study: each stage once, skipped when its inputs are what they were."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recsys.files import stable_hash
from study.config import StudyConfig, parse_study, read_study
from study.cost import measure
from study.folder import StudyFolder
from style.look import Look


@dataclass(frozen=True)
class Work:
    """How much a stage did, for rates: 51,000 images."""

    amount: int
    unit: str


@dataclass(frozen=True)
class Study:
    """What every stage sees: the configuration, the folder, and where relative paths start."""

    config: StudyConfig
    folder: StudyFolder
    base: Path
    source: Path | None = None

    @classmethod
    def create(cls, study_file: Path, out: Path | None = None) -> Study:
        """Begin (or take up) a study in ``out``; None: runs/<name of the study file>."""
        config = read_study(study_file)
        out = Path("runs") / study_file.stem if out is None else out
        return cls(config, StudyFolder.create(out), study_file.resolve().parent, study_file)

    @classmethod
    def open(cls, path: Path) -> Study:
        """A study that has been run."""
        folder = StudyFolder.open(path)
        return cls(parse_study((folder / "study.toml").read_text(encoding="utf-8")), folder, folder.origin)

    @property
    def encoders(self) -> tuple[str, ...]:
        """Names of the blocks that have pictures to look at."""
        return tuple(b.called for b in self.config.features.pictures) if self.config.catalog.images else ()

    @cached_property
    def looks(self) -> dict[str, Look]:
        """The looks by name."""
        return self.config.make_looks(self.base)


@dataclass(frozen=True)
class Stage:
    """One step of a study.

    Attributes:
        name: As the cost table calls it.
        needs: Stages whose results it reads.
        inputs: Everything else the result depends on, as JSON-able values.
        work: Does it; writes into the study folder.
        outputs: Files and folders it leaves there.
    """

    name: str
    needs: tuple[str, ...]
    inputs: Callable[[Study], Any]
    work: Callable[[Study], Work | None]
    outputs: tuple[str, ...]


def run_stages(study: Study, stages: Iterable[Stage], *, say: Callable[[str], None] = print) -> None:
    """Run ``stages`` in order; one whose inputs and outputs are unchanged is reused.

    Raises:
        StylerecError: From a stage; finished stages stay finished.
    """
    keys: dict[str, str] = {}
    with study.folder.lock():
        if study.source is not None:
            study.folder.begin(study.source)
        for stage in stages:
            upstream = [keys.get(name, "absent") for name in stage.needs]
            keys[stage.name] = key = stable_hash([stage.name, version("stylerec"), stage.inputs(study), upstream])
            if _is_done(study, stage, key):
                say(f"{stage.name}: reused")
                continue
            say(f"{stage.name} …")
            _run(study, stage, key, say)


def _is_done(study: Study, stage: Stage, key: str) -> bool:
    entry = study.folder.entry(stage.name)
    return entry is not None and entry["key"] == key and entry["sizes"] == study.folder.sizes(stage.outputs)


def _run(study: Study, stage: Stage, key: str, say: Callable[[str], None]) -> None:
    with measure() as cost:
        work = stage.work(study)
    entry = {
        "key": key,
        "sizes": study.folder.sizes(stage.outputs),
        "seconds": round(cost.seconds, 3),
        "peak_memory_mb": round(cost.peak_memory_mb, 1),
        "work": work.amount if work else None,
        "unit": work.unit if work else None,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    study.folder.record(stage.name, entry)
    rate = f", {work.amount / cost.seconds:,.0f} {work.unit}/s" if work and work.amount > cost.seconds else ""
    say(f"{stage.name}: {cost.seconds:.1f} s, peak {cost.peak_memory_mb:,.0f} MB{rate}")
