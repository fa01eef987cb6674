"""A convolutional trunk that several encoders read in one pass, on the fastest engine at hand."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from recsys.errors import ConfigError
from recsys.extras import require
from style.base import Images
from style.encoders.onnxfile import Graph, append

MICRO_BATCH = 4
"""Images a thread works on at once on a CPU: activations of more of them fall out of the cache (measured)."""
GPU_BATCH = 256
AGREEMENT = 0.999
"""An engine is used only when its activations have at least this cosine with torch's in float32."""

Rows = npt.NDArray[np.float32]
Activations = list[Tensor]


@dataclass(frozen=True)
class Reader:
    """What an encoder takes from a trunk.

    Attributes:
        stages: After which stages it looks, ascending.
        read: Activations (n, c, h, w), one a stage, → (n, d).
    """

    stages: tuple[int, ...]
    read: Callable[[Sequence[Tensor]], Tensor]


class Engine(Protocol):
    """Computes the activations after some stages."""

    step: int
    """Images at once."""
    threads: int
    """Calls that may run side by side; 1 when a call takes all cores itself."""

    def __call__(self, images: Images) -> Activations:
        """(n, h, w, 3) uint8 → (n, c, h', w') float32, one a stage."""
        ...


class Trunk:
    """Stages applied one after another to normalised pictures.

    On a CPU with onnxruntime installed the stages are run by it, if the result agrees; else by torch. Half
    precision is not offered: in bfloat16 the rows of EfficientNet-Lite0 have a cosine of only 0.997 to 0.9995
    with those in float32, measured on product photos.

    Args:
        stages: Modules, each fed by the one before.
        mean: Subtracted from 0..255 pixel values.
        scale: Divides them.
        size: Height and width of the pictures.
        device: ``cpu`` or ``cuda``.
        engine: ``auto``, ``torch`` or ``onnxruntime`` (CPU only).
    """

    def __init__(
        self,
        stages: Sequence[nn.Module],
        *,
        mean: float,
        scale: float,
        size: int,
        device: str,
        engine: str = "auto",
    ) -> None:
        if engine not in ("auto", "torch", "onnxruntime"):
            raise ConfigError(f"engine must be auto, torch or onnxruntime, got {engine!r}")
        self.device = torch.device(device)
        modules = [s.eval().to(self.device, memory_format=torch.channels_last) for s in stages]  # type: ignore[call-overload]
        self.stages: list[nn.Module] = [m.requires_grad_(False) for m in modules]
        self.mean, self.scale, self.size, self.engine = mean, scale, size, engine
        self._engines: dict[tuple[int, ...], Engine] = {}
        self._making = threading.Lock()

    def run(self, images: Images, readers: Sequence[Reader]) -> list[Rows]:
        """(n, size, size, 3) uint8 → one (n, d) float32 a reader; each stage is computed once."""
        if not len(images):
            blank = np.zeros((1, self.size, self.size, 3), np.uint8)
            return [rows[:0] for rows in self.run(blank, readers)]
        wanted = tuple(sorted({stage for reader in readers for stage in reader.stages}))
        engine = self._engine(wanted)
        parts = [images[i : i + engine.step] for i in range(0, len(images), engine.step)]

        def work(part: Images) -> list[Rows]:
            with torch.inference_mode():
                kept = dict(zip(wanted, engine(part), strict=True))
                rows = [reader.read([kept[s] for s in reader.stages]) for reader in readers]
            return [np.asarray(r.float().cpu().numpy(), dtype=np.float32) for r in rows]

        done = list(cpu_pool().map(work, parts) if engine.threads > 1 else map(work, parts))
        return [np.concatenate([rows[i] for rows in done]) for i in range(len(readers))]

    def _engine(self, wanted: tuple[int, ...]) -> Engine:
        with self._making:
            if wanted not in self._engines:
                self._engines[wanted] = self._choose(wanted)
            return self._engines[wanted]

    def _choose(self, wanted: tuple[int, ...]) -> Engine:
        plain = TorchEngine(self, wanted)
        if self.engine == "torch" or self.device.type != "cpu" or find_spec("onnxruntime") is None:
            return plain
        fast = OnnxEngine(self, wanted)
        return fast if agreement(fast, plain, self.size) >= AGREEMENT or self.engine == "onnxruntime" else plain


