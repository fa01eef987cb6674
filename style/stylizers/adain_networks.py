"""Networks that repaint a picture in any style: what is seen of the style is put into what is seen of the photo.

A frozen backbone looks at photo and style at several depths. A merge gives the photo's activations the style's manner,
and a decoder turns what was merged into a change of the photo. Against Huang and Belongie (2017) and Park and Lee
(2019) two things are added, because small backbones with strides forget fine detail: every depth is merged and
reaches the decoder, not the deepest alone, and the photo itself is added at the end. Of the style the decoder sees
nothing but what came through the merge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from style.backbone import Backbone
from style.losses import channel_statistics

Maps = Mapping[str, Tensor]
PIXELS = "pixels"
"""The shallowest depth: the picture itself."""
MARGIN = 32
"""Pixels by which pictures are prolonged before they are seen, and that are cut off what was seen: backbones pad with
zeros, which an even ground shows as a frame, and normalisation would make a pattern of it. A multiple of all strides.
"""
EPSILON = 1e-5
"""As in the paper's code; activations are scaled to a mean square of about 1."""


def normalised(features: Tensor) -> Tensor:
    """(n, c, h, w) with mean 0 and deviation 1 in each channel; an even channel gives 0.

    Example:
        >>> normalised(torch.tensor([[[[1.0, 3.0]]]])).round(decimals=3).flatten().tolist()
        [-1.0, 1.0]
    """
    variance, mean = torch.var_mean(features, dim=(2, 3), keepdim=True, correction=0)
    return (features - mean) * (variance + EPSILON).rsqrt()


