"""What style transfer minimises, as pure functions of tensors; a module stands beside where a target is kept.

Features are activations (n, c, h, w), images (n, 3, h, w) with values 0..1. A loss answers one value an image, (n,),
unless it says otherwise, so that pictures of a batch never see each other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn import functional

from style.encoders.trunk import gram_matrix


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of activations.

    Source: Gatys, Ecker, Bethge (2016), Image Style Transfer Using Convolutional Neural Networks, eq. 1, as a mean.

    Example:
        >>> content_loss(torch.ones(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)).tolist()
        [1.0]
    """
    return (features - target).square().flatten(1).mean(dim=1)


def gram_loss(features: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of Gram matrices; ``target`` is (c, c) or (n, c, c), see `gram_matrix`.

    Source: Gatys, Ecker, Bethge (2016), eqs. 3-4; Gram matrices are divided by h w, so that size does not matter.

    Example:
        >>> gram_loss(torch.ones(1, 2, 3, 3), torch.zeros(2, 2)).tolist()
        [1.0]
    """
    return (gram_matrix(features) - target).square().flatten(1).mean(dim=1)


def statistics_loss(features: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Mean squared difference of each channel's mean and standard deviation; targets are (c,) or (n, c).

    Source: Huang, Belongie (2017), Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization, eq. 13.

    Example:
        >>> statistics_loss(torch.ones(1, 2, 3, 3), torch.zeros(2), torch.zeros(2)).tolist()
        [1.0]
    """
    own_mean, own_deviation = channel_statistics(features)
    return (own_mean - mean).square().mean(dim=1) + (own_deviation - deviation).square().mean(dim=1)


def channel_statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """(n, c) mean and standard deviation of each channel over its places.

    Example:
        >>> mean, deviation = channel_statistics(torch.tensor([[[[0.0, 2.0]]]]))
        >>> mean.tolist(), deviation.tolist()
        ([[1.0]], [[1.0]])
    """
    mean = features.mean(dim=(2, 3))
    variance = (features - mean[:, :, None, None]).square().mean(dim=(2, 3))
    return mean, (variance + 1e-12).sqrt()


def total_variation(images: Tensor) -> Tensor:
    """Mean squared difference of neighbouring values, down and right.

    Source: Rudin, Osher, Fatemi (1992), Nonlinear total variation based noise removal, in the squared form of
    Mahendran, Vedaldi (2015), eq. 4 with β = 2.

    Example:
        >>> total_variation(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])).tolist()  # right 1, down 0
        [1.0]
    """
    down = (images[:, :, 1:] - images[:, :, :-1]).square().flatten(1)
    right = (images[:, :, :, 1:] - images[:, :, :, :-1]).square().flatten(1)
    return sum_of_means(down) + sum_of_means(right)


def sum_of_means(values: Tensor) -> Tensor:
    """(n,) mean of each row, 0 of rows without entries."""
    return values.sum(dim=1) / max(values.shape[1], 1)


def cycle_loss(images: Tensor, back: Tensor) -> Tensor:
    """Mean absolute difference of a picture and what came back of it from the other domain.

    Source: Zhu, Park, Isola, Efros (2017), Unpaired Image-to-Image Translation, eq. 2; also its identity loss.

    Example:
        >>> cycle_loss(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)).tolist()
        [0.5]
    """
    return (images - back).abs().flatten(1).mean(dim=1)


def adversarial_loss(logits: Tensor, *, real: bool) -> Tensor:
    """How far a critic's answers (n, …) are from 1 for real pictures, from 0 for made ones; squared.

    Source: Mao et al. (2017), Least Squares Generative Adversarial Networks, eq. 2 with a = 0, b = c = 1.

    Example:
        >>> adversarial_loss(torch.tensor([[0.5]]), real=True).tolist()
        [0.25]
    """
    return (logits - float(real)).square().flatten(1).mean(dim=1)


def patch_nce_loss(query: Tensor, key: Tensor, temperature: float = 0.07) -> Tensor:
    """Cross-entropy of finding, among the places of its own picture, the one a place was made from.

    Source: Park, Efros, Zhang, Zhu (2020), Contrastive Learning for Unpaired Image-to-Image Translation, eq. 3.

    Args:
        query: (n, s, d) vectors of places of the made picture.
        key: (n, s, d) vectors of the same places of the original; no gradient goes into them.
        temperature: Of the softmax.

    Example:
        >>> place = torch.eye(2)[None]
        >>> patch_nce_loss(place, place, temperature=1.0).item() == -torch.log_softmax(torch.eye(2), 1)[0, 0].item()
        True
    """
    q, k = functional.normalize(query, dim=2), functional.normalize(key.detach(), dim=2)
    likeness = q @ k.transpose(1, 2) / temperature
    own = torch.arange(likeness.shape[1], device=likeness.device).expand(likeness.shape[0], -1)
    return functional.cross_entropy(likeness.transpose(1, 2), own, reduction="none").mean(dim=1)


def matting_laplacian(image: npt.NDArray[np.uint8], *, epsilon: float = 1e-4) -> sp.csr_array:
    """(h w, h w) the matting Laplacian of a picture (h, w, 3): 0 for pictures that are locally affine in its colours.

    Source: Levin, Lischinski, Weiss (2008), A Closed-Form Solution to Natural Image Matting, eq. 12, windows of 3 x 3.

    Args:
        image: At least 3 x 3.
        epsilon: Keeps flat windows solvable; colours are 0..1.

    Example:
        >>> ramp = np.arange(75, dtype=np.uint8).reshape(5, 5, 3)
        >>> flat = matting_laplacian(ramp) @ np.ones(25)  # a constant is affine in anything
        >>> bool(np.abs(flat).max() < 1e-9)
        True
    """
    h, w = image.shape[:2]
    colours = image.reshape(-1, 3).astype(np.float64) / 255
    index = np.arange(h * w).reshape(h, w)
    windows = np.lib.stride_tricks.sliding_window_view(index, (3, 3)).reshape(-1, 9)
    inside = colours[windows]  # (m, 9, 3)
    centred = inside - inside.mean(axis=1, keepdims=True)
    covariance = centred.transpose(0, 2, 1) @ centred / 9 + epsilon / 9 * np.eye(3)
    affinity = (1 + centred @ np.linalg.solve(covariance, centred.transpose(0, 2, 1))) / 9
    values = np.eye(9) - affinity
    rows, columns = np.repeat(windows, 9, axis=1), np.tile(windows, (1, 9))
    return sp.csr_array((values.ravel(), (rows.ravel(), columns.ravel())), shape=(h * w, h * w))


def matting_loss(images: Tensor, laplacian: Tensor) -> Tensor:
    """Mean over pixels of Σ over channels of vᵀ L v: how little a picture is locally affine in the original's colours.

    Source: Luan, Paris, Shechtman, Bala (2017), Deep Photo Style Transfer, eq. 2, as a mean.

    Args:
        images: (1, 3, h, w).
        laplacian: (h w, h w) sparse, `matting_laplacian` of the original.
    """
    flat = images.flatten(2)[0].T
    bent: Tensor = torch.sparse.mm(laplacian, flat)
    return (flat * bent).sum()[None] / flat.shape[0]


class ContentLoss(nn.Module):
    """`content_loss` against kept activations."""

    target: Tensor

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.register_buffer("target", target.detach())

    def forward(self, features: Tensor) -> Tensor:
        """(n, c, h, w) → (n,)."""
        return content_loss(features, self.target)


class GramLoss(nn.Module):
    """`gram_loss` against a kept Gram matrix."""

    target: Tensor

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.register_buffer("target", target.detach())

    def forward(self, features: Tensor) -> Tensor:
        """(n, c, h, w) → (n,)."""
        return gram_loss(features, self.target)


class StatisticsLoss(nn.Module):
    """`statistics_loss` against kept means and deviations."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.detach())
        self.register_buffer("deviation", deviation.detach())

    def forward(self, features: Tensor) -> Tensor:
        """(n, c, h, w) → (n,)."""
        return statistics_loss(features, self.mean, self.deviation)
