"""Models on disk: arrays as safetensors, the rest as JSON, both checked before use; nothing is executed.

``model.json`` holds the format version, the registered model name, its configuration and the SHA-256 of
``model.safetensors``; its own ``digest`` covers the rest of it. Ids are kept as UTF-8 bytes with end offsets.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
import scipy.sparse as sp

from recsys.config import from_mapping, to_mapping
from recsys.data.ids import IdMap
from recsys.errors import ArtifactError, ConfigError, DataError
from recsys.files import file_hash, json_bytes, read_json, stable_hash, write_together
from recsys.registry import component

if TYPE_CHECKING:
    from recsys.models.fitted import FittedModel

    M = TypeVar("M", bound="FittedModel")

Arrays = dict[str, npt.NDArray[Any]]

FORMAT = 1
"""Raised when a newer library writes what this one cannot read."""
ARRAYS, MANIFEST = "model.safetensors", "model.json"
NEXT = "model.json.next"
"""The manifest of arrays that are about to take the place of others."""
KEYS = {"format", "model", "config", "sizes", "sha256", "digest"}


def save_model(fitted: FittedModel, folder: Path) -> None:
    """Write a fitted model into ``folder`` (made if need be); killed at any time, it leaves the old one or the new."""
    arrays = {f"learned.{name}": np.ascontiguousarray(a) for name, a in fitted.arrays().items()}
    arrays |= _pack_ids("users", fitted.users) | _pack_ids("items", fitted.items)
    arrays |= {"seen.indices": fitted.seen.indices, "seen.indptr": fitted.seen.indptr}
    data = safetensors.numpy.save(arrays)
    manifest = {
        "format": FORMAT,
        "model": fitted.model,
        "config": to_mapping(fitted.config),
        "sizes": {"users": len(fitted.users), "items": len(fitted.items)},
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    folder = Path(folder)
    write_together(folder, {NEXT: json_bytes(manifest | {"digest": stable_hash(manifest)}), ARRAYS: data})
    os.replace(folder / NEXT, folder / MANIFEST)


def load_model(folder: Path) -> FittedModel:
    """Read a fitted model of whichever registered kind it is.

    Raises:
        ArtifactError: Missing, truncated, tampered with, written by a newer version, or of an unknown model.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder)
    try:
        recommender = component("models", manifest["model"])
    except ConfigError as error:
        raise ArtifactError(f"{folder} cannot be loaded: {error}") from error
    arrays = _read_arrays(folder, manifest["sha256"])
    try:
        base, learned = _unpack(arrays, manifest, recommender)
        fitted: FittedModel = recommender.fitted.from_arrays(base, learned)
        _check_scores(fitted)
        return fitted
    except (ConfigError, DataError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{folder} does not fit this version's {manifest['model']} ({error}); fit it again"
        ) from error


def load_as(cls: type[M], folder: Path) -> M:
    """`load_model`, refusing a model of another class.

    Raises:
        ArtifactError: As `load_model`, or the model is not a ``cls``.
    """
    fitted = load_model(folder)
    if not isinstance(fitted, cls):
        raise ArtifactError(
            f"{folder} holds a {fitted.model} model, not {cls.model}; use recsys.models.artifacts.load_model"
        )
    return fitted


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / (NEXT if _was_interrupted(folder) else MANIFEST)
    manifest = read_json(path)
    if not isinstance(manifest, dict) or type(manifest.get("format")) is not int or manifest["format"] < 1:
        raise ArtifactError(f"{path} describes no model; fit it again")
    if manifest["format"] > FORMAT:
        raise ArtifactError(
            f"{path} has format {manifest['format']}, this version reads up to {FORMAT}; "
            "upgrade stylerec or fit it again"
        )
    digest = stable_hash({k: v for k, v in manifest.items() if k != "digest"})
    if set(manifest) != KEYS or manifest["digest"] != digest:
        raise ArtifactError(f"{path} was changed after it was written (its digest does not fit); fit it again")
    return manifest


def _was_interrupted(folder: Path) -> bool:
    """Whether the arrays are new and their manifest has not taken its name yet."""
    if not (folder / NEXT).is_file() or not (folder / ARRAYS).is_file():
        return False
    manifest = read_json(folder / NEXT)
    return isinstance(manifest, dict) and manifest.get("sha256") == file_hash(folder / ARRAYS)


def _read_arrays(folder: Path, sha256: str) -> Arrays:
    path = folder / ARRAYS
    if not path.is_file():
        raise ArtifactError(f"{path} does not exist; fit the model again")
    if file_hash(path) != sha256:
        raise ArtifactError(f"{path} is truncated or was changed (its SHA-256 does not fit {MANIFEST}); fit it again")
    try:
        return safetensors.numpy.load_file(path)
    except safetensors.SafetensorError as error:
        raise ArtifactError(f"{path} is no safetensors file ({error}); fit it again") from error


def _unpack(arrays: Arrays, manifest: Mapping[str, Any], recommender: Any) -> tuple[dict[str, Any], Arrays]:
    users, items = _unpack_ids("users", arrays), _unpack_ids("items", arrays)
    indices, indptr = arrays["seen.indices"], arrays["seen.indptr"]
    shape = (len(users), len(items))
    if shape != (manifest["sizes"]["users"], manifest["sizes"]["items"]):
        raise DataError(f"{shape} users and items, expected {manifest['sizes']}")
    seen = sp.csr_array((np.ones(len(indices), np.float32), indices, indptr), shape=shape)
    seen.check_format(full_check=True)  # an index out of range would be followed out of memory
    config = from_mapping(recommender, manifest["config"])
    learned = {n.removeprefix("learned."): a for n, a in arrays.items() if n.startswith("learned.")}
    return {"config": config, "users": users, "items": items, "seen": seen}, learned


def _check_scores(fitted: FittedModel) -> None:
    """Refuse arrays that do not fit each other: with them the first and the last user cannot be scored."""
    users = np.unique([0, max(len(fitted.users) - 1, 0)])[: len(fitted.users)]
    with np.errstate(over="ignore", invalid="ignore"):
        scores = fitted._score_block(users)
    if scores.shape != (len(users), len(fitted.items)) or not np.isfinite(scores).all():
        raise DataError(f"its arrays make scores of shape {scores.shape}, or some that are not finite")


def _pack_ids(name: str, ids: IdMap) -> Arrays:
    encoded = [str(i).encode("utf-8", "surrogatepass") for i in ids.ids]
    ends = np.cumsum([len(e) for e in encoded], dtype=np.int64)
    return {f"{name}.text": np.frombuffer(b"".join(encoded), np.uint8), f"{name}.ends": ends}


def _unpack_ids(name: str, arrays: Arrays) -> IdMap:
    text, ends = arrays[f"{name}.text"].tobytes(), arrays[f"{name}.ends"].tolist()
    starts = [0, *ends[:-1]]
    return IdMap.of(text[a:b].decode("utf-8", "surrogatepass") for a, b in zip(starts, ends, strict=True))