def adain(features: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Channels of (n, c, h, w) brought to the style's (n, c) mean and deviation.

    Source: Huang, Belongie (2017), Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization, eq. 8.

    Example:
        >>> target = torch.tensor([[5.0]]), torch.tensor([[2.0]])
        >>> adain(torch.tensor([[[[1.0, 3.0]]]]), *target).round(decimals=3).flatten().tolist()
        [3.0, 7.0]
    """
    return normalised(features) * deviation[:, :, None, None] + mean[:, :, None, None]


class StatisticsMerge(nn.Module):
    """Adaptive instance normalisation at every depth. It has nothing to learn."""

    def describe(self, seen: Maps) -> dict[str, Tensor]:
        """Mean and deviation of each channel of each depth: ``<depth>.mean`` and ``<depth>.deviation``, (n, c)."""
        found = {depth: channel_statistics(f) for depth, f in seen.items()}
        means = {f"{depth}.mean": mean for depth, (mean, _) in found.items()}
        return means | {f"{depth}.deviation": deviation for depth, (_, deviation) in found.items()}

    def forward(self, seen: Maps, code: Maps) -> dict[str, Tensor]:
        """Activations by depth and what `describe` said of the style → the same shapes."""
        return {depth: adain(f, code[f"{depth}.mean"], code[f"{depth}.deviation"]) for depth, f in seen.items()}


class StyleAttention(nn.Module):
    """Attention of a photo's places over a style's, by way of a fixed number of learned slots.

    Source: Park, Lee (2019), Arbitrary Style Transfer with Style-Attentional Networks, eqs. 1-4: queries are of the
    normalised photo, keys of the normalised style, and what is found is added to the photo's activations. There every
    place attends to every place of the style. Here style places are gathered into slots, each of which asks a question
    of its own, and photo places attend to the slots (inducing points, Lee et al. 2019, Set Transformer, eq. 9). So a
    style is (slots, channels) numbers whatever its size, cost grows with places and not with their square, and since
    the answer is linear in them, a mean of two styles' numbers finds the mean of what each alone would find.

    Args:
        channels: Of the activations.
        slots: How many questions.
        width: Dimensions in which places are compared.
    """

    def __init__(self, channels: int, slots: int, width: int = 32) -> None:
        super().__init__()
        self.slots = nn.Parameter(torch.randn(slots, width))
        self.query, self.key = (nn.Conv2d(channels, width, 1) for _ in range(2))
        self.value, self.out = (nn.Conv2d(channels, channels, 1) for _ in range(2))

    def describe(self, features: Tensor) -> Tensor:
        """(n, c, h, w) of a style → (n, slots, c): what answers each slot's question."""
        attention = self._likeness(self.key(normalised(features))).softmax(dim=2)
        answers: Tensor = attention @ self.value(features).flatten(2).transpose(1, 2)
        return answers

    def forward(self, features: Tensor, answers: Tensor) -> Tensor:
        """(n, c, h, w) of photos and (n, slots, c) → (n, c, h, w)."""
        attention = self._likeness(self.query(normalised(features))).softmax(dim=1)
        found = answers.transpose(1, 2) @ attention
        made: Tensor = self.out(found.reshape(len(attention), *features.shape[1:]))
        return features + made

    def _likeness(self, places: Tensor) -> Tensor:
        """(n, width, h, w) → (n, slots, h w)."""
        likeness: Tensor = self.slots @ places.flatten(2) * self.slots.shape[1] ** -0.5
        return likeness


class AttentionMerge(nn.Module):
    """`StyleAttention` at every depth but the picture itself, which is passed on as it is.

    Args:
        channels: Depth → channels.
        slots: Of each depth.
    """

    def __init__(self, channels: Mapping[str, int], slots: int) -> None:
        super().__init__()
        self.depths = nn.ModuleDict({k: StyleAttention(c, slots) for k, c in channels.items() if k != PIXELS})

    def describe(self, seen: Maps) -> dict[str, Tensor]:
        """``<depth>.slots``, (n, slots, c)."""
        return {f"{depth}.slots": attend.describe(seen[depth]) for depth, attend in self._depths()}

    def forward(self, seen: Maps, code: Maps) -> dict[str, Tensor]:
        """Activations by depth and what `describe` said of the style → the same shapes."""
        merged = {depth: attend(seen[depth], code[f"{depth}.slots"]) for depth, attend in self._depths()}
        return {PIXELS: seen[PIXELS], **merged}

    def _depths(self) -> list[tuple[str, StyleAttention]]:
        return list(self.depths.items())  # type: ignore[arg-type]


class Decoder(nn.Module):
    """From the deepest to the shallowest activations: narrow, enlarge, join the next depth's, convolve.

    Enlarging before a convolution leaves no checkerboard (Odena et al. 2016), there is no normalisation, which would
    take the style away again, and an untrained decoder changes nothing.

    Args:
        channels: Of each depth, shallowest first; the first is the picture.
        width: Channels of the shallowest layer; doubled at every depth, up to 8 times.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        widths = [width * min(2**i, 8) for i in range(len(channels))]
        self.deepest = nn.ModuleList([nn.Conv2d(channels[-1], widths[-1], 3), nn.Conv2d(widths[-1], widths[-1], 3)])
        self.narrow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.join = nn.ModuleList(nn.Conv2d(w + c, w, 3) for w, c in zip(widths, channels[:-1], strict=False))
        self.out = nn.Conv2d(width, 3, 3)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, merged: Sequence[Tensor]) -> Tensor:
        """Activations, shallowest first → (n, 3, h, w) a change in -1..1."""
        x = merged[-1]
        for layer in self.deepest:
            x = functional.relu(layer(padded(x)))
        steps = list(zip(self.narrow, self.join, merged[:-1], strict=True))
        for narrow, join, beside in reversed(steps):
            x = functional.interpolate(narrow(x), size=beside.shape[2:], mode="bilinear")
            x = functional.relu(join(padded(torch.cat([x, beside], dim=1))))
        return torch.tanh(self.out(padded(x)))


def padded(x: Tensor) -> Tensor:
    """One more place on each side, by reflection; of a single row or column, which has no reflection, by copies."""
    return functional.pad(x, [1] * 4, mode="reflect" if min(x.shape[2:]) > 1 else "replicate")


class StyleNetwork(nn.Module):
    """A merge and a decoder, and by how much the backbone's activations are divided.

    Args:
        channels: Depth → channels, shallowest first, from the picture on.
        strides: Of the depths but the picture.
        width: Of the decoder.
        merge: Puts the style in.
    """

    scale: Tensor

    def __init__(
        self,
        channels: Mapping[str, int],
        strides: Sequence[int],
        width: int,
        merge: StatisticsMerge | AttentionMerge,
    ) -> None:
        super().__init__()
        self.merge, self.decoder = merge, Decoder(list(channels.values()), width)
        self.layers, self.strides = tuple(k for k in channels if k != PIXELS), tuple(strides)
        self.register_buffer("scale", torch.ones(len(self.layers)))

    def see(self, backbone: Backbone, images: Tensor) -> dict[str, Tensor]:
        """(n, 3, h, w) 0..1 → activations by depth, scaled; the first are the images."""
        found = backbone.features(functional.pad(images, [MARGIN] * 4, mode="replicate"), self.layers)
        seen = {PIXELS: images}
        for layer, stride, scale in zip(self.layers, self.strides, self.scale, strict=True):
            first, (h, w) = MARGIN // stride, (-(-side // stride) for side in images.shape[2:])
            seen[layer] = found[layer][:, :, first : first + h, first : first + w] / scale
        return seen

    def blend(self, seen: Maps, code: Maps, alpha: float = 1.0) -> dict[str, Tensor]:
        """The photo's activations merged with a mix of the style's code, alpha, and the photo's own, 1 - alpha.

        Merges are linear in the code, so of statistics this is eq. 14; and 0 is what identity is trained for.
        """
        if alpha != 1:
            own = self.merge.describe(seen)
            code = {k: torch.lerp(own[k], v.expand_as(own[k]), alpha) for k, v in code.items()}
        merged: dict[str, Tensor] = self.merge(seen, code)
        return merged

    def forward(self, images: Tensor, merged: Maps) -> Tensor:
        """(n, 3, h, w) 0..1 and what `blend` made → (n, 3, h, w), which may leave 0..1."""
        change: Tensor = self.decoder([merged[k] for k in (PIXELS, *self.layers)])
        return images + change
