"""A convolutional trunk that several encoders read in one pass, in micro-batches that stay in the processor's cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recsys.errors import ConfigError
from style.base import Images

MICRO_BATCH = 4
"""Images a thread works on at once on a CPU: activations of more of them fall out of the cache (measured)."""
GPU_BATCH = 256


@dataclass(frozen=True)
class Reader:
    """What an encoder takes from a trunk.

    Attributes:
        stages: After which stages it looks, ascending.
        read: Activations (n, c, h, w), one a stage, → (n, d).
    """

    stages: tuple[int, ...]
    read: Callable[[Sequence[Tensor]], Tensor]


class Trunk:
    """Stages applied one after another to normalised pictures.

    Args:
        stages: Modules, each fed by the one before.
        mean: Subtracted from 0..255 pixel values.
        scale: Divides them.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, stages: Sequence[nn.Module], *, mean: float, scale: float, device: str) -> None:
        self.device = torch.device(device)
        self.stages = [s.eval().to(self.device, memory_format=torch.channels_last).requires_grad_(False) for s in stages]
        self.mean, self.scale = mean, scale

    def run(self, images: Images, readers: Sequence[Reader]) -> list[npt.NDArray[np.float32]]:
        """(n, h, w, 3) uint8 → one (n, d) float32 a reader; each stage is computed once for all of them."""
        step = GPU_BATCH if self.device.type == "cuda" else MICRO_BATCH
        parts = [images[i : i + step] for i in range(0, len(images), step)]
        work = (lambda part: self._forward(part, readers))
        done = list(map(work, parts)) if self.device.type == "cuda" else list(cpu_pool().map(work, parts))
        return [np.concatenate([rows[i] for rows in done]) for i in range(len(readers))]

    def _forward(self, images: Images, readers: Sequence[Reader]) -> list[npt.NDArray[np.float32]]:
        last = max(stage for reader in readers for stage in reader.stages)
        wanted = {stage for reader in readers for stage in reader.stages}
        kept: dict[int, Tensor] = {}
        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self.device).permute(0, 3, 1, 2)
            x = ((pixels.float() - self.mean) / self.scale).contiguous(memory_format=torch.channels_last)
            for i, stage in enumerate(self.stages[: last + 1]):
                x = stage(x)
                if i in wanted:
                    kept[i] = x
            rows = [reader.read([kept[s] for s in reader.stages]) for reader in readers]
            return [np.asarray(r.float().cpu().numpy(), dtype=np.float32) for r in rows]


@lru_cache(maxsize=1)
def cpu_pool() -> ThreadPoolExecutor:
    """One thread a core, each computing alone: small convolutions lose more by being split than they gain."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(cores, thread_name_prefix="encode", initializer=torch.set_num_threads, initargs=(1,))


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
