"""Turn every presentation into feature rows, and let the guard have its last word."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.config import to_mapping
from recsys.data.catalog import Catalog
from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.data.presentation import Presentations
from recsys.data.recommendations import ORIGINAL
from recsys.errors import ConfigError, unknown_name
from recsys.registry import create
from study.run import Stage, Study, Work
from study.stages.ingest import open_images
from study.stages.looks import usable_photos
from style.base import Encoder
from style.features import embed
from style.guard import add_cosine
from style.whitening import Whitening

Rows = npt.NDArray[np.float32]


def table_for(study: Study, look: str | None) -> FeatureTable:
    """The items' features as shown in ``look``; without a look, what is known beside the pictures.

    Blocks keep their plain names, so that a model fitted on one presentation reads any other. An item whose
    presentation in ``look`` was rejected has the rows of its original photo; one without a photo has zeros.
    """
    ids = IdMap.of(Catalog.load(study.folder / "catalog.parquet").ids)
    folder, features = study.folder / "features", study.config.features
    blocks = []
    for name in features.blocks:
        if name in features.columns:
            blocks.append(FeatureBlock.load(folder, name))
        elif look is not None and name in study.encoders:
            block = FeatureBlock.load(folder, _stored(name, look), mmap=True)
            blocks.append(FeatureBlock(name, block.values, block.columns, block.provenance))
    return FeatureTable(ids, tuple(blocks))


def _stored(name: str, look: str) -> str:
    return name if look == ORIGINAL else f"{name}@{look}"


def _features(study: Study) -> Work:
    catalog = Catalog.load(study.folder / "catalog.parquet")
    for name in study.config.features.columns:
        _column_block(catalog, name).save(study.folder / "features")
    made = Presentations.load(study.folder / "made.parquet")
    encoders = _encoders(study)
    if not encoders:
        made.save(study.folder / "presentations.parquet")
        return Work(0, "images")
    photos = usable_photos(study)
    shown = {ORIGINAL: list(photos)} | {look: _accepted(made, look) for look in study.looks}
    raw = {look: _embed(study, encoders, look, items, photos) for look, items in shown.items()}
    verdict = add_cosine(made, _cosines(encoders, shown, raw), list(study.looks.values()))
    verdict.save(study.folder / "presentations.parquet")
    for encoder in encoders:
        _save_blocks(study, encoder, catalog, shown, raw, verdict)
    shutil.rmtree(study.folder / "features" / ".work")
    return Work(sum(map(len, shown.values())), "images")


def _encoders(study: Study) -> list[Encoder]:
    features = study.config.features
    return [create("encoders", name, device=features.device) for name in study.encoders]


def _column_block(catalog: Catalog, name: str) -> FeatureBlock:
    if name not in catalog.frame.columns:
        known = [*study_blocks(), *catalog.frame.columns]
        raise ConfigError(unknown_name("feature block (encoder or catalogue column)", name, known))
    return FeatureBlock.one_hot(name, catalog.frame[name])


def study_blocks() -> list[str]:
    """The encoders a study may name."""
    from recsys.registry import names

    return names("encoders")


def _accepted(made: Presentations, look: str) -> list[str]:
    accepted = made.accepted(look)
    return list(accepted.index[accepted])


def _embed(
    study: Study, encoders: Sequence[Encoder], look: str, items: Sequence[str], photos: Mapping[str, str]
) -> dict[str, Rows]:
    """Raw rows of ``items`` by encoder."""
    work = study.folder / "features" / ".work" / look
    batch = study.config.features.batch
    key = study.folder.entry("looks")
    mark = str([key and key["key"], look, len(items)])
    if look == ORIGINAL:
        with _images(study) as store:
            done = embed(
                lambda i: store.read(photos[items[i]]),
                len(items),
                encoders,
                work,
                batch=batch,
                key=mark,
                label=look,
            )
    else:
        made = Presentations.load(study.folder / "made.parquet").frame
        paths = made[made["look"] == look].set_index("item_id")["image"]
        read = _reader(study, [paths[item] for item in items])
        done = embed(read, len(items), encoders, work, batch=batch, key=mark, label=look)
    return dict(done.blocks)


def _reader(study: Study, paths: Sequence[str]) -> Callable[[int], bytes]:
    return lambda i: (study.folder / paths[i]).read_bytes()


def _images(study: Study) -> Any:
    store = open_images(study)
    if store is None:
        raise ConfigError(
            "features need photos; set images under [catalog] or take the encoders out of [features] blocks"
        )
    return store


def _cosines(
    encoders: Sequence[Encoder], shown: Mapping[str, list[str]], raw: Mapping[str, Mapping[str, Rows]]
) -> dict[str, dict[str, float]]:
    """By look and item: the cosine between the semantic rows of the presentation and of the original."""
    semantic = next((e.name for e in encoders if e.semantic), None)
    if semantic is None:
        return {}
    position = pd.Series(np.arange(len(shown[ORIGINAL])), index=shown[ORIGINAL])
    found = {}
    for look, items in shown.items():
        if look != ORIGINAL:
            before, after = raw[ORIGINAL][semantic][position[items].to_numpy()], raw[look][semantic]
            length = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
            cosine = np.einsum("nd,nd->n", before, after) / np.maximum(length, 1e-12)
            found[look] = dict(zip(items, cosine.astype(float), strict=True))
    return found


def _save_blocks(
    study: Study,
    encoder: Encoder,
    catalog: Catalog,
    shown: Mapping[str, list[str]],
    raw: Mapping[str, Mapping[str, Rows]],
    verdict: Presentations,
) -> None:
    """One block a presentation: the originals' rows, overwritten where the look was accepted."""
    ids = IdMap.of(catalog.ids)
    whiten = Whitening.fit(raw[ORIGINAL][encoder.name], encoder.whiten) if encoder.whiten else None
    base: Rows | None = None
    for look, items in shown.items():
        rows = np.asarray(raw[look][encoder.name])
        rows = rows if whiten is None else whiten.apply(rows)
        values = np.zeros((len(ids), rows.shape[1]), np.float32) if base is None else base.copy()
        use = np.ones(len(items), bool) if base is None else verdict.accepted(look)[items].to_numpy(bool)
        values[ids.encode(np.asarray(items, dtype=object)[use])] = rows[use]
        base = values if base is None else base
        about = {"encoder": encoder.name, "look": look, "whitened_to": encoder.whiten or None}
        FeatureBlock(_stored(encoder.name, look), values, provenance=about).save(study.folder / "features")


def _inputs(study: Study) -> Any:
    guards = {name: to_mapping(look.guard) for name, look in study.looks.items()}
    return {"features": to_mapping(study.config.features), "guards": guards}


FEATURES = Stage("features", ("ingest", "looks"), _inputs, _features, ("features", "presentations.parquet"))
