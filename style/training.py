"""Training of whatever repaints pictures: batches that depend on the step alone, checkpoints that go on bit for bit.

A `Task` holds networks and optimisers and knows one step. Batches, their crops and the networks' own noise are drawn
from (seed, step), so nothing but parameters, optimiser states and the step number need be remembered.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from recsys.errors import ArtifactError, ConfigError, DataError, ImageError
from recsys.files import stable_hash, write_bytes
from recsys.progress import progress
from style.base import Images
from style.encoders.trunk import cpu_pool
from style.images import decode, encode_jpeg
from style.imagestore import ImageStore
from style.perception import as_images, as_tensor

CHECKPOINT, CURVE, SHEET = "checkpoint.safetensors", "curve.csv", "sample.jpg"
HELD_OUT = 8
"""Photos that are judged and never trained on."""


@dataclass(frozen=True)
class TrainConfig:
    """How long and on what.

    Attributes:
        steps: Batches at most.
        batch: Photos in one.
        size: Height and width of the crops, >= 32.
        every: Steps between checkpoints, judgements and sample sheets.
        patience: Judgements without a new best after which to stop; 0 never stops early.
        seed: Of everything random.
    """

    steps: int = 1000
    batch: int = 4
    size: int = 128
    every: int = 100
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("size", 32), ("every", 1), ("patience", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"training: {name} must be >= {least}, got {getattr(self, name)}")


class Task(Protocol):
    """What is trained."""

    modules: Mapping[str, nn.Module]
    optimisers: Mapping[str, torch.optim.Optimizer]

    def step(self, photos: Tensor, rng: torch.Generator) -> dict[str, float]:
        """One update on (n, 3, s, s) photos, 0..1; its losses by name."""
        ...

    def judge(self, photos: Tensor) -> dict[str, float]:
        """Of photos never trained on; ``loss`` is what early stopping looks at."""
        ...

    def sample(self, photos: Tensor) -> list[Tensor]:
        """The photos as made, one (n, 3, s, s) a style."""
        ...

    def export(self, out: Path, about: Mapping[str, Any]) -> None:
        """Write what the stylizer reads; see `style.trained.write_model`."""
        ...


@dataclass(frozen=True, eq=False)
class Photos:
    """Photos to train on, read when they are needed.

    Attributes:
        names: Their names in the store, shuffled once.
        read: Name → bytes.
        held: The first so many are judged and never trained on.
        damaged: Name → why a photo could not be read and the next one was taken; fills as photos are met.
    """

    names: Sequence[str]
    read: Callable[[str], bytes]
    held: int = HELD_OUT
    damaged: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, store: ImageStore, *, seed: int = 0) -> Photos:
        """Every file of a folder or zip.

        Raises:
            DataError: There are fewer than 16.
        """
        names = sorted(store.names())
        if len(names) < 2 * HELD_OUT:
            raise DataError(f"training needs at least {2 * HELD_OUT} photos, got {len(names)}")
        return cls([names[i] for i in np.random.default_rng(seed).permutation(len(names))], store.read)

    def batch(self, step: int, config: TrainConfig) -> Images:
        """(batch, size, size, 3) of a step: photos epoch by epoch, each cropped and flipped anew."""
        pool = np.arange(self.held, len(self.names))
        places = range(step * config.batch, (step + 1) * config.batch)
        passes = {p // len(pool) for p in places}
        epochs = {e: np.random.default_rng([config.seed, 1, e]).permutation(pool) for e in passes}
        chosen = [int(epochs[p // len(pool)][p % len(pool)]) for p in places]
        rngs = [np.random.default_rng([config.seed, 2, p]) for p in places]
        return np.stack(list(cpu_pool().map(lambda i, rng: self._crop(i, config.size, rng), chosen, rngs)))

    def draw(self, rng: torch.Generator, n: int, size: int) -> Images:
        """(n, size, size, 3) crops of photos drawn with replacement, none of them held out."""
        chance = np.random.default_rng(int(torch.randint(2**62, (), generator=rng)))
        chosen = chance.integers(self.held, len(self.names), n)
        return np.stack(list(cpu_pool().map(lambda i, r: self._crop(int(i), size, r), chosen, chance.spawn(n))))

    def held_out(self, size: int) -> Images:
        """(held, size, size, 3) centre squares of the photos that are never trained on."""
        return np.stack([self._crop(i, size, None) for i in range(self.held)])

    def whole(self, name: str) -> Images:
        """(h, w, 3) one photo.

        Raises:
            ImageError: It cannot be read.
        """
        try:
            return decode(self.read(name)).pixels
        except ImageError as error:
            raise ImageError(f"{name}: {error}") from error

    def _readable(self, index: int) -> Images:
        """(h, w, 3) a photo, or the first after it that can be read: held out like it, or trained on like it.

        Raises:
            DataError: None can.
        """
        first, end = (0, self.held) if index < self.held else (self.held, len(self.names))
        for place in (*range(index, end), *range(first, index)):
            try:
                return self.whole(self.names[place])
            except ImageError as error:
                self.damaged[self.names[place]] = str(error)
        raise DataError(f"none of {end - first} photos can be read, such as {self.damaged[self.names[index]]}")

    def _crop(self, index: int, size: int, rng: np.random.Generator | None) -> Images:
        pixels = self._readable(index)
        h, w = pixels.shape[:2]
        share = 1.0 if rng is None else rng.uniform(0.7, 1.0)
        side = max(1, round(min(h, w) * share))
        top, left = (
            ((h - side) // 2, (w - side) // 2)
            if rng is None
            else (
                int(rng.integers(0, h - side + 1)),
                int(rng.integers(0, w - side + 1)),
            )
        )
        part = Image.fromarray(pixels[top : top + side, left : left + side])
        crop = np.asarray(part.resize((size, size), Image.Resampling.LANCZOS))
        return crop[:, ::-1].copy() if rng is not None and rng.random() < 0.5 else crop


def train(
    task: Task,
    photos: Photos,
    config: TrainConfig,
    out: Path,
    *,
    about: Any = None,
    say: Callable[[str], None] = lambda line: None,
    track: Callable[[int, Mapping[str, float]], None] = lambda step, values: None,
) -> list[dict[str, float]]:
    """Train, or go on where ``out`` stopped; the same files come out, interrupted or not.

    On the CPU that holds for one number of threads: another sums in another order, and what starts in the last bits
    grows with the steps.

    Args:
        task: What is trained; its modules are left as they were best, or last without ``patience``.
        photos: What on.
        config: How long.
        out: Folder of ``checkpoint.safetensors``, ``curve.csv`` and ``sample.jpg``, all written atomically.
        about: What the task depends on beside ``config``; a checkpoint of another one is refused.
        say: Told of every judgement.
        track: Told of every judgement as numbers.

    Returns:
        The judgements: step, losses.

    Raises:
        ArtifactError: The checkpoint is damaged, or of another task.
        DataError: A loss is not finite.
    """
    mark = stable_hash([about, config.batch, config.size, config.seed])  # how long and how often may change
    step, curve = _resume(task, out, mark)
    held = as_tensor(photos.held_out(config.size), _device(task))
    with progress("train", config.steps) as advance:
        advance(step)
        while step < config.steps and not _is_over(curve, config):
            batch = as_tensor(photos.batch(step, config), _device(task))
            losses = task.step(batch, torch.Generator().manual_seed(config.seed * 1_000_003 + step))
            step += 1
            if not all(map(np.isfinite, losses.values())):
                raise DataError(f"losses are {losses} at step {step}; lower the learning rate, checkpoints are kept")
            advance(note=", ".join(f"{k} {v:.3g}" for k, v in losses.items()))
            if step % config.every == 0 or step == config.steps:
                curve.append({"step": step, **losses, **{f"held_out_{k}": v for k, v in task.judge(held).items()}})
                _save(task, out, mark, step, curve)
                write_bytes(out / SHEET, encode_jpeg(sheet(held, task.sample(held)), 90))
                say(", ".join(f"{k} {v:.4g}" for k, v in curve[-1].items()))
                track(step, curve[-1])
    return curve


def descend(optimiser: torch.optim.Optimizer, loss: Tensor, parameters: Iterable[nn.Parameter]) -> None:
    """One update of ``parameters``; no gradient is computed for others."""
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss, inputs=list(parameters))
    optimiser.step()


def sheet(photos: Tensor, made: Sequence[Tensor]) -> Images:
    """(H, W, 3): the photos in the first row, below them each style's."""
    rows = [np.concatenate(list(as_images(batch)), axis=1) for batch in (photos, *made)]
    return np.concatenate(rows, axis=0)


