"""What an offline comparison of a study consists of: models, pools, groups, and the least that must be beaten."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.cluster.vq import kmeans2

from evaluation.metrics import BiasedMetricWarning
from evaluation.metrics.lists import Matrix
from evaluation.offline import OfflineResult, Ranker, evaluate
from evaluation.offline.aspects import ListAspects
from evaluation.offline.candidates import Candidates, candidate_notes
from evaluation.offline.groups import Groups, history_groups, popularity_groups
from evaluation.offline.rankers import ItemScores
from evaluation.offline.run import AUC
from evaluation.offline.values import ModelKey
from evaluation.split_checks import Fit
from evaluation.splits import Split
from recsys.data.catalog import Catalog
from recsys.data.dataset import Dataset
from recsys.data.features import FeatureBlock
from recsys.data.presentation import Presentations
from recsys.data.recommendations import ORIGINAL
from recsys.errors import ConfigError, unknown_name
from recsys.models.popularity import Popularity
from study.run import Study
from study.stages.features import table_for
from study.taste import style_block

POPULARITY, BIAS_ONLY = ModelKey("popularity"), ModelKey("bias-only")
PRICE_BANDS, STYLES = 5, 6
FITTED = ("variance_kept", "categories", "whitened_to", "columns")
"""What the provenance of a block names where something of it was fitted: directions, means of categories, words."""


def floors(study: Study, data: Dataset, keys: Mapping[ModelKey, Any]) -> dict[ModelKey, Ranker]:
    """Popularity and biases alone, as far as the study does not have them itself."""
    found: dict[ModelKey, Ranker] = {}
    if POPULARITY not in keys:
        found[POPULARITY] = Popularity().fit(data)
    if BIAS_ONLY not in keys:
        frame = Catalog.load(study.folder / "catalog.parquet").frame
        kinds = Groups.of_values("category", "items", frame["category"], most=len(frame))
        found[BIAS_ONLY] = ItemScores.bias_only(data, kinds if kinds.labels else None)
    return found


def compare(
    study: Study,
    models: Mapping[ModelKey, Ranker],
    parts: Split,
    data: Dataset,
    *,
    broken_down: bool = True,
) -> OfflineResult:
    """The comparison as the study file configures it, popularity and biases alone beside the models.

    Args:
        study: The study.
        models: Fitted on the train side; told what is folded in.
        parts: The split.
        data: What is known when lists are made: train and what is folded in.
        broken_down: Also by the groups of the study file.
    """
    settings = study.config.evaluation
    parted = groups(study, data) if broken_down else ()
    deep = broken_down and settings.beyond
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BiasedMetricWarning)  # a note of the result says it
        return evaluate(
            dict(models) | floors(study, data, models),
            parts.test,
            warm=data.is_warm,
            ks=settings.k,
            metrics=settings.metrics if deep else [name for name in settings.metrics if name != AUC],
            groups=parted,
            candidates=candidates(study, parts, data),
            exclude_seen=study.config.split.exclude_seen,
            aspects=aspects(study, data, parted) if deep else None,
            sampled=settings.sampled if deep else 0,
            resamples=settings.resamples,
            seed=study.config.seed,
        )


def aspects(study: Study, data: Dataset, parted: Sequence[Groups]) -> ListAspects:
    """What lists are held against: histories, style as photographed, categories, groups of items, and looks as shown.

    Distances are taken in the space of the original photos whatever a model saw, so that models can be compared.
    """
    frame = Catalog.load(study.folder / "catalog.parquet").frame
    category = FeatureBlock.one_hot("category", frame["category"])
    spaces: dict[str, Matrix] = {"category": category.values} if category.columns else {}
    block = style_block(study)
    if block is not None:
        spaces["style"] = np.asarray(table_for(study, ORIGINAL)[block].values, np.float32)
    made = Presentations.load(study.folder / "presentations.parquet")
    shown = {look: made.accepted(look).reindex(frame["item_id"]).eq(True).to_numpy() for look in study.looks}
    looks = {look: np.where(accepted, look, ORIGINAL) for look, accepted in shown.items()}
    of_items = tuple(group for group in parted if group.of == "items")
    return ListAspects(data.matrix, spaces, of_items, looks if study.encoders else {})


def candidates(study: Study, parts: Split, data: Dataset) -> Candidates:
    """The pool: the whole catalogue, or what was there at the end of train or of test.

    Raises:
        ConfigError: The column is none of the catalogue's.
        DataError: It holds no dates.
    """
    settings = study.config.evaluation
    if not settings.available_from:
        return Candidates.whole(data.items)
    day = parts.about["train_last" if settings.as_of == "train-end" else "test_last"]
    dates = _column(study, settings.available_from, "evaluation.available_from")
    if day is None:
        raise ConfigError("evaluation.available_from needs a log with timestamps; leave it out")
    return Candidates.available(data.items, dates, as_of=day, source=f"column {settings.available_from!r}")


def fits(study: Study, keys: Iterable[ModelKey]) -> list[Fit]:
    """What was fitted beside the models on features: of blocks their transforms, of models theirs.

    A block's transform is fitted on every original that has a row; a model's on every item of its table.
    """
    names = {ORIGINAL: table_for(study, ORIGINAL)} if study.encoders else {}
    found = [
        Fit(f"transform of block {block.name!r}", _has_row(block))
        for table in names.values()
        for block in table.blocks
        if any(block.provenance.get(key) for key in FITTED)
    ]
    n_items = len(Catalog.load(study.folder / "catalog.parquet").ids)
    models = dict.fromkeys(key.model for key in keys if key.features in (ORIGINAL, *study.looks))
    return found + [Fit(f"principal directions of {name}", np.ones(n_items, bool)) for name in models]


def _has_row(block: FeatureBlock) -> npt.NDArray[np.bool_]:
    """(n_items,) whether anything is known of an item."""
    values: Any = block.values
    return np.asarray(np.asarray(abs(values).sum(axis=1)).ravel() > 0)


def pool_findings(study: Study, parts: Split, data: Dataset) -> tuple[dict[str, Any], list[str]]:
    """What the pool knows of the future, in numbers and in words."""
    found = candidates(study, parts, data).check(parts, data.items)
    return found, candidate_notes(found)


def groups(study: Study, data: Dataset) -> tuple[Groups, ...]:
    """The groups by which the comparison is broken down; a price or style that a shop does not have is left out.

    Raises:
        ConfigError: A name is neither built in nor a column of the catalogue.
    """
    made = [_group(study, data, name) for name in study.config.evaluation.groups]
    return tuple(group for group in made if group is not None and group.labels)


def _group(study: Study, data: Dataset, name: str) -> Groups | None:
    had = data.matrix.copy()
    had.eliminate_zeros()
    if name == "history":
        return history_groups(np.diff(had.indptr))
    if name == "popularity":
        return popularity_groups(np.bincount(had.indices, minlength=len(data.items)))
    if name == "style":
        return _styles(study)
    frame = Catalog.load(study.folder / "catalog.parquet").frame
    if name == "price":
        return Groups.of_bands(name, "items", frame["price"], bands=PRICE_BANDS) if "price" in frame else None
    return Groups.of_values(name, "items", _column(study, name, "evaluation.groups"))


def _styles(study: Study) -> Groups | None:
    """Clusters of the original photos in style space, each named by an item near its middle."""
    block = style_block(study)
    if block is None:
        return None
    rows = np.asarray(table_for(study, ORIGINAL)[block].values, np.float64)
    shown = np.flatnonzero(rows.any(axis=1))
    if len(shown) < STYLES:
        return None
    rows = rows[shown] / np.linalg.norm(rows[shown], axis=1, keepdims=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of the clusters is empty")  # it is dropped below
        centres, label = kmeans2(rows, STYLES, minit="++", seed=study.config.seed)
    ids = Catalog.load(study.folder / "catalog.parquet").ids
    used, codes = np.unique(label, return_inverse=True)
    nearest = [shown[np.argmin(((rows - centre) ** 2).sum(axis=1))] for centre in centres[used]]
    every = np.full(len(ids), -1, np.int64)
    every[shown] = codes
    return Groups("style", "items", every, tuple(f"like {ids[i]}" for i in nearest))


def _column(study: Study, name: str, where: str) -> pd.Series:
    frame = Catalog.load(study.folder / "catalog.parquet").frame
    if name not in frame.columns:
        raise ConfigError(f"{where}: {unknown_name('catalogue column', name, map(str, frame.columns))}")
    return frame[name]
