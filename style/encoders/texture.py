"""Texture: where edges run and how strong they are, at several scales."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, pad

from style.base import Images
from style.encoders.trunk import choose_device

Rows = npt.NDArray[np.float32]

SIZE = 128
SCALES = 4
ORIENTATIONS = 8
LUMA = (0.299, 0.587, 0.114)
KERNEL = 9
WAVELENGTH = 4.0


class Texture:
    """How a surface is drawn, without colour and without place: responses of oriented filters at four scales.

    The luma is filtered with quadrature pairs of Gabor filters in 8 directions at 1, 1/2, 1/4 and 1/8 of the size. Of
    the energy of each filter the mean, the deviation and the 95 % quantile over all places are kept, and for each scale
    how the directions go together (the correlations of their energies).

    Source: Manjunath, Ma, "Texture features for browsing and retrieval of image data", 1996 (means and deviations of
    Gabor energies); Portilla, Simoncelli, "A parametric texture model", 2000 (correlations of energies).

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    name = "texture"
    extra = ""
    weights_licence = ""
    about = "edges by direction and scale: weave, print, pleats"
    size = SIZE
    semantic = False
    whiten = 0

    def __init__(self, device: str = "auto") -> None:
        self.device = torch.device(choose_device(device))
        self.filters = gabor_filters().to(self.device)

    def encode(self, images: Images) -> Rows:
        """(n, 128, 128, 3) uint8 → (n, 208) float32."""
        if not len(images):
            return self.encode(np.zeros((1, SIZE, SIZE, 3), np.uint8))[:0]
        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
            luma = (pixels.float() @ torch.tensor(LUMA, device=self.device) / 255)[:, None]
            parts = [p for scale in range(SCALES) for p in self._statistics(avg_pool2d(luma, 2**scale))]
            return torch.cat(parts, dim=1).cpu().numpy()

    def _statistics(self, luma: Tensor) -> list[Tensor]:
        """Of one scale (n, 1, h, w)."""
        edge = KERNEL // 2
        seen = conv2d(pad(luma, [edge] * 4, mode="replicate"), self.filters)
        energy = torch.sqrt(seen[:, :ORIENTATIONS] ** 2 + seen[:, ORIENTATIONS:] ** 2).flatten(2)
        mean, deviation = energy.mean(2), energy.std(2, correction=0)
        high = energy.kthvalue(round(0.95 * energy.shape[2]), dim=2)[0]
        unit = (energy - mean[..., None]) / (deviation[..., None] + 1e-4)
        together = unit @ unit.transpose(1, 2) / energy.shape[2]
        upper = torch.triu_indices(ORIENTATIONS, ORIENTATIONS, 1)
        return [torch.sqrt(mean), torch.sqrt(deviation), torch.sqrt(high), 0.2 * together[:, upper[0], upper[1]]]


@lru_cache(maxsize=1)
def gabor_filters() -> Tensor:
    """(2 x 8, 1, 9, 9): the even filters in 8 directions, then the odd ones; each sums to 0 and has norm 1."""
    y, x = np.mgrid[-(KERNEL // 2) : KERNEL // 2 + 1, -(KERNEL // 2) : KERNEL // 2 + 1]
    bell = np.exp(-(x**2 + y**2) / (2 * (0.5 * WAVELENGTH) ** 2))
    angle = np.arange(ORIENTATIONS)[:, None, None] * np.pi / ORIENTATIONS
    phase = 2 * np.pi / WAVELENGTH * (x * np.cos(angle) + y * np.sin(angle))
    filters = np.concatenate([bell * np.cos(phase), bell * np.sin(phase)])
    filters -= filters.sum(axis=(1, 2), keepdims=True) * bell / bell.sum()
    filters /= np.sqrt((filters**2).sum(axis=(1, 2), keepdims=True))
    return torch.from_numpy(filters[:, None].astype(np.float32))
