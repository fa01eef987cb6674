"""Rows of every presentation in one table, keyed by (item, look); and rows of photos that a study has not seen."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.catalog import Catalog
from recsys.data.features import FeatureBlock
from recsys.data.ids import IdMap
from recsys.data.presentation import Presentations
from recsys.data.recommendations import ORIGINAL
from recsys.errors import ConfigError, DataError, UnknownIdError, unknown_name
from recsys.files import atomic_write
from study.blocks import BlockConfig
from study.fitted_blocks import apply_text, fitted_path, text_of
from study.pictures import picture_names
from study.run import Study
from study.stages.features import stored_name
from study.stages.looks import usable_photos
from style.features import embed
from style.imagestore import ImageStore
from style.transform import load_fitted

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """What a study knows of every presentation: an item's original and its looks are rows of one table.

    Attributes:
        keys: Columns item_id and look, one row a presentation that may be shown; originals first.
        blocks: Over these rows, in their order.
    """

    keys: pd.DataFrame
    blocks: tuple[FeatureBlock, ...]

    def block(self, name: str) -> FeatureBlock:
        """A block by name.

        Raises:
            DataError: There is none of that name.
        """
        for block in self.blocks:
            if block.name == name:
                return block
        raise DataError(unknown_name("block of pictures", name, [b.name for b in self.blocks]))

    def rows(self, name: str, items: Sequence[str], looks: Sequence[str] | str = ORIGINAL) -> Rows:
        """(n, d) rows of a block, one a pair of item and look; one look goes for all items.

        Raises:
            UnknownIdError: An item is not shown in that look.
        """
        wanted = [looks] * len(items) if isinstance(looks, str) else list(looks)
        if len(wanted) != len(items):
            raise DataError(f"give one look, or one for each of the {len(items)} items, got {len(wanted)}")
        place = pd.MultiIndex.from_frame(self.keys).get_indexer(pd.MultiIndex.from_arrays([list(items), wanted]))
        if (place < 0).any():
            first = int(np.argmax(place < 0))
            raise UnknownIdError(
                f"item {items[first]!r} is not shown in {wanted[first]!r}: it is unknown, has no photo, or was refused"
            )
        return np.asarray(self.block(name).values[place], np.float32)


def embeddings(study: Study, blocks: Sequence[str] = ()) -> Embeddings:
    """The table of a study that has been run.

    Args:
        study: Run at least up to its features.
        blocks: Of pictures; empty: all.

    Raises:
        ArtifactError: The features have not been made.
        DataError: An unknown block.
    """
    for name in blocks:
        if name not in study.encoders:
            raise DataError(unknown_name("block of pictures", name, study.encoders))
    ids = IdMap.of(Catalog.load(study.folder / "catalog.parquet").ids)
    verdict = Presentations.load(study.folder / "presentations.parquet")
    shown = {ORIGINAL: list(usable_photos(study))}
    for look in study.looks:
        accepted = verdict.accepted(look)
        shown[look] = list(accepted.index[accepted])
    keys = {"item_id": [i for items in shown.values() for i in items]}
    keys["look"] = [look for look, items in shown.items() for _ in items]
    made = tuple(_stacked(study, name, ids, shown) for name in blocks or study.encoders)
    return Embeddings(pd.DataFrame(keys, dtype=object), made)


def _stacked(study: Study, name: str, ids: IdMap, shown: dict[str, list[str]]) -> FeatureBlock:
    parts, about = [], {}
    for look, items in shown.items():
        block = FeatureBlock.load(study.folder / "features", stored_name(name, look), mmap=True)
        parts.append(np.asarray(block.values[ids.encode(np.asarray(items, dtype=object))]))
        about = {key: value for key, value in block.provenance.items() if key != "look"}
    return FeatureBlock(name, np.concatenate(parts), provenance=about)


def describe_like(run: Path, images: Path, out: Path, items: Path | None = None) -> list[dict[str, Any]]:
    """Describe photos as a study described its own: the same encoders, the parameters that it fitted.

    Writes a block for each of the study's blocks that pictures (and, with ``items``, words) make, and items.csv with
    the rows' names and problems.

    Args:
        run: A study's folder.
        images: Folder or zip of photos.
        out: Folder to write to.
        items: Table of the photos' items, columns as in the study file; needed for blocks that read columns.

    Raises:
        ArtifactError: The study's features have not been made.
        ConfigError: A block needs the items' table, and there is none.
        DataError: No pictures, or the table lacks one of their items.
    """
    study = Study.open(run)
    with ImageStore.open(images) as store:
        found = picture_names(store)
        frame = _items(study, found, items)
        made, failed = _picture_blocks(study, store, found, frame, out / ".work")
    if items is not None:
        made += [FeatureBlock(b.called, apply_text(study, b, frame)) for b in study.config.features.texts]
    for block in made:
        block.save(out)
    shutil.rmtree(out / ".work", ignore_errors=True)
    problems = [failed.get(i, "") for i in range(len(found))]
    with atomic_write(out / "items.csv", "w") as file:
        pd.DataFrame({"image": found, "problem": problems}).to_csv(file, index=False)
    return [{"block": b.name, "pictures": len(found), "dims": b.shape[1], "failed": len(failed)} for b in made]


def _picture_blocks(
    study: Study, store: ImageStore, found: Sequence[str], frame: pd.DataFrame, work: Path
) -> tuple[list[FeatureBlock], dict[int, str]]:
    features = study.config.features
    fitted = {b.called: load_fitted(fitted_path(study, b.called))[0] for b in features.pictures}
    labels = {b.called: _labels(b, frame) for b in features.pictures}
    encoders = {b.called: b.picture_encoder(device=features.device, base=study.base) for b in features.pictures}
    if not encoders:
        return [], {}
    distinct = list({e.name: e for e in encoders.values()}.values())
    done = embed(lambda i: store.read(found[i]), len(found), distinct, work, key=str(found), called=found.__getitem__)
    made = []
    for name, encoder in encoders.items():
        rows = np.array(fitted[name].apply(done.blocks[encoder.name], labels[name]))
        rows[list(done.failed)] = 0
        about = {"study": str(study.folder.path), "parameters_key": fitted[name].key}
        made.append(FeatureBlock(name, rows, provenance=about | dict(fitted[name].provenance)))
    return made, dict(done.failed)


def _labels(block: BlockConfig, frame: pd.DataFrame) -> list[str] | None:
    if not block.minus:
        return None
    if block.minus not in frame.columns:
        raise ConfigError(
            f"block {block.called!r} takes off the mean of each {block.minus!r}; give the photos' items with --items"
        )
    found: list[str] = text_of(frame, (block.minus,), block).tolist()
    return found


def _items(study: Study, found: Sequence[str], items: Path | None) -> pd.DataFrame:
    """One row a photo: its item as the table has it, which is named by the photo's file name or its ``image``."""
    names = [PurePosixPath(name).name for name in found]
    if items is None:
        return pd.DataFrame({"image": names})
    frame = Catalog.read(str(items), columns=study.config.catalog.columns, base=Path()).frame
    table = frame.assign(image=[PurePosixPath(str(name)).name for name in frame["image"]]).drop_duplicates("image")
    missing = sorted(set(names) - set(table["image"]))
    if missing:
        raise DataError(f"{items} has no item for {len(missing)} of {len(names)} photos, first {missing[0]!r}; add it")
    return table.set_index("image").loc[names].reset_index()