class TorchEngine:
    """Plain torch, channels last; it spreads a call over the cores itself."""

    threads = 1

    def __init__(self, trunk: Trunk, wanted: tuple[int, ...]) -> None:
        self.trunk, self.wanted = trunk, wanted
        self.step = GPU_BATCH if trunk.device.type == "cuda" else MICRO_BATCH

    def __call__(self, images: Images) -> Activations:
        """See `Engine`."""
        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self.trunk.device).permute(0, 3, 1, 2)
            x = ((pixels.float() - self.trunk.mean) / self.trunk.scale).contiguous(memory_format=torch.channels_last)
            kept = []
            for i, stage in enumerate(self.trunk.stages[: self.wanted[-1] + 1]):
                x = stage(x)
                if i in self.wanted:
                    kept.append(x)
            return kept


class OnnxEngine:
    """Onnxruntime, one core a call: small convolutions lose more by being split than they gain."""

    step = MICRO_BATCH

    def __init__(self, trunk: Trunk, wanted: tuple[int, ...]) -> None:
        model, self.outputs = as_onnx(trunk, wanted)
        self.session = one_core_session(model)
        self.threads = cores()

    def __call__(self, images: Images) -> Activations:
        """See `Engine`."""
        found = self.session.run(self.outputs, {"images": np.ascontiguousarray(images)})
        return [torch.from_numpy(values) for values in found]


def as_onnx(trunk: Trunk, wanted: tuple[int, ...]) -> tuple[bytes, list[str]]:
    """The trunk up to the last wanted stage as an ONNX file, and the names of the wanted activations."""
    graph, outputs = Graph(), []
    x = graph.add("Transpose", [graph.add("Cast", ["images"], to=1)], perm=(0, 3, 1, 2))
    x = graph.add("Sub", [x, graph.constant(np.float32(trunk.mean))])
    x = graph.add("Div", [x, graph.constant(np.float32(trunk.scale))])
    for i, stage in enumerate(trunk.stages[: wanted[-1] + 1]):
        x = append(graph, stage, x)
        if i in wanted:
            outputs.append(x)
    shape = ("n", trunk.size, trunk.size, 3)
    return graph.model({"images": ("uint8", shape)}, dict.fromkeys(outputs, "float32")), outputs


def agreement(engine: Engine, reference: Engine, size: int) -> float:
    """The least cosine between two engines' activations on two made-up pictures: a ramp and noise."""
    ramp = np.linspace(0, 255, size * size * 3).reshape(size, size, 3)
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3))
    images = np.stack([ramp, noise]).astype(np.uint8)
    pairs = zip(engine(images), reference(images), strict=True)
    return min(float(cosine_similarity(a.flatten(1), b.flatten(1)).min()) for a, b in pairs)


def one_core_session(model: bytes | str, device: str = "cpu") -> Any:
    """An inference session whose calls take one core each and may run side by side.

    Args:
        model: A file's bytes or path.
        device: ``cuda`` is used when this onnxruntime was built for it.

    Raises:
        MissingExtraError: Onnxruntime is not installed.
    """
    runtime = require("onnxruntime", extra="pretrained")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    wanted = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
    providers = [p for p in wanted if p in runtime.get_available_providers()]
    return runtime.InferenceSession(model, options, providers=[*providers, "CPUExecutionProvider"])


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def cpu_pool() -> ThreadPoolExecutor:
    """One thread a core for calls that take one core each."""
    return ThreadPoolExecutor(cores(), thread_name_prefix="encode")


def choose_device(device: str) -> str:
    """``auto`` is a GPU when there is one.

    Example:
        >>> choose_device("cpu")
        'cpu'
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device {device!r} was asked for and no CUDA device is available; use auto or cpu")
    if device != "cpu" and not device.startswith("cuda"):
        raise ConfigError(f"device must be auto, cpu or cuda, got {device!r}")
    return device