def _is_over(curve: Sequence[Mapping[str, float]], config: TrainConfig) -> bool:
    if not config.patience or len(curve) <= config.patience:
        return False
    losses = [row["held_out_loss"] for row in curve]
    return len(losses) - 1 - int(np.argmin(losses)) >= config.patience


def _device(task: Task) -> torch.device:
    return next(next(iter(task.modules.values())).parameters()).device


def _tensors(task: Task) -> dict[str, Tensor]:
    """Parameters and optimiser states by name."""
    found = {f"{n}/{k}": v for n, m in task.modules.items() for k, v in m.state_dict().items()}
    for name, optimiser in task.optimisers.items():
        for index, state in optimiser.state_dict()["state"].items():
            found |= {f"{name}#{index}/{k}": torch.as_tensor(v) for k, v in state.items()}
    return {k: v.detach().cpu().contiguous() for k, v in found.items()}


def _save(task: Task, out: Path, mark: str, step: int, curve: Sequence[Mapping[str, float]]) -> None:
    tensors = _tensors(task)
    known = {"mark": mark, "step": step, "curve": list(curve)}
    known["seal"] = _seal(tensors, known)
    # one key: the format keeps several in an order of its own, and equal trainings write equal bytes
    write_bytes(out / CHECKPOINT, save(tensors, metadata={"training": json.dumps(known)}))
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(curve[0]))
    writer.writeheader()
    writer.writerows(curve)
    write_bytes(out / CURVE, text.getvalue().encode())


