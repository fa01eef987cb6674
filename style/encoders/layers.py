"""The layers our trunks are made of."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import pad


class PaddedConv(nn.Conv2d):
    """A convolution whose padding may differ from side to side (TensorFlow's SAME with a stride).

    Attributes:
        pads: Left, right, top, bottom.
    """

    def __init__(
        self, before: int, after: int, kernel: int, stride: int, pads: tuple[int, ...], groups: int = 1
    ) -> None:
        self.pads = pads
        self.even = len(set(pads)) == 1
        super().__init__(before, after, kernel, stride, padding=pads[0] if self.even else 0, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, h, w) → (n, after, h', w')."""
        return super().forward(x if self.even else pad(x, list(self.pads)))


class Residual(nn.Module):
    """x + body(x)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        made: Tensor = self.body(x)
        return made + x
