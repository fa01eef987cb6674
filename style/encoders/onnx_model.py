"""A network in a local ONNX file as an encoder: ``onnx:models/style.onnx``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from recsys.errors import ArtifactError, ConfigError, MissingExtraError
from recsys.files import file_hash
from style.base import Images
from style.encoders.trunk import Rows, choose_device, cpu_pool, one_core_session

STEP = 4


class OnnxModel:
    """What an ONNX network answers; maps and tokens are averaged over their places.

    Where the channels stand is read from the file; so is the size, unless the file leaves it open.

    Args:
        model: The file. It has one input: (n, 3, h, w) or (n, h, w, 3), float32 or uint8.
        device: A GPU is used when onnxruntime was built for it.
        size: Height and width, where the file leaves them open; 0 takes the file's.
        mean: Subtracted from pixel values 0..1 of each channel.
        deviation: Divides them.
        output: Name of an output; "" takes the first.

    Raises:
        ArtifactError: No such file, or not an ONNX network of pictures.
        ConfigError: The size must be given, or there is no such output.
        MissingExtraError: onnxruntime is not installed.
    """

    name = "onnx"
    extra = "pretrained"
    family = "FILE"
    weights_licence = "see the file"
    about = "any network in a local ONNX file"
    semantic = True
    whiten = 0

    def __init__(
        self,
        model: str,
        device: str = "auto",
        size: int = 0,
        mean: tuple[float, ...] = (0.485, 0.456, 0.406),
        deviation: tuple[float, ...] = (0.229, 0.224, 0.225),
        output: str = "",
    ) -> None:
        if not Path(model).is_file():
            raise ArtifactError(f"onnx: {model} does not exist; paths start at the study file")
        if len(mean) != 3 or len(deviation) != 3 or min(deviation) <= 0:
            raise ConfigError(
                f"onnx: mean and deviation are three numbers each, the latter > 0, got {mean}, {deviation}"
            )
        self.session = _session(model, choose_device(device))
        inputs, outputs = self.session.get_inputs(), [o.name for o in self.session.get_outputs()]
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or 3 not in (inputs[0].shape[1], inputs[0].shape[3]):
            got = [i.shape for i in inputs]
            raise ArtifactError(f"onnx: {model} takes {got}, expected one input (n, 3, h, w) or (n, h, w, 3)")
        if output and output not in outputs:
            raise ConfigError(f"onnx: {model} has no output {output!r}; its outputs: {', '.join(outputs)}")
        self.input, self.outputs = inputs[0], [output or outputs[0]]
        self.first = self.input.shape[1] == 3
        self.key = f"{file_hash(model)} {mean} {deviation} {self.outputs}"
        self.mean, self.deviation = np.asarray(mean, np.float32), np.asarray(deviation, np.float32)
        self.size = self._size(model, size)

    def _size(self, model: str, size: int) -> int:
        own = self.input.shape[2]
        if isinstance(own, int) and own > 0:
            if size not in (0, own):
                raise ConfigError(f"onnx: {model} takes pictures of {own} pixels, got size = {size}; leave it out")
            return own
        if size < 1:
            raise ConfigError(f"onnx: {model} leaves the size open; say it, for example size = 224")
        return size

    def encode(self, images: Images) -> Rows:
        """(n, size, size, 3) uint8 → (n, d) float32."""
        if not len(images):
            return self.encode(np.zeros((1, self.size, self.size, 3), np.uint8))[:0]
        alone = self.input.shape[0] == 1
        steps = range(0, len(images), 1 if alone else STEP)
        parts = [images[i : i + steps.step] for i in steps]
        return np.concatenate(list(cpu_pool().map(self._part, parts)))

    def _part(self, images: Images) -> Rows:
        whole = self.input.type == "tensor(uint8)"
        x: Any = images if whole else (images.astype(np.float32) / 255 - self.mean) / self.deviation
        x = np.ascontiguousarray(x.transpose(0, 3, 1, 2) if self.first else x)
        seen: Rows = np.asarray(self.session.run(self.outputs, {self.input.name: x})[0], np.float32)
        if seen.ndim == 4:
            places = (1, 2) if seen.shape[1] == seen.shape[2] != seen.shape[3] else (2, 3)
            return np.asarray(seen.mean(axis=places))
        return np.asarray(seen.mean(axis=1)) if seen.ndim == 3 else seen.reshape(len(images), -1)


def _session(model: str, device: str) -> Any:
    try:
        return one_core_session(model, device)
    except MissingExtraError:
        raise
    except Exception as error:  # onnxruntime's own kinds derive from Exception alone
        raise ArtifactError(f"onnx: {model} cannot be read ({str(error).strip().partition(chr(10))[0]})") from error
