"""Turn every presentation into feature rows, and let the guard have its last word."""

from __future__ import annotations

import shutil
import warnings
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
from recsys.registry import names
from study.blocks import BlockConfig
from study.fitted_blocks import fit_text, keep, made_of, text_of
from study.run import Stage, Study, Work
from study.stages.ingest import open_images
from study.stages.looks import usable_photos
from style.base import Encoder
from style.features import Embedding, embed
from style.guard import add_cosine
from style.transform import Transform

Rows = npt.NDArray[np.float32]
NAMED = 3
"""Items that a warning names."""


def table_for(study: Study, look: str | None) -> FeatureTable:
    """The items' features as shown in ``look``; without a look, what is known beside the pictures.

    Blocks keep their plain names, so that a model fitted on one presentation reads any other. An item whose
    presentation in ``look`` was rejected has the rows of its original photo; one without a photo has zeros.
    """
    ids = IdMap.of(Catalog.load(study.folder / "catalog.parquet").ids)
    folder, features = study.folder / "features", study.config.features
    blocks = []
    for name in features.names:
        if name in features.metadata:
            blocks.append(FeatureBlock.load(folder, name))
        elif look is not None and name in study.encoders:
            block = FeatureBlock.load(folder, stored_name(name, look), mmap=True)
            blocks.append(FeatureBlock(name, block.values, block.columns, block.provenance))
    return FeatureTable(ids, tuple(blocks))


def stored_name(name: str, look: str) -> str:
    """What a block of one presentation is called in the folder."""
    return name if look == ORIGINAL else f"{name}@{look}"


def _features(study: Study) -> Work:
    catalog = Catalog.load(study.folder / "catalog.parquet")
    for name in study.config.features.columns:
        _column_block(catalog, name).save(study.folder / "features")
    for block in study.config.features.texts:
        fit_text(study, block, catalog).save(study.folder / "features")
    made = Presentations.load(study.folder / "made.parquet")
    blocks = study.config.features.pictures if study.config.catalog.images else ()
    if not blocks:
        made.save(study.folder / "presentations.parquet")
        return Work(0, "images")
    encoders = _encoders(study, blocks)
    photos = usable_photos(study)
    shown = {ORIGINAL: list(photos)} | {look: _accepted(made, look) for look in study.looks}
    distinct = list({encoder.name: encoder for encoder in encoders.values()}.values())
    raw = {look: _embed(study, distinct, look, items, photos) for look, items in shown.items()}
    verdict = add_cosine(made, _cosines(distinct, shown, raw), list(study.looks.values()))
    verdict.save(study.folder / "presentations.parquet")
    for block in blocks:
        _save_blocks(study, block, encoders[block.called], catalog, shown, raw, verdict)
    shutil.rmtree(study.folder / "features" / ".work")
    return Work(sum(map(len, shown.values())), "images")


def _encoders(study: Study, blocks: Sequence[BlockConfig]) -> dict[str, Encoder]:
    """By block; blocks of one encoder with the same options share it."""
    device = study.config.features.device
    return {block.called: block.picture_encoder(device=device, base=study.base) for block in blocks}


def _column_block(catalog: Catalog, name: str) -> FeatureBlock:
    if name not in catalog.frame.columns:
        known = [*names("encoders"), *names("text_encoders"), *catalog.frame.columns]
        raise ConfigError(unknown_name("feature block (encoder or catalogue column)", name, known))
    return FeatureBlock.one_hot(name, catalog.frame[name])


def _accepted(made: Presentations, look: str) -> list[str]:
    accepted = made.accepted(look)
    return list(accepted.index[accepted])


def _embed(
    study: Study, encoders: Sequence[Encoder], look: str, items: Sequence[str], photos: Mapping[str, str]
) -> Embedding:
    """Raw rows of ``items`` by encoder; pictures that fail are told."""
    work = study.folder / "features" / ".work" / look
    key = study.folder.entry("looks")
    weights = [made_of(study, block) for block in study.config.features.pictures]
    mark = str([key and key["key"], look, len(items), weights])

    def run(load: Callable[[int], bytes]) -> Embedding:
        batch = study.config.features.batch
        return embed(load, len(items), encoders, work, batch=batch, key=mark, label=look, called=lambda i: items[i])

    if look == ORIGINAL:
        with _images(study) as store:
            done = run(lambda i: store.read(photos[items[i]]))
    else:
        made = Presentations.load(study.folder / "made.parquet").frame
        paths = made[made["look"] == look].set_index("item_id")["image"]
        done = run(lambda i: (study.folder / paths[items[i]]).read_bytes())
    _tell_failed(look, items, done.failed)
    return done


