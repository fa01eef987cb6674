"""Recommendations of other libraries beside a study's models, on equal terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from evaluation.offline.one_pass import Ranker
from evaluation.offline.tables import write_tables
from evaluation.offline.values import ModelKey
from evaluation.table import TableRanker
from recsys.data.source import read_table
from recsys.errors import ConfigError
from recsys.files import write_json
from recsys.models.artifacts import load_model
from study.comparing import compare
from study.learning import dataset_of, split_of
from study.run import Study
from study.stages.fit import offline_name
from study.stages.offline import checks, offline_json, offline_keys

FOLDER, FEATURES = "outside", "outside"


def named_files(pairs: Sequence[str]) -> dict[str, Path]:
    """``NAME=FILE`` texts by name.

    Raises:
        ConfigError: A text without ``=``, or a name twice.

    Example:
        >>> named_files(["theirs=lists.csv"])
        {'theirs': PosixPath('lists.csv')}
    """
    found: dict[str, Path] = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals or not name or not path:
            raise ConfigError(f"recommendations are NAME=FILE, got {pair!r}")
        if name in found:
            raise ConfigError(f"recommendations {name!r} are named twice; every name needs one file")
        found[name] = Path(path)
    return found


def compare_outside(
    study: Study,
    files: dict[str, Path],
    *,
    on_unknown: Literal["raise", "skip"],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The study's offline comparison with lists from files beside its models.

    Args:
        study: With its offline fits.
        files: Name → CSV or Parquet with user_id, item_id and rank or score.
        on_unknown: ``skip`` leaves out users and items that the study does not know.
        say: Told what was read.

    Raises:
        ConfigError: The study compares nothing, or has a model of that name.
        DataError: A table cannot be judged.
        UnknownIdError: It names ids that the study does not know.
    """
    if study.config.split.kind == "none":
        raise ConfigError("split.kind = 'none' leaves nothing to compare by; choose another kind")
    parts = split_of(study)
    data, keys = dataset_of(study, parts.known), offline_keys(study)
    tables: dict[ModelKey, TableRanker] = {}
    for name, path in files.items():
        if name in {key.model for key in keys}:
            raise ConfigError(f"the study has a model {name!r} of its own; give the recommendations another name")
        raw = read_table(path, name=f"recommendations {name!r}")
        ranker = TableRanker.from_frame(raw.frame, data, on_unknown=on_unknown)
        about = {**ranker.about, "lines_that_are_no_rows": len(raw.rejected)}
        say(f"{name}: " + ", ".join(f"{v} {k.replace('_', ' ')}" for k, v in about.items()))
        tables[ModelKey(name, FEATURES)] = ranker
    models: dict[ModelKey, Ranker] = {
        key: load_model(study.folder / "offline" / offline_name(key.model, key.features)) for key in keys
    }
    result = compare(study, models | tables, parts, data)
    found = offline_json(study, result, keys) | checks(study, result, parts, data, keys)
    found["read"] = {str(key): dict(ranker.about) for key, ranker in tables.items()}
    write_json(study.folder / f"{FOLDER}.json", found)
    write_tables(found, study.folder / FOLDER)
    return found
