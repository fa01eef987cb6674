"""Optimisers whose state moves only in the rows a step touched."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor


class Optimiser(Protocol):
    """Updates parameters in place."""

    def step(
        self, parameter: Tensor, rows: Tensor | None, gradient: Tensor, rate: Tensor | float, decay: Tensor | float
    ) -> None:
        """Update ``parameter[rows]`` (None: all of it); ``rows`` are distinct.

        Args:
            parameter: Always the same tensor object for the same parameter.
            rows: Which of its rows.
            gradient: Of those rows; overwritten.
            rate: Learning rate, broadcast over the gradient.
            decay: L2 penalty: ``decay * parameter`` joins the gradient.
        """
        ...


@dataclass
class AdaGrad:
    """Steps shrink with all squared gradients so far.

    Source: Duchi, Hazan, Singer (2011), eq. 1 (diagonal form).
    """

    state: dict[int, Tensor] = field(default_factory=dict)

    def step(
        self, parameter: Tensor, rows: Tensor | None, gradient: Tensor, rate: Tensor | float, decay: Tensor | float
    ) -> None:
        """See `Optimiser.step`."""
        squares = self.state.setdefault(id(parameter), torch.zeros_like(parameter))
        values = parameter if rows is None else parameter[rows]
        gradient += decay * values
        if rows is None:
            squares.addcmul_(gradient, gradient)
            parameter -= gradient.div_(squares.sqrt().add_(1e-6)).mul_(rate)
            return
        total = squares[rows].addcmul_(gradient, gradient)
        squares[rows] = total
        parameter[rows] = values - gradient.div_(total.sqrt_().add_(1e-6)).mul_(rate)


@dataclass
class Adam:
    """Momentum and recent squared gradients; a row that a step does not touch keeps both (lazy Adam).

    Source: Kingma, Ba (2015), algorithm 1; the bias correction counts a parameter's steps.
    """

    state: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    steps: dict[int, int] = field(default_factory=dict)

    def step(
        self, parameter: Tensor, rows: Tensor | None, gradient: Tensor, rate: Tensor | float, decay: Tensor | float
    ) -> None:
        """See `Optimiser.step`."""
        key, index = id(parameter), slice(None) if rows is None else rows
        mean, square = self.state.setdefault(key, (torch.zeros_like(parameter), torch.zeros_like(parameter)))
        t = self.steps[key] = self.steps.get(key, 0) + 1
        gradient += decay * parameter[index]
        m = torch.lerp(mean[index], gradient, 0.1)
        v = torch.lerp(square[index], gradient.square_(), 0.001)
        mean[index], square[index] = m, v
        parameter[index] -= (m / (1 - 0.9**t)).div_((v / (1 - 0.999**t)).sqrt_().add_(1e-8)).mul_(rate)


OPTIMISERS: dict[str, type[AdaGrad] | type[Adam]] = {"adagrad": AdaGrad, "adam": Adam}
