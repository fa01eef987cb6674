"""Compare the offline fits on what came later: all, warm and cold items apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluation.offline.result import OfflineResult
from evaluation.offline.tables import write_tables
from evaluation.offline.values import ModelKey
from evaluation.split_checks import fit_leaks, fit_notes
from evaluation.splits import Split
from recsys.config import to_mapping
from recsys.data.dataset import Dataset
from recsys.data.recommendations import ORIGINAL
from recsys.files import write_json
from recsys.models.artifacts import load_model
from study.comparing import BIAS_ONLY, POPULARITY, compare, fits, pool_findings
from study.learning import dataset_of, split_of
from study.run import Stage, Study, Work
from study.stages.fit import METADATA, NO_FEATURES, feature_sets, offline_name

TABLES = "comparison"


def _offline(study: Study) -> Work:
    path = study.folder / "offline.json"
    if study.config.split.kind == "none":
        write_json(path, {})
        (study.folder / TABLES).mkdir(exist_ok=True)
        return Work(0, "users")
    parts = split_of(study)
    data = dataset_of(study, parts.known)
    keys = offline_keys(study)
    fitted = {key: load_model(study.folder / "offline" / offline_name(key.model, key.features)) for key in keys}
    result = compare(study, fitted, parts, data)
    found = offline_json(study, result, keys) | checks(study, result, parts, data, keys)
    write_json(path, found)
    write_tables(found, study.folder / TABLES)
    return Work(int(parts.test.frame["user_id"].nunique()), "users")


def offline_keys(study: Study) -> list[ModelKey]:
    """What is fitted for the comparison, by model, least features first."""
    models = study.config.make_models()
    return [ModelKey(name, features) for name, model in models.items() for features in feature_sets(study, model)]


def checks(
    study: Study, result: OfflineResult, parts: Split, data: Dataset, keys: Sequence[ModelKey]
) -> dict[str, Any]:
    """How past and future were split, what could have given the answer away, and all notes."""
    pool, pool_notes = pool_findings(study, parts, data)
    leakage = fit_leaks(fits(study, keys), ~data.is_warm, parts.about["train_last"])
    return {
        "split": {k: v for k, v in parts.about.items() if k != "warnings"} | {"candidates": pool},
        "leakage": leakage,
        "notes": [*result.notes(), *pool_notes, *parts.about["warnings"], *fit_notes(leakage)],
    }


def offline_json(study: Study, result: OfflineResult, keys: Sequence[ModelKey]) -> dict[str, Any]:
    """A comparison as ``offline.json`` holds it: against the best model without style, by features, and by look."""
    settings = study.config.evaluation
    without_style = [key for key in keys if key.features in (NO_FEATURES, METADATA)]
    baseline = result.best_of(without_style or keys, "recall", max(settings.k), "all")
    found = result.to_json(baseline, adjust=settings.adjust)
    found["ablations"] = _ablations(result, keys, settings.adjust)
    found["looks"] = _looks(study, result, keys, settings.adjust)
    rows = [row for model, among in _restyled(study, keys) for row in result.compare_beyond(model, among)]
    rows = [row for row in (*result.compare_beyond(baseline), *rows) if row["k"] >= max(settings.k)]
    return found | {"beyond_differences": [row for row in rows if row["metric"] != "exposure_share"]}


def _ablations(result: OfflineResult, keys: Sequence[ModelKey], adjust: str) -> list[dict[str, Any]]:
    """What features add to the same model, and what it has over popularity and biases alone.

    Each set of features, and both of those, against the model's least set; all models are one family.
    """
    pairs = []
    for name in dict.fromkeys(key.model for key in keys):
        least, *more = [key for key in keys if key.model == name]
        if least not in (POPULARITY, BIAS_ONLY):
            pairs += [(other, least) for other in (POPULARITY, BIAS_ONLY, *more)]
    return result.compare_pairs(pairs, adjust=adjust)


def _looks(study: Study, result: OfflineResult, keys: Sequence[ModelKey], adjust: str) -> list[dict[str, Any]]:
    """What it changes that a model sees restyled photos: each look against the same model with the originals.

    All models and looks are one family.
    """
    pairs = [(look, key) for key, among in _restyled(study, keys) for look in among]
    return result.compare_pairs(pairs, adjust=adjust)


def _restyled(study: Study, keys: Sequence[ModelKey]) -> list[tuple[ModelKey, list[ModelKey]]]:
    """Every model that saw the originals, and itself with looks."""
    looks = {
        name: [k for k in keys if k.model == name and k.features in study.looks] for name in {k.model for k in keys}
    }
    return [(key, looks[key.model]) for key in keys if key.features == ORIGINAL and looks[key.model]]


def _inputs(study: Study) -> Any:
    return {"evaluation": to_mapping(study.config.evaluation), "seed": study.config.seed}


OFFLINE = Stage("offline", ("ingest", "fit offline"), _inputs, _offline, ("offline.json", TABLES))
