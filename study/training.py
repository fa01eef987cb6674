"""Train a stylizer on a folder or zip of photos."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recsys.config import from_mapping, to_mapping
from recsys.errors import ConfigError, ImageError, unknown_name
from recsys.files import file_hash
from style.base import Images
from style.images import decode
from style.imagestore import ImageStore
from style.stylizers.feedforward import FeedForwardConfig, FeedForwardTask, names_of
from style.training import Photos, TrainConfig, train

KINDS = ("feedforward",)


def train_style(
    kind: str,
    photos: Path,
    styles: Sequence[Path],
    out: Path,
    *,
    config: TrainConfig,
    options: Mapping[str, Any],
    say: Callable[[str], None] = print,
) -> list[dict[str, float]]:
    """Train, or go on with a training, and write what the stylizer reads; the judgements.

    Args:
        kind: What to train.
        photos: A folder or zip.
        styles: Style images.
        out: Folder to write to.
        config: How long and on what.
        options: The kind's own.
        say: Told of each judgement.

    Raises:
        ArtifactError: ``out`` holds another training.
        ConfigError: An unknown kind or option, or no style image.
        DataError: Too few photos, or the training diverged.
        ImageError: A style image cannot be read.
    """
    if kind not in KINDS:
        raise ConfigError(unknown_name("kind of stylizer to train", kind, KINDS))
    settings = from_mapping(FeedForwardConfig, options, where=kind)
    pictures = {name: _picture(path) for name, path in zip(names_of(styles), styles, strict=True)}
    about: dict[str, Any] = {"kind": kind, "options": to_mapping(settings), "styles": [file_hash(p) for p in styles]}
    with ImageStore.open(photos) as store:
        chosen = Photos.of(store, seed=config.seed)
        about["photos"] = len(chosen.names)
        task = FeedForwardTask(settings, pictures, seed=config.seed)
        curve = train(task, chosen, config, out, about=about, say=say)
    task.export(out, {**about, "training": to_mapping(config), "judged": curve[-1] if curve else {}})
    return curve


def _picture(path: Path) -> Images:
    try:
        return decode(path.read_bytes()).pixels
    except FileNotFoundError as error:
        raise ImageError(f"style image {path} does not exist") from error
    except ImageError as error:
        raise ImageError(f"style image {path}: {error}") from error


def options_from(pairs: Sequence[str]) -> dict[str, Any]:
    """``name=value`` texts as TOML values; what is no TOML value is a text.

    Raises:
        ConfigError: A text without ``=``.

    Example:
        >>> options_from(["size=full", "style_weight=3.5"])
        {'size': 'full', 'style_weight': 3.5}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"options are name=value, got {pair!r}")
        try:
            found[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[name.strip()] = value
    return found
