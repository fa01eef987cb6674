"""Networks that repaint pictures in one pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConditionalNorm(nn.Module):
    """Instance normalisation with a scale and a shift for each of several styles; styles mix by their weights.

    Source: Dumoulin, Shlens, Kudlur (2017), A Learned Representation for Artistic Style, eq. 5.
    """

    def __init__(self, width: int, n_styles: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(n_styles, width))
        self.shift = nn.Parameter(torch.zeros(n_styles, width))

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        """(n, width, h, w) and (n, n_styles) weights → the same shape."""
        scale, shift = ((mix @ p)[:, :, None, None] for p in (self.scale, self.shift))
        if not torch.is_grad_enabled():  # groups of one channel: the same in a tenth of the time, but slow backwards
            return torch.addcmul(shift, functional.group_norm(x, x.shape[1]), scale)
        variance, mean = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=0)
        gain = scale * (variance + 1e-5).rsqrt()
        return torch.addcmul(shift - mean * gain, x, gain)


class PaintConv(nn.Module):
    """Reflection padding, convolution, conditional normalisation; before it an enlargement, where asked.

    Enlarging before a plain convolution leaves no checkerboard (Odena et al. 2016).
    """

    def __init__(self, before: int, after: int, kernel: int, n_styles: int, *, stride: int = 1, grow: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, kernel, stride)
        self.norm = ConditionalNorm(after, n_styles)
        self.pad, self.grow = kernel // 2, grow

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        """(n, before, h, w) → (n, after, h', w')."""
        if self.grow > 1:
            x = functional.interpolate(x, scale_factor=self.grow, mode="nearest")
        made: Tensor = self.norm(self.convolution(functional.pad(x, [self.pad] * 4, mode="reflect")), mix)
        return made


class ResidualPaint(nn.Module):
    """x + norm(conv(relu(norm(conv(x)))))."""

    def __init__(self, width: int, n_styles: int) -> None:
        super().__init__()
        self.first, self.second = (PaintConv(width, width, 3, n_styles) for _ in range(2))

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        """Same shape in and out."""
        made: Tensor = self.second(functional.relu(self.first(x, mix)), mix)
        return x + made


class PaintNetwork(nn.Module):
    """A picture in, the change that paints it out: down twice, residual blocks, up twice.

    Source: Johnson, Alahi, Fei-Fei (2016), Perceptual Losses for Real-Time Style Transfer, with upsampling
    convolutions, conditional instance normalisation, and the picture itself added at the end: an untrained network
    changes nothing.

    Args:
        n_styles: Styles it has learned.
        width: Channels of the first layer; 32 in the paper.
        blocks: Residual blocks; 5 in the paper.
    """

    def __init__(self, n_styles: int = 1, width: int = 32, blocks: int = 5) -> None:
        super().__init__()
        self.n_styles, self.width, self.blocks = n_styles, width, blocks
        wide = 4 * width
        self.down = nn.ModuleList(
            [
                PaintConv(3, width, 9, n_styles),
                PaintConv(width, 2 * width, 3, n_styles, stride=2),
                PaintConv(2 * width, wide, 3, n_styles, stride=2),
            ]
        )
        self.body = nn.ModuleList(ResidualPaint(wide, n_styles) for _ in range(blocks))
        self.up = nn.ModuleList(
            [PaintConv(wide, 2 * width, 3, n_styles, grow=2), PaintConv(2 * width, width, 3, n_styles, grow=2)]
        )
        self.out = nn.Conv2d(width, 3, 9)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor, mix: Tensor) -> Tensor:
        """(n, 3, h, w) 0..1 and (n, n_styles) weights → (n, 3, h, w), which may leave 0..1; any h, w >= 16."""
        return images + self.change(images, mix)

    def change(self, images: Tensor, mix: Tensor) -> Tensor:
        """What `forward` adds to the pictures, in their type."""
        h, w = images.shape[2:]
        x = functional.pad(images, [0, -w % 4, 0, -h % 4], mode="replicate") * 2 - 1
        for layer in self.down:
            x = functional.relu(layer(x, mix))
        for block in self.body:
            x = block(x, mix)
        for layer in self.up:
            x = functional.relu(layer(x, mix))
        painted = torch.tanh(self.out(functional.pad(x, [4] * 4, mode="reflect")))
        return painted[:, :, :h, :w]
