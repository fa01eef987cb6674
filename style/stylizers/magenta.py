"""Magenta's arbitrary style transfer: the networks of an installed package, called through onnxruntime.

Source: Ghiasi et al., Exploring the structure of a real-time, arbitrary neural artistic stylization network, 2017.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from style.base import Images, StyleCode, StylizerSpec
from style.encoders.magenta import MagentaStyle, onnx_session
from style.encoders.trunk import cpu_pool

SIDE = 384
"""The transfer network's fixed height and width."""


class Magenta:
    """Paints photos in the hand of a style image, one call a photo, a batch spread over the cores.

    Raises:
        MissingExtraError: The ``pretrained`` extra is not installed.
    """

    spec = StylizerSpec(
        name="magenta",
        kind="network",
        needs=("style-image",),
        extra="pretrained",
        weights_licence="Apache-2.0",
        about="a painter's hand from any picture; full strength repaints the product too, so keep it to the background",
    )

    def __init__(self) -> None:
        self.encoder = MagentaStyle()
        self.session = onnx_session("arbitrary_transform")
        self.inputs = [i.name for i in self.session.get_inputs()]

    def encode(self, style: Images) -> StyleCode:
        """The mean 100-d style vector of the centre squares of (n, h, w, 3) style images."""
        squares = np.stack([_square(image, self.encoder.size) for image in style])
        return StyleCode(self.spec.name, {"vector": self.encoder.encode(squares).mean(axis=0)})

    def apply(self, images: Images, code: StyleCode, *, seed: int = 0) -> Images:
        """(n, h, w, 3) uint8 → the same shape; ``seed`` changes nothing."""
        vector = code.read(self.spec.name)["vector"].reshape(1, 1, 1, -1)
        made = list(cpu_pool().map(lambda image: self._one(image, vector), images))
        return np.stack(made) if made else images

    def _one(self, image: npt.NDArray[np.uint8], vector: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        h, w = image.shape[:2]
        scale = SIDE / max(h, w)
        size = max(1, round(w * scale)), max(1, round(h * scale))
        small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS), np.float32) / 255
        padded = np.pad(small, ((0, SIDE - size[1]), (0, SIDE - size[0]), (0, 0)), mode="reflect")
        out = self.session.run(None, {self.inputs[0]: padded[None], self.inputs[1]: vector})[0][0, : size[1], : size[0]]
        made = Image.fromarray((np.clip(out, 0, 1) * 255 + 0.5).astype(np.uint8))
        return np.asarray(made.resize((w, h), Image.Resampling.LANCZOS))


def _square(image: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    part = Image.fromarray(image[top : top + side, left : left + side])
    return np.asarray(part.resize((size, size), Image.Resampling.LANCZOS))
