"""Compare the offline fits on what came later: all, warm and cold items apart."""

from __future__ import annotations

from typing import Any

from evaluation.offline import evaluate
from evaluation.offline_result import ModelKey, OfflineResult
from recsys.config import to_mapping
from recsys.data.recommendations import ORIGINAL
from recsys.files import write_json
from recsys.models.artifacts import load_model
from study.learning import dataset_of, split_of
from study.run import Stage, Study, Work
from study.stages.fit import METADATA, NO_FEATURES, feature_sets, offline_name


def _offline(study: Study) -> Work:
    path = study.folder / "offline.json"
    if study.config.split.kind == "none":
        write_json(path, {})
        return Work(0, "users")
    parts = split_of(study)
    data = dataset_of(study, parts.train)
    models = study.config.make_models()
    keys = [ModelKey(name, features) for name, model in models.items() for features in feature_sets(study, model)]
    fitted = {key: load_model(study.folder / "offline" / offline_name(key.model, key.features)) for key in keys}
    settings = study.config.evaluation
    result = evaluate(
        fitted,
        parts.test,
        warm=data.is_warm,
        ks=settings.k,
        resamples=settings.resamples,
        seed=study.config.seed,
    )
    without_style = [key for key in keys if key.features in (NO_FEATURES, METADATA)]
    baseline = result.best_of(without_style or keys, "recall", max(settings.k), "all")
    found = {"split": parts.about} | result.to_json(baseline)
    write_json(path, found | {"ablations": _ablations(result, keys), "looks": _looks(study, result, keys)})
    return Work(int(parts.test.frame["user_id"].nunique()), "users")


def _ablations(result: OfflineResult, keys: list[ModelKey]) -> list[dict[str, Any]]:
    """What features add to the same model: each feature set against the model's least."""
    rows = []
    for name in dict.fromkeys(key.model for key in keys):
        own = [key for key in keys if key.model == name]
        if len(own) > 1:
            rows += result.compare(own[0], among=own)
    return rows


def _looks(study: Study, result: OfflineResult, keys: list[ModelKey]) -> list[dict[str, Any]]:
    """What it changes that a model sees restyled photos: each look against the same model with the originals."""
    rows = []
    for name in dict.fromkeys(key.model for key in keys):
        restyled = [key for key in keys if key.model == name and key.features in study.looks]
        if restyled:
            rows += result.compare(ModelKey(name, ORIGINAL), among=restyled)
    return rows


def _inputs(study: Study) -> Any:
    return {"evaluation": to_mapping(study.config.evaluation), "seed": study.config.seed}


OFFLINE = Stage("offline", ("ingest", "fit offline"), _inputs, _offline, ("offline.json",))
