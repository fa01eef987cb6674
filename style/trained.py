"""Files of trained stylizers: weights and what they were trained for, written whole and checked when read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from recsys.errors import ArtifactError, ConfigError
from recsys.files import file_hash, read_json, stable_hash, write_bytes, write_json

MODEL, MANIFEST, FORMAT = "model.safetensors", "model.json", 2


def write_model(folder: Path, kind: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write ``model.safetensors``, and ``model.json`` with ``facts`` that JSON can hold."""
    write_bytes(folder / MODEL, save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}))
    told = {"format": FORMAT, "kind": kind, **facts, "sha256": file_hash(folder / MODEL)}
    write_json(folder / MANIFEST, {**told, "seal": stable_hash(told)})


def read_model(folder: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The facts and weights that `write_model` wrote.

    Raises:
        ArtifactError: There is no model of this kind and format, or it was changed since.
        ConfigError: ``folder`` is empty: no model was given.
    """
    if folder == Path():
        raise ConfigError(
            f'{kind}: give the folder of a trained model, options = {{ model = "…" }}; '
            f"`stylerec style train {kind}` makes one"
        )
    try:
        manifest = read_json(folder / MANIFEST)
    except OSError as error:
        raise ArtifactError(f"{folder} is no folder of a trained model ({error.strerror})") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != kind or manifest.get("format") != FORMAT:
        raise ArtifactError(f"{folder} holds no {kind} model of format {FORMAT}; train it again")
    try:
        seal = manifest.pop("seal")
        good = {MANIFEST: stable_hash(manifest) == seal, MODEL: file_hash(folder / MODEL) == manifest["sha256"]}
        for name in (name for name, same in good.items() if not same):
            raise ArtifactError(f"{folder / name} was changed after it was written; train it again")
        return manifest, load((folder / MODEL).read_bytes())
    except (KeyError, SafetensorError, FileNotFoundError) as error:
        raise damaged(folder, error) from error


def damaged(folder: Path, error: Exception) -> ArtifactError:
    """What to raise when facts and weights do not fit together."""
    return ArtifactError(f"{folder} is damaged ({error}); train it again")


def fingerprint(options: Mapping[str, Any], kind: str) -> str:
    """Of the trained weights that a stylizer's options name.

    Raises:
        ArtifactError: They are not there.
    """
    path = Path(str(options.get("model", ""))) / MANIFEST
    if not path.is_file():
        raise ArtifactError(f"{path} does not exist; train a model with `stylerec style train {kind}`")
    return file_hash(path)
