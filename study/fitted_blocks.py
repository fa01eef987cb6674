"""A study's fitted blocks: what was learned from its catalogue, kept beside the rows, and used on new items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.catalog import Catalog
from recsys.data.features import FeatureBlock
from recsys.errors import ConfigError, DataError, unknown_name
from recsys.files import file_hash, safe_name
from study.blocks import BlockConfig
from study.run import Study
from style.encoders.make import Spec
from style.encoders.text import Fitted, encode_texts
from style.transform import Transform, load_fitted, save_fitted

Rows = npt.NDArray[np.float32]
Texts = npt.NDArray[Any]


def fitted_path(study: Study, name: str) -> Path:
    """Where a block's parameters are kept."""
    return study.folder / "features" / f"{safe_name(name)}.safetensors"


def keep(
    study: Study, block: BlockConfig, encoder: str, transform: Transform, learned: Fitted | None = None
) -> dict[str, Any]:
    """Save what was fitted; answers the provenance of the rows that are made by it."""
    path = fitted_path(study, block.called)
    save_fitted(path, transform, learned or {})
    about: dict[str, Any] = {"encoder": block.encoder, "options": dict(block.options), "weights": made_of(study, block)}
    about |= {"minus": block.minus or None, **transform.provenance}
    return about | {"parameters": path.name, "parameters_key": transform.key, "made_by": encoder}


def fit_text(study: Study, block: BlockConfig, catalog: Catalog) -> FeatureBlock:
    """A block of words, fitted on the catalogue.

    Raises:
        ConfigError: The catalogue lacks a column.
        DataError: No item has words, or the encoder answers other than finite rows.
    """
    encoder = block.text_encoder(device=study.config.features.device, base=study.base)
    texts = text_of(catalog.frame, block.texts, block)
    filled = np.array([bool(text.strip()) for text in texts])
    if not filled.any():
        raise DataError(f"block {block.called!r}: no item has text in {', '.join(block.texts)}; name other columns")
    learned = encoder.fit(texts[filled].tolist())
    rows = encode_texts(encoder, texts.tolist(), learned)
    labels = text_of(catalog.frame, (block.minus,), block) if block.minus else None
    dims, whiten = block.reduction(0)
    of = None if labels is None else labels[filled]
    transform = Transform.fit(rows[filled], block.called, dims=dims, whiten=whiten, labels=of)
    about = keep(study, block, encoder.name, transform, learned) | {"columns": list(block.texts)}
    return FeatureBlock(block.called, _transformed(transform, rows, labels, filled), provenance=about)


def apply_text(study: Study, block: BlockConfig, frame: pd.DataFrame) -> Rows:
    """Rows of new items by what the study learned.

    Raises:
        ArtifactError: The study has not been run that far.
        ConfigError: The items lack a column.
    """
    transform, learned = load_fitted(fitted_path(study, block.called))
    encoder = block.text_encoder(device=study.config.features.device, base=study.base)
    texts = text_of(frame, block.texts, block)
    rows = encode_texts(encoder, texts.tolist(), learned)
    labels = text_of(frame, (block.minus,), block) if block.minus else None
    return _transformed(transform, rows, labels, np.array([bool(text.strip()) for text in texts], bool))


def _transformed(transform: Transform, rows: Rows, labels: Texts | None, filled: npt.NDArray[np.bool_]) -> Rows:
    """Items without text keep rows of zeros."""
    made = transform.apply(rows, None if labels is None else labels.tolist())
    made[~filled] = 0
    return made


def text_of(frame: pd.DataFrame, columns: Sequence[str], block: BlockConfig) -> Texts:
    """(n,) what stands in the columns, side by side.

    Raises:
        ConfigError: A column is not there.
    """
    for column in columns:
        if column not in frame.columns:
            what = unknown_name("catalogue column", column, [str(c) for c in frame.columns])
            raise ConfigError(f"block {block.called!r}: {what}")
    parts = [frame[column].fillna("").astype(str).to_numpy(object) for column in columns]
    return np.array([" ".join(cells).strip() for cells in zip(*parts, strict=True)], dtype=object)


def made_of(study: Study, block: BlockConfig) -> Mapping[str, Any]:
    """Digests of the files that a block names: when they change, it is made again."""
    named = [Spec.read(block.encoder).model, block.options.get("weights", "")]
    paths = [study.base / name for name in named if isinstance(name, str) and name and (study.base / name).exists()]
    return {path.name: _digest(path) for path in paths}


def _digest(path: Path) -> Any:
    if path.is_file():
        return file_hash(path)
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return [[str(p.relative_to(path)), file_hash(p)] for p in files]