def _tell_failed(look: str, items: Sequence[str], failed: Mapping[int, str]) -> None:
    if failed:
        some = "; ".join(f"{items[i]}: {reason}" for i, reason in list(failed.items())[:NAMED])
        what = "pictures cannot be described" if len(failed) > 1 else "picture cannot be described"
        rest = "" if len(failed) <= NAMED else "; …"
        warnings.warn(f"{look}: {len(failed)} {what} and count as absent ({some}{rest})", stacklevel=2)


def _images(study: Study) -> Any:
    store = open_images(study)
    if store is None:
        raise ConfigError(
            "features need photos; set images under [catalog] or take the encoders out of [features] blocks"
        )
    return store


def _cosines(
    encoders: Sequence[Encoder], shown: Mapping[str, list[str]], raw: Mapping[str, Embedding]
) -> dict[str, dict[str, float]]:
    """By look and item: the cosine between the semantic rows of the presentation and of the original."""
    semantic = next((e.name for e in encoders if e.semantic), None)
    if semantic is None:
        return {}
    position = pd.Series(np.arange(len(shown[ORIGINAL])), index=shown[ORIGINAL])
    found = {}
    for look, items in shown.items():
        if look != ORIGINAL:
            before = raw[ORIGINAL].blocks[semantic][position[items].to_numpy()]
            after = raw[look].blocks[semantic]
            length = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
            cosine = np.einsum("nd,nd->n", before, after) / np.maximum(length, 1e-12)
            found[look] = dict(zip(items, cosine.astype(float), strict=True))
    return found


def _save_blocks(
    study: Study,
    block: BlockConfig,
    encoder: Encoder,
    catalog: Catalog,
    shown: Mapping[str, list[str]],
    raw: Mapping[str, Embedding],
    verdict: Presentations,
) -> None:
    """One block a presentation: the originals' rows, overwritten where the look was accepted."""
    ids = IdMap.of(catalog.ids)
    labels = text_of(catalog.frame, (block.minus,), block) if block.minus else None
    transform = _fitted(block, encoder, ids, shown[ORIGINAL], raw[ORIGINAL], labels)
    about = keep(study, block, encoder.name, transform)
    base: Rows | None = None
    for look, items in shown.items():
        place = ids.encode(np.asarray(items, dtype=object))
        use = np.ones(len(items), bool) if base is None else verdict.accepted(look)[items].to_numpy(bool, copy=True)
        use[list(raw[look].failed)] = False
        rows = transform.apply(raw[look].blocks[encoder.name], None if labels is None else labels[place].tolist())
        values = np.zeros((len(ids), rows.shape[1]), np.float32) if base is None else base.copy()
        values[place[use]] = rows[use]
        base = values if base is None else base
        stored = FeatureBlock(stored_name(block.called, look), values, provenance=about | {"look": look})
        stored.save(study.folder / "features")


def _fitted(
    block: BlockConfig, encoder: Encoder, ids: IdMap, items: Sequence[str], raw: Embedding, labels: Any
) -> Transform:
    """On the originals that could be described."""
    good = np.setdiff1d(np.arange(len(items)), list(raw.failed))
    place = ids.encode(np.asarray(items, dtype=object)[good])
    dims, whiten = block.reduction(encoder.whiten)
    of = None if labels is None else labels[place].tolist()
    rows = raw.blocks[encoder.name]
    rows = rows if len(good) == len(items) else rows[good]
    return Transform.fit(rows, block.called, dims=dims, whiten=whiten, labels=of)


def _inputs(study: Study) -> Any:
    guards = {name: to_mapping(look.guard) for name, look in study.looks.items()}
    files = {block.called: made_of(study, block) for block in study.config.features.made}
    return {"features": to_mapping(study.config.features), "guards": guards, "weights": files}


FEATURES = Stage("features", ("ingest", "looks"), _inputs, _features, ("features", "presentations.parquet"))