def _resume(task: Task, out: Path, mark: str) -> tuple[int, list[dict[str, float]]]:
    """Step and curve of the checkpoint, its tensors put where they belong."""
    path = out / CHECKPOINT
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        return 0, []
    data = path.read_bytes()
    try:
        tensors, header = load(data), json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        known = json.loads(header["__metadata__"]["training"])
        if known.pop("seal") != _seal(tensors, known):
            raise ValueError("its content is not what was written")
        step, curve = int(known["step"]), list(known["curve"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise ArtifactError(f"{path} is damaged ({error}); delete it to begin anew") from error
    if known["mark"] != mark:
        raise ArtifactError(f"{path} is of other options, styles or photos; choose another folder, or delete it")
    for name, module in task.modules.items():
        own = {k.removeprefix(f"{name}/"): v for k, v in tensors.items() if k.startswith(f"{name}/")}
        module.load_state_dict(own)
    for name, optimiser in task.optimisers.items():
        _put(optimiser, {k.removeprefix(f"{name}#"): v for k, v in tensors.items() if k.startswith(f"{name}#")})
    return step, curve


def _seal(tensors: Mapping[str, Tensor], known: Mapping[str, Any]) -> str:
    """SHA-256 of all that a checkpoint holds: a bit that changed would lead the training elsewhere unseen."""
    digest = hashlib.sha256(stable_hash(known).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _put(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition("/")
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
