"""Why an item is recommended to a customer, from a finished study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from recsys.data.catalog import Catalog
from recsys.data.dataset import Dataset
from recsys.explain.explanation import By, Explanation, explain
from recsys.models.base import FittedRecommender
from study.learning import dataset_of
from study.run import Study
from study.serving import open_model, titles
from study.stages.fit import features_of, richest

WORDS = {
    "efficientnet-lite0": "what its photo shows",
    "gram": "the style of its photo",
    "magenta-style": "the style of its photo",
    "channel-statistics": "the pattern in its photo",
    "texture": "the texture in its photo",
    "palette": "the colours of its photo",
    "colour-histogram": "the colours of its photo",
    "tfidf": "the words of its title",
}
"""What customers call the blocks that encoders make."""


def explain_from(run: Path, model: str, user: str, item: str) -> tuple[Explanation, dict[str, str]]:
    """The explanation, and the titles of the items in it.

    Raises:
        ArtifactError: The study has no such model.
        ConfigError: The model cannot say why.
        DataError: The study's data changed after the model was fitted.
        UnknownIdError: The user or item is unknown.
    """
    study, fitted = Study.open(run), open_model(run, model)
    data = dataset_of(study)
    table = features_of(study, richest(study, study.config.make_models()[model]))
    data = data if table is None else data.with_item_features(table)
    return explain(fitted, user, item, data), titles(Catalog.load(study.folder / "catalog.parquet").frame)


def explanation_of(
    fitted: FittedRecommender, user: str, item: str, data: Dataset, catalog: pd.DataFrame
) -> dict[str, Any]:
    """The explanation of one score as plain values, from a model and a catalogue that are loaded already."""
    return explanation_json(explain(fitted, user, item, data), titles(catalog), None)


def explanation_json(explained: Explanation, names: Mapping[str, str], by: By | None) -> dict[str, Any]:
    """The explanation as plain values."""
    about = {"model": explained.model, "user_id": explained.user, "item_id": explained.item, "score": explained.score}
    return about | {"text": explained.to_text(names, words=WORDS), "parts": rows(explained, names, by)}


def rows(explained: Explanation, names: Mapping[str, str], by: By | None) -> list[dict[str, Any]]:
    """The parts, the largest first; past items with their titles."""
    parts = sorted(explained.parts(by), key=lambda p: -abs(p.value))
    titled = any(p.kind == "past item" for p in parts)
    return [
        {"kind": p.kind, "name": p.name}
        | ({"title": names.get(p.name) if p.kind == "past item" else None} if titled else {})
        | {"value": p.value}
        for p in parts
    ]
