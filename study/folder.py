"""The study folder: where everything lies, which stage made it, and from what."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.errors import ArtifactError, ConfigError
from recsys.files import read_json, write_bytes, write_json

LEDGER = "stages.json"


@dataclass(frozen=True)
class StudyFolder:
    """A folder that holds a study, and the ledger of what has been done in it."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> StudyFolder:
        """A new study folder, or one to be taken up again; nothing is written before `begin`.

        Raises:
            ConfigError: The folder holds something else.
        """
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{path} exists and is no folder; choose another --out")
        inside = {p.name for p in path.iterdir()} - {".lock"} if path.exists() else set()
        if inside and "study.toml" not in inside:
            raise ConfigError(f"{path} exists and is not a study folder; choose another --out")
        return cls(path)

    def begin(self, study_file: Path) -> None:
        """Copy the study file in and remember where it came from; call it with the lock held."""
        write_bytes(self.path / "study.toml", study_file.read_bytes())
        try:
            stages = self.ledger()["stages"]
        except ArtifactError:  # a damaged ledger forgets: every stage is done again
            stages = {}
        write_json(self.path / LEDGER, {"origin": str(study_file.resolve().parent), "stages": stages})

    @classmethod
    def open(cls, path: Path) -> StudyFolder:
        """An existing study folder.

        Raises:
            ArtifactError: It is none.
        """
        if not (path / "study.toml").is_file() or not (path / LEDGER).is_file():
            raise ArtifactError(
                f"{path} is not a study folder (no study.toml with {LEDGER}); make one with `stylerec run`"
            )
        return cls(path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def origin(self) -> Path:
        """The folder of the study file: what relative paths in it are relative to."""
        return Path(self.ledger()["origin"])

    def ledger(self) -> dict[str, Any]:
        """``{"origin": …, "stages": {name: entry}}``."""
        path = self.path / LEDGER
        ledger: dict[str, Any] = read_json(path) if path.exists() else {"origin": "", "stages": {}}
        if not isinstance(ledger, dict) or not isinstance(ledger.get("stages"), dict) or "origin" not in ledger:
            raise ArtifactError(f"{path} is damaged; run the study again, finished pictures are kept")
        return ledger

    def entry(self, stage: str) -> dict[str, Any] | None:
        """What the ledger says of a finished stage."""
        found: dict[str, Any] | None = self.ledger()["stages"].get(stage)
        return found

    def record(self, stage: str, entry: Mapping[str, Any]) -> None:
        """Note a finished stage."""
        ledger = self.ledger()
        ledger["stages"][stage] = dict(entry)
        write_json(self.path / LEDGER, ledger)

    def sizes(self, names: tuple[str, ...]) -> dict[str, list[int]]:
        """[number of files, bytes] of each named file or folder; [0, 0] where absent."""
        return {name: _size(self.path / name) for name in names}

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process works on a study at a time.

        Raises:
            ConfigError: Another one does.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(
                    f"another process is working on {self.path}; wait for it or choose another --out"
                ) from error
            yield


def _size(path: Path) -> list[int]:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else []
    return [len(files), sum(p.stat().st_size for p in files)]
