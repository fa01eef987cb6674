"""Train a stylizer on a folder or zip of photos."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from recsys.config import from_mapping, to_mapping
from recsys.errors import ConfigError, ImageError, unknown_name
from recsys.extras import require
from recsys.files import stable_hash
from study.folder import StudyFolder
from style.imagestore import ImageStore
from style.stylizers.adain import AdainConfig, AdainTask, SanetConfig
from style.stylizers.cut import CutConfig, CutTask
from style.stylizers.cyclegan import CycleGanConfig, CycleGanTask
from style.stylizers.feedforward import FeedForwardConfig, FeedForwardTask
from style.training import Photos, Task, TrainConfig, train


@dataclass(frozen=True)
class Trainable:
    """A kind of stylizer that is trained.

    Attributes:
        config: Dataclass of its options.
        make: (options, style pictures, ``seed=``) → what is trained.
    """

    config: type
    make: Callable[..., Task]


KINDS: Mapping[str, Trainable] = {
    "adain": Trainable(AdainConfig, AdainTask),
    "cut": Trainable(CutConfig, CutTask),
    "cyclegan": Trainable(CycleGanConfig, CycleGanTask),
    "feedforward": Trainable(FeedForwardConfig, FeedForwardTask.of),
    "sanet": Trainable(SanetConfig, AdainTask),
}


def train_style(
    kind: str,
    photos: Path,
    styles: Sequence[Path],
    out: Path,
    *,
    config: TrainConfig,
    options: Mapping[str, Any],
    tensorboard: bool = False,
    say: Callable[[str], None] = print,
) -> list[dict[str, float]]:
    """Train, or go on with a training, and write what the stylizer reads; the judgements.

    Args:
        kind: What to train, one of `KINDS`.
        photos: A folder or zip.
        styles: Style images, or folders or zips of them.
        out: Folder to write to.
        config: How long and on what.
        options: The kind's own.
        tensorboard: Also write the judgements where TensorBoard reads them, into ``out``.
        say: Told of each judgement.

    Raises:
        ArtifactError: ``out`` holds another training.
        ConfigError: An unknown kind or option, or no style image; or another training writes to ``out``.
        DataError: Too few photos, or the training diverged.
        ImageError: A style image cannot be read.
        MissingExtraError: TensorBoard is asked for and not installed.
    """
    if kind not in KINDS:
        raise ConfigError(unknown_name("kind of stylizer to train", kind, KINDS))
    settings: Any = from_mapping(KINDS[kind].config, options, where=kind)
    with ExitStack() as stack:
        chosen = Photos.of(stack.enter_context(ImageStore.open(photos)), seed=config.seed)
        pictures = styles_from(styles, stack)
        task = KINDS[kind].make(settings, pictures, seed=config.seed)
        about: dict[str, Any] = {"kind": kind, "options": to_mapping(settings), "photos": stable_hash(chosen.names)}
        about["styles"] = [[name, sha256(pictures.read(name)).hexdigest()] for name in pictures.names]
        stack.enter_context(StudyFolder(out).lock())
        track = stack.enter_context(board(out)) if tensorboard else silent
        curve = train(task, chosen, config, out, about=about, say=say, track=track)
        task.export(out, {**about, "training": to_mapping(config), "judged": curve[-1] if curve else {}})
    for found, what in ((chosen, "photo"), (pictures, "style picture")):
        for _, problem in sorted(found.damaged.items()):
            say(f"{what} left out: {problem}")
    return curve


def silent(step: int, values: Mapping[str, float]) -> None:
    """Tracks nothing."""


@contextmanager
def board(out: Path) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """What writes judgements as TensorBoard events into ``out``.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    require("tensorboard", extra="track")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(out)) as writer:

        def track(step: int, values: Mapping[str, float]) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)

        yield track


def styles_from(paths: Sequence[Path], stack: ExitStack) -> Photos:
    """The style pictures that files, folders and zips hold, by distinct names; none is held out.

    Raises:
        ConfigError: There is none.
        ImageError: One does not exist.
    """
    found: dict[str, Callable[[], bytes]] = {}
    for path in paths:
        parts: list[tuple[str, Callable[[], bytes]]]
        if path.is_dir() or path.suffix.lower() == ".zip":
            store = stack.enter_context(ImageStore.open(path))
            parts = [(Path(name).stem, partial(store.read, name)) for name in sorted(store.names())]
        elif path.is_file():
            parts = [(path.stem, path.read_bytes)]
        else:
            raise ImageError(f"style image {path} does not exist")
        for name, read in parts:
            same = sum(n == name or n.startswith(f"{name}-") for n in found)
            found[name if not same else f"{name}-{same + 1}"] = read
    if not found:
        raise ConfigError("give at least one style image, or a folder that holds some")
    return Photos(list(found), lambda name: found[name](), held=0)


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
