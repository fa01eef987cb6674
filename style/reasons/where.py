"""Where in a photo a style is seen: Grad-CAM heat maps of a class, or of how like given rows a photo is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import matplotlib
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recsys.errors import ConfigError, DataError, unknown_name
from recsys.extras import require
from style.base import Encoder, Images
from style.classify.classifier import Classifier
from style.encoders.reading import side_by_side
from style.encoders.trunk import Reader, Trunk, spatial_mean
from style.images import resize

Score = Callable[[Tensor], Tensor]
"""(n, d) rows of an encoder → (n,); differentiable."""
STRONGEST = 0.75
"""How much of the colour covers the photo where the heat is greatest."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Of Rec. 601."""


@dataclass(frozen=True, eq=False)
class HeatMap:
    """What in a photo speaks for a score.

    Attributes:
        heat: (h, w) in 0 … 1, 1 at the place that speaks for it most; all 0 where nothing does.
        score: Of the whole photo.
    """

    heat: npt.NDArray[np.float32]
    score: float

    def over(self, photo: Images) -> Images:
        """(h, w, 3) uint8 the photo in grey under the heat, at its own size: a yellow shirt is not taken for hot."""
        large = _enlarged(self.heat, photo.shape[0], photo.shape[1])
        grey = (photo @ LUMA)[..., None]
        colours = matplotlib.colormaps["inferno"](0.9 - 0.5 * large)[..., :3] * 255
        cover = (STRONGEST * large)[..., None]
        return np.asarray(np.rint(grey * (1 - cover) + colours * cover), np.uint8)


def heat_map(encoder: Encoder, photo: Images, score: Score) -> HeatMap:
    """Grad-CAM of a score at the last layer that an encoder reads, by captum.

    Activations are weighed by the mean gradient of the score, added up, and kept where positive: Selvaraju et al.
    (2017), Grad-CAM, eq. 1 and 2. The scores below hold a row's length fixed, for else a photo that is all of its class
    would show nothing: its row cannot turn further. So what is added up is the score itself but for a constant.

    Args:
        encoder: One that reads the mean of one layer of a convolutional trunk, such as ``efficientnet-lite0``.
        photo: (h, w, 3) uint8.
        score: What of its row is explained; see `class_score` and `likeness`.

    Raises:
        ConfigError: The encoder reads no such mean.
        DataError: The score or its gradient is not finite.
        MissingExtraError: Captum is not installed.
    """
    trunk, stage = _mean_of(encoder)
    captum = require("captum.attr", extra="reasons")
    through = _Through(trunk, stage, score).eval()
    pixels = torch.from_numpy(resize(photo[None], encoder.size)).to(trunk.device).permute(0, 3, 1, 2)
    x = ((pixels.float() - trunk.mean) / trunk.scale).requires_grad_()
    method = captum.LayerGradCam(through, trunk.stages[stage])
    heat = method.attribute(x, relu_attributions=True)[0, 0].detach().cpu().numpy()
    with torch.no_grad():
        value = float(through(x)[0])
    if not np.isfinite(value) or not np.isfinite(heat).all():
        raise DataError(f"the score of {encoder.name} is not finite for this photo, got {value}; there is no heat map")
    return HeatMap(np.asarray(heat / max(float(heat.max()), 1e-12), np.float32), value)


def class_score(classifier: Classifier, name: str, block: str) -> Score:
    """What a block adds to the logit of a class, before calibration.

    Raises:
        ConfigError: The classifier has no such class or does not read the block.
    """
    if name not in classifier.classes:
        raise ConfigError(unknown_name("class", name, classifier.classes))
    scaling = classifier.scaling
    if block not in scaling.blocks:
        raise ConfigError(unknown_name("block of the classifier", block, scaling.blocks))
    at, ends = scaling.blocks.index(block), np.cumsum(scaling.dims)
    span = slice(int(ends[at]) - scaling.dims[at], int(ends[at]))
    weight = torch.from_numpy(classifier.weight[span, classifier.classes.index(name)].astype(np.float32))
    mean, scale = torch.from_numpy(scaling.mean[span]), torch.from_numpy(scaling.scale[span])

    def score(rows: Tensor) -> Tensor:
        part = (rows - mean.to(rows)) * scale.to(rows)
        length = torch.linalg.vector_norm(part, dim=1) * len(scaling.blocks) ** 0.5
        found: Tensor = part @ weight.to(rows) / length.detach().clamp_min(1e-12)
        return found

    return score


def likeness(rows: npt.ArrayLike, centre: npt.ArrayLike | None = None) -> Score:
    """Cosine with the mean of some rows, such as those of what a user has bought: the style score of a recommendation.

    Args:
        rows: (n, d) of the same encoder.
        centre: (d,) the catalogue's mean, taken from both sides; None for none.

    Raises:
        DataError: No rows, or their mean is the centre.
    """
    given = np.atleast_2d(np.asarray(rows, np.float32))
    middle = np.zeros(given.shape[1], np.float32) if centre is None else np.asarray(centre, np.float32)
    wanted = given.mean(axis=0) - middle if len(given) else middle * 0
    length = float(np.linalg.norm(wanted))
    if not length > 0:
        raise DataError(f"likeness needs rows with a direction, got {len(given)} rows whose mean is the centre")
    towards, zero = torch.from_numpy(wanted / length), torch.from_numpy(middle)

    def score(found: Tensor) -> Tensor:
        away = found - zero.to(found)
        cosine: Tensor = away @ towards.to(found) / torch.linalg.vector_norm(away, dim=1).detach().clamp_min(1e-12)
        return cosine

    return score


def has_places(encoder: Encoder) -> bool:
    """Whether `heat_map` can read the encoder."""
    reader, trunk = getattr(encoder, "reader", None), getattr(encoder, "trunk", None)
    if not isinstance(trunk, Trunk) or not isinstance(reader, Reader) or reader.finish is not side_by_side:
        return False
    return len(reader.taps) == 1 and reader.taps[0].pool == "mean"


class _Through(nn.Module):
    """Normalised pictures → the score of their rows."""

    def __init__(self, trunk: Trunk, stage: int, score: Score) -> None:
        super().__init__()
        self.stages = nn.Sequential(*trunk.stages[: stage + 1])
        self.score = score

    def forward(self, x: Tensor) -> Tensor:
        return self.score(spatial_mean(self.stages(x)))


def _mean_of(encoder: Encoder) -> tuple[Trunk, int]:
    if not has_places(encoder):
        raise ConfigError(
            f"a heat map needs an encoder that reads the mean of a convolutional layer, got {encoder.name!r}; "
            "use efficientnet-lite0, -lite1 or -lite2"
        )
    trunk: Trunk = encoder.trunk  # type: ignore[attr-defined]
    return trunk, encoder.reader.taps[0].stage  # type: ignore[attr-defined]


def _enlarged(heat: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    large = nn.functional.interpolate(
        torch.from_numpy(heat)[None, None], size=(height, width), mode="bicubic", align_corners=False
    )
    return np.asarray(large[0, 0].numpy().clip(0, 1), np.float32)
