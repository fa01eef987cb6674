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

from recsys.errors import ConfigError
from recsys.extras import require
from style.base import Images
from style.encoders.layers import PaddedConv
from style.encoders.onnxfile import Graph, append

MICRO_BATCH = 4
"""Images a thread works on at once on a CPU: activations of more of them fall out of the cache (measured)."""
GPU_BATCH = 256
GRAM_CHANNELS = 64
AGREEMENT = 0.999
"""An engine is used only when its activations have at least this cosine with torch's in float32."""

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, order=True)
class Tap:
    """Where a trunk is read.

    Attributes:
        stage: After this stage.
        pool: A name in `POOLS`: how its (n, c, h, w) activations are summarised.
    """

    stage: int
    pool: str


@dataclass(frozen=True)
class Reader:
    """What an encoder takes from a trunk.

    Attributes:
        taps: Where it looks.
        finish: Pooled activations, one array a tap, → (n, d).
    """

    taps: tuple[Tap, ...]
    finish: Callable[[Sequence[Rows]], Rows]


class Engine(Protocol):
    """Computes what some taps see."""

    step: int
    """Images at once."""
    threads: int
    """Calls that may run side by side; 1 when a call takes all cores itself."""

    def __call__(self, images: Images) -> list[Rows]:
        """(n, size, size, 3) uint8 → pooled activations, one array a tap."""
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

    Attributes:
        layers: What its stages are called: ``stage0`` and so on.
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
        self.layers = tuple(f"stage{i}" for i in range(len(self.stages)))
        self.mean, self.scale, self.size, self.engine = mean, scale, size, engine
        self._engines: dict[tuple[Tap, ...], Engine] = {}
        self._making = threading.Lock()

    def run(self, images: Images, readers: Sequence[Reader]) -> list[Rows]:
        """(n, size, size, 3) uint8 → one (n, d) float32 a reader; each stage is computed once."""
        if not len(images):
            blank = np.zeros((1, self.size, self.size, 3), np.uint8)
            return [rows[:0] for rows in self.run(blank, readers)]
        taps = tuple(sorted({tap for reader in readers for tap in reader.taps}))
        engine = self._engine(taps)
        parts = [images[i : i + engine.step] for i in range(0, len(images), engine.step)]
        done = list(cpu_pool().map(engine, parts) if engine.threads > 1 else map(engine, parts))
        seen = {tap: np.concatenate(pooled) for tap, pooled in zip(taps, zip(*done, strict=True), strict=True)}
        return [reader.finish([seen[tap] for tap in reader.taps]) for reader in readers]

    def _engine(self, taps: tuple[Tap, ...]) -> Engine:
        with self._making:
            if taps not in self._engines:
                self._engines[taps] = self._choose(taps)
            return self._engines[taps]

    def _choose(self, taps: tuple[Tap, ...]) -> Engine:
        plain = TorchEngine(self, taps)
        if self.engine == "torch" or self.device.type != "cpu":
            return plain
        if self.engine == "auto" and find_spec("onnxruntime") is None:
            return plain
        fast = OnnxEngine(self, taps)
        return fast if agreement(fast, plain, self.size) >= AGREEMENT or self.engine == "onnxruntime" else plain


def spatial_mean(features: Tensor) -> Tensor:
    """(n, c, h, w) → (n, c)."""
    return features.mean((2, 3))


def gram_matrix(features: Tensor) -> Tensor:
    """(n, c, h, w) → (n, c, c): inner products of channels over all places, divided by h w.

    Example:
        >>> gram_matrix(torch.ones(1, 2, 3, 3)).tolist()
        [[[1.0, 1.0], [1.0, 1.0]]]
    """
    flat = features.flatten(2).contiguous()
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def channel_statistics(features: Tensor) -> Tensor:
    """(n, c, h, w) → (n, 2 c): mean, then standard deviation of each channel (Huang and Belongie 2017, eq. 5 and 6).

    Example:
        >>> channel_statistics(torch.tensor([[[[1.0, 3.0]]]])).tolist()
        [[2.0, 1.0]]
    """
    return torch.cat([features.mean((2, 3)), features.std((2, 3), correction=0)], dim=1)


def bounded_gram(features: Tensor) -> Tensor:
    """`gram_matrix` of at most `GRAM_CHANNELS` channels: of more, as many fixed random mixtures are taken.

    Mixtures keep inner products (Johnson and Lindenstrauss), so the cost is c x 64 a place in place of c².
    """
    flat = features.flatten(2)
    if flat.shape[1] > GRAM_CHANNELS:
        flat = torch.from_numpy(mixture(flat.shape[1])).to(flat) @ flat
    return gram_matrix(flat[..., None])


@lru_cache(maxsize=16)
def mixture(channels: int) -> Rows:
    """(64, channels) with entries ±1/8, fixed for each width."""
    signs = np.random.default_rng(channels).choice(np.array([-1, 1], np.float32), (GRAM_CHANNELS, channels))
    return np.asarray(signs / np.sqrt(GRAM_CHANNELS), np.float32)


POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": spatial_mean,
    "mean-std": channel_statistics,
    "gram": bounded_gram,
}


class TorchEngine:
    """Plain torch, channels last; it spreads a call over the cores itself."""

    threads = 1

    def __init__(self, trunk: Trunk, taps: tuple[Tap, ...]) -> None:
        self.trunk, self.taps = trunk, taps
        self.step = GPU_BATCH if trunk.device.type == "cuda" else MICRO_BATCH

    def __call__(self, images: Images) -> list[Rows]:
        """See `Engine`."""
        trunk, seen = self.trunk, []
        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(images)).to(trunk.device).permute(0, 3, 1, 2)
            x = ((pixels.float() - trunk.mean) / trunk.scale).contiguous(memory_format=torch.channels_last)
            for i, stage in enumerate(trunk.stages[: self.taps[-1].stage + 1]):
                x = stage(x)
                seen += [POOLS[tap.pool](x) for tap in self.taps if tap.stage == i]
            return [np.asarray(values.float().cpu().numpy(), np.float32) for values in seen]


class OnnxEngine:
    """Onnxruntime, one core a call: small convolutions lose more by being split than they gain."""

    step = MICRO_BATCH

    def __init__(self, trunk: Trunk, taps: tuple[Tap, ...]) -> None:
        model, self.outputs = as_onnx(trunk, taps)
        self.session = one_core_session(model)
        self.threads = cores()

    def __call__(self, images: Images) -> list[Rows]:
        """See `Engine`."""
        found: list[Rows] = self.session.run(self.outputs, {"images": np.ascontiguousarray(images)})
        return found


def as_onnx(trunk: Trunk, taps: tuple[Tap, ...]) -> tuple[bytes, list[str]]:
    """The trunk up to the last tap as an ONNX file, and the names of its outputs, one a tap."""
    graph, outputs, side, channels = Graph(), list[str](), trunk.size, 3
    x = graph.add("Transpose", [graph.add("Cast", ["images"], to=1)], perm=(0, 3, 1, 2))
    x = graph.add("Sub", [x, graph.constant(np.float32(trunk.mean))])
    x = graph.add("Div", [x, graph.constant(np.float32(trunk.scale))])
    for i, stage in enumerate(trunk.stages[: taps[-1].stage + 1]):
        x = append(graph, stage, x)
        for layer in stage.modules():
            if isinstance(layer, PaddedConv):
                side, channels = -(-side // layer.stride[0]), layer.out_channels
        outputs += [_ONNX_POOLS[tap.pool](graph, x, (channels, side)) for tap in taps if tap.stage == i]
    shape = ("n", trunk.size, trunk.size, 3)
    return graph.model({"images": ("uint8", shape)}, dict.fromkeys(outputs, "float32")), outputs


def _onnx_mean(graph: Graph, x: str, shape: Shape) -> str:
    pooled = graph.add("GlobalAveragePool", [x])
    return graph.add("Flatten", [pooled], axis=1)


def _onnx_statistics(graph: Graph, x: str, shape: Shape) -> str:
    mean = graph.add("GlobalAveragePool", [x])
    away = graph.add("Sub", [x, mean])
    deviation = graph.add("Sqrt", [graph.add("GlobalAveragePool", [graph.add("Mul", [away, away])])])
    return graph.add("Flatten", [graph.add("Concat", [mean, deviation], axis=1)], axis=1)


def _onnx_gram(graph: Graph, x: str, shape: Shape) -> str:
    channels, side = shape
    flat = graph.add("Reshape", [x, graph.constant(np.array([0, 0, -1], np.int64))])
    if channels > GRAM_CHANNELS:
        flat = graph.add("MatMul", [graph.constant(mixture(channels)), flat])
    products = graph.add("MatMul", [flat, graph.add("Transpose", [flat], perm=(0, 2, 1))])
    return graph.add("Div", [products, graph.constant(np.float32(side * side))])


Shape = tuple[int, int]
"""Channels, and height or width."""
_ONNX_POOLS: dict[str, Callable[[Graph, str, Shape], str]] = {
    "mean": _onnx_mean,
    "mean-std": _onnx_statistics,
    "gram": _onnx_gram,
}


def agreement(engine: Engine, reference: Engine, size: int) -> float:
    """The least cosine between what two engines see in two made-up pictures: a ramp and noise."""
    ramp = np.linspace(0, 255, size * size * 3).reshape(size, size, 3)
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3))
    images = np.stack([ramp, noise]).astype(np.uint8)
    pairs = zip(engine(images), reference(images), strict=True)
    flat = [(a.reshape(len(a), -1), b.reshape(len(b), -1)) for a, b in pairs]
    norms = [np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1) for a, b in flat]
    return min(float(((a * b).sum(axis=1) / norm).min()) for (a, b), norm in zip(flat, norms, strict=True))


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
