"""Fit the models: once on everything, for use, and once on the past with every set of features, for the comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from recsys.config import to_mapping
from recsys.data.features import FeatureTable
from recsys.data.interactions import Interactions
from recsys.data.recommendations import ORIGINAL
from recsys.errors import ConfigError, unknown_name
from recsys.files import write_json
from recsys.models.base import FittedRecommender, Recommender
from study.learning import dataset_of, split_of
from study.run import Stage, Study, Work
from study.stages.features import table_for

NO_FEATURES, METADATA = "none", "metadata"


def feature_sets(study: Study, model: Recommender) -> list[str]:
    """The sets of features a model is compared with, least first.

    ``none``: ids only. ``metadata``: catalogue columns. ``original`` and each look: those and the pictures as shown.
    """
    if model.uses_features == "no":
        return [NO_FEATURES]
    features = study.config.features
    sets = [NO_FEATURES] if model.uses_features == "optional" else []
    sets += [METADATA] if features.metadata else []
    return sets + ([ORIGINAL, *study.looks] if study.encoders else [])


def features_of(study: Study, name: str) -> FeatureTable | None:
    """The table of a feature set."""
    if name == NO_FEATURES:
        return None
    return table_for(study, None if name == METADATA else name)


def richest(study: Study, model: Recommender) -> str:
    """The feature set with which a model is put to use: originals where there are pictures."""
    sets = feature_sets(study, model)
    return next((s for s in (ORIGINAL, METADATA) if s in sets), NO_FEATURES)


def narrowed(model: Recommender, absent: Collection[str]) -> Recommender:
    """The model without options for blocks that a smaller set of features leaves out."""
    named = ("weights", "blocks", "raw", "members")
    options = {name: getattr(model, name) for name in named if getattr(model, name, None)}
    return dataclasses.replace(model, **_without(options, absent)) if options else model  # type: ignore[type-var]


def _without(options: Mapping[str, Any], absent: Collection[str]) -> dict[str, Any]:
    """Options in which no absent block is named; an ensemble's members have options of their own."""
    kept = dict(options)
    if isinstance(kept.get("weights"), Mapping):  # an ensemble's are one a member
        kept["weights"] = {name: weight for name, weight in kept["weights"].items() if name not in absent}
    for name in ("blocks", "raw"):
        if kept.get(name):
            kept[name] = tuple(block for block in kept[name] if block not in absent)
    if "members" in kept:
        members = kept["members"]
        kept["members"] = tuple(dataclasses.replace(m, options=_without(m.options, absent)) for m in members)
    return kept


def offline_name(model: str, features: str) -> str:
    """The folder of an offline fit."""
    return f"{model}--{features}"


def _fit(study: Study) -> Work:
    data = dataset_of(study)
    models = study.config.make_models()
    for name, model in models.items():
        table = features_of(study, richest(study, model))
        model.fit(data if table is None else data.with_item_features(table)).save(study.folder / "models" / name)
    return Work(len(models), "models")


def _offline_fit(study: Study) -> Work:
    if study.config.split.kind == "none":
        (study.folder / "offline").mkdir(exist_ok=True)
        return Work(0, "models")
    parts = split_of(study)
    done = 0
    for name, features, fitted in fit_offline(study, parts.train, parts.known):
        fitted.save(study.folder / "offline" / offline_name(name, features))
        done += 1
    return Work(done, "models")


def fit_offline(
    study: Study,
    train: Interactions,
    known: Interactions,
    *,
    seed: int | None = None,
    only: Collection[str] = (),
) -> Iterator[tuple[str, str, FittedRecommender]]:
    """Every model with every set of features, learned from ``train`` and told what is ``known`` beside it.

    Args:
        study: The study.
        train: What models learn from.
        known: Train and what is folded in.
        seed: In place of the models' own, where they have one.
        only: Names of models; empty: all.

    Raises:
        ConfigError: The study has no such model, or something is folded in, and a model cannot take it up.
    """
    data, models = dataset_of(study, train), study.config.make_models()
    for name in only:
        if name not in models:
            raise ConfigError(unknown_name("model", name, models))
    for name, model in models.items():
        if only and name not in only:
            continue
        full = _block_names(features_of(study, richest(study, model)))
        for features in feature_sets(study, model):
            table = features_of(study, features)
            own = seeded(narrowed(model, full - _block_names(table)), seed)
            fitted = own.fit(data if table is None else data.with_item_features(table))
            if known is not train:
                later = dataset_of(study, known)
                fitted = fitted.partial_fit(later if table is None else later.with_item_features(table))
            yield name, features, fitted


def seeded(model: Recommender, seed: int | None) -> Recommender:
    """The model with another seed; one without randomness, and None, as it is."""
    if seed is None or "seed" not in {f.name for f in dataclasses.fields(model)}:  # type: ignore[arg-type]
        return model
    return dataclasses.replace(model, seed=seed)  # type: ignore[type-var]


def _block_names(table: FeatureTable | None) -> set[str]:
    return set() if table is None else set(table.names)


def _inputs(study: Study) -> Mapping[str, Any]:
    models = study.config.make_models()
    made = {name: [type(m).__name__, to_mapping(m)] for name, m in models.items()}
    return {"models": made, "weighting": study.config.interactions.weighting}


def _offline_inputs(study: Study) -> Mapping[str, Any]:
    return {"models": _inputs(study), "split": to_mapping(study.config.split)}


def _split(study: Study) -> None:
    write_json(study.folder / "split.json", {} if study.config.split.kind == "none" else split_of(study).about)


def _split_inputs(study: Study) -> Mapping[str, Any]:
    weights = study.config.interactions.event_weights
    return {"split": to_mapping(study.config.split), "event_weights": dict(weights)}


SPLIT = Stage("split", ("ingest",), _split_inputs, _split, ("split.json",))
FIT = Stage("fit", ("ingest", "features"), _inputs, _fit, ("models",))
OFFLINE_FIT = Stage("fit offline", ("split", "features"), _offline_inputs, _offline_fit, ("offline",))
