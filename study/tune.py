"""Better options for a model of a study, looked for on the train side of its split alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.data.dataset import Dataset
from recsys.errors import ConfigError, unknown_name
from recsys.extras import require
from recsys.files import safe_name, write_bytes, write_json
from recsys.models.base import Recommender
from recsys.models.validation import Judge
from recsys.tuning.rehearsal import METRICS
from recsys.tuning.search import Tuning, tune
from study.learning import dataset_of, split_of
from study.run import Study, run_stages
from study.stages.features import FEATURES
from study.stages.fit import features_of, richest
from study.stages.ingest import INGEST
from study.stages.looks import LOOKS

JOURNAL, FOUND, BEST = "trials.journal", "tune.json", "best.toml"


@dataclass(frozen=True, eq=False)
class StudyTuning:
    """A search, and where it lies.

    Attributes:
        tuning: What was found.
        folder: Holds ``trials.journal``, ``tune.json`` and, where something better was found, ``best.toml``.
        toml: The model's table for the study file; empty where nothing better was found.
    """

    tuning: Tuning
    folder: Path
    toml: str


def tune_study(
    study: Study,
    name: str,
    *,
    trials: int,
    folds: int,
    judge: Judge = "all",
    say: Callable[[str], None] = print,
) -> StudyTuning:
    """Search, or go on with a search, and write what was found into the study's folder.

    Raises:
        ConfigError: The study has no such model, or nothing of it can be tuned.
        DataError: The split inside the train side is impossible.
        MissingExtraError: Optuna is not installed.
    """
    require("optuna", extra="tune")
    models = study.config.make_models()
    if name not in models:
        raise ConfigError(unknown_name("model", name, models))
    config = models[name]
    run_stages(study, (INGEST,) if config.uses_features == "no" else (INGEST, LOOKS, FEATURES), say=say)
    folder = study.folder / "tune" / safe_name(name)
    with study.folder.lock():
        data, mark = _train_side(study, config)
        found = tune(
            config,
            data,
            trials=trials,
            folds=folds,
            seed=study.config.seed,
            judge=judge,
            journal=folder / JOURNAL,
            mark=mark,
            say=say,
        )
        toml = best_toml(found, name, study.config.models.get(name, {}))
        write_json(folder / FOUND, {"name": name, **found.to_json()})
        (folder / BEST).unlink(missing_ok=True)
        if toml:
            write_bytes(folder / BEST, toml.encode())
    return StudyTuning(found, folder, toml)


def _train_side(study: Study, config: Recommender) -> tuple[Dataset, str]:
    """What comparisons let models learn from, with the features the model is put to use with; and what made those."""
    data = dataset_of(study, split_of(study).train)
    table = features_of(study, richest(study, config))
    if table is None:
        return data, ""
    entry = study.folder.entry("features") or {}
    return data.with_item_features(table), str(entry.get("key", ""))


def trial_rows(found: Tuning) -> list[dict[str, Any]]:
    """The options the search began from and every trial, the best first; pruned and failed ones last."""
    rank = {"complete": 0, "pruned": 1, "failed": 2}
    ordered = sorted(found.trials, key=lambda t: (rank[t.state], -(t.value or 0.0), t.number))
    metric = METRICS[found.judge]
    rows = [{"trial": "now", "state": "study file", metric: found.now}]
    return rows + [{"trial": str(t.number), "state": t.state, metric: t.value, **t.options} for t in ordered]


def importance_rows(found: Tuning) -> list[dict[str, Any]]:
    """Option, importance and where was looked, the most important first; unknown where too few trials are complete."""
    shares = found.importance
    names = sorted(found.space, key=lambda name: -shares.get(name, 0.0))
    return [{"option": n, "importance": shares.get(n), "range": str(found.space[n])} for n in names]


def best_toml(found: Tuning, name: str, table: Mapping[str, Any]) -> str:
    """The table ``[models.NAME]`` of a study file with the best options in place of its own; "" without any better.

    Args:
        found: The search.
        name: The model's name in the study file.
        table: Its options there.
    """
    best = found.best
    if best is None:
        return ""
    options: dict[str, Any] = {key: value for key, value in table.items() if key != "enabled"}
    weights = {k.partition(".")[2]: v for k, v in best.options.items() if k.startswith("weights.")}
    options |= {k: v for k, v in best.options.items() if not k.startswith("weights.")}
    if weights:
        options["weights"] = {**options.get("weights", {}), **weights}
    about = (
        f"# {METRICS[found.judge]} {best.value:.4f}, before {found.now:.4f}: trial {best.number} of {len(found.trials)}"
    )
    lines = [f"{_key(key)} = {_value(value)}" for key, value in options.items()]
    return "\n".join([about, f"[models.{_key(name)}]", *lines]) + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
