"""Optimisers whose state moves only in the rows a step touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from recsys.models.crew import ALONE, Crew, spans

PART = 2048
"""Rows that one thread updates at a time: what it needs of them stays in its cache."""
Decay = Tensor | float


class Optimiser(Protocol):
    """Updates parameters in place."""

    def step(
        self,
        parameter: Tensor,
        rows: Tensor | None,
        gradient: Tensor,
        rate: Tensor | float,
        decay: Decay,
        crew: Crew = ALONE,
    ) -> None:
        """Update ``parameter[rows]`` (None: all of it); ``rows`` are distinct.

        Args:
            parameter: Always the same tensor object for the same parameter.
            rows: Which of its rows.
            gradient: Of those rows; overwritten.
            rate: Learning rate, broadcast over the gradient.
            decay: L2 penalty, a number or one a cell: ``decay * parameter`` joins the gradient.
            crew: Shares the rows.
        """
        ...


@dataclass
class AdaGrad:
    """Steps shrink with all squared gradients so far.

    Source: Duchi, Hazan, Singer (2011), eq. 1 (diagonal form).
    """

    state: dict[int, Tensor] = field(default_factory=dict)

    def step(
        self,
        parameter: Tensor,
        rows: Tensor | None,
        gradient: Tensor,
        rate: Tensor | float,
        decay: Decay,
        crew: Crew = ALONE,
    ) -> None:
        """See `Optimiser.step`."""
        if id(parameter) not in self.state:
            self.state[id(parameter)] = torch.zeros_like(parameter)
        squares = self.state[id(parameter)]

        def update(part: slice, index: Tensor | slice) -> None:
            g = gradient[part]
            g += _of(decay, part) * parameter[index]
            total = squares[index].addcmul_(g, g)
            if not isinstance(index, slice):  # picked rows are a copy
                squares[index] = total
            parameter[index] -= g.div_(total.sqrt().add_(1e-6)).mul_(rate)

        _each(update, rows, len(gradient), crew)


@dataclass
class Adam:
    """Momentum and recent squared gradients; a row that a step does not touch keeps both (lazy Adam).

    Source: Kingma, Ba (2015), algorithm 1; the bias correction counts a parameter's steps.
    """

    state: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    steps: dict[int, int] = field(default_factory=dict)

    def step(
        self,
        parameter: Tensor,
        rows: Tensor | None,
        gradient: Tensor,
        rate: Tensor | float,
        decay: Decay,
        crew: Crew = ALONE,
    ) -> None:
        """See `Optimiser.step`."""
        key = id(parameter)
        if key not in self.state:
            self.state[key] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        mean, square = self.state[key]
        t = self.steps[key] = self.steps.get(key, 0) + 1

        def update(part: slice, index: Tensor | slice) -> None:
            g = gradient[part]
            g += _of(decay, part) * parameter[index]
            m = torch.lerp(mean[index], g, 0.1)
            v = torch.lerp(square[index], g.square_(), 0.001)
            mean[index], square[index] = m, v
            parameter[index] -= (m / (1 - 0.9**t)).div_((v / (1 - 0.999**t)).sqrt_().add_(1e-8)).mul_(rate)

        _each(update, rows, len(gradient), crew)


OPTIMISERS: dict[str, type[AdaGrad] | type[Adam]] = {"adagrad": AdaGrad, "adam": Adam}


def _each(update: Callable[[slice, Tensor | slice], None], rows: Tensor | None, n: int, crew: Crew) -> None:
    """Part by part: its place in the gradient and in the parameter."""
    crew.map(lambda part: update(part, part if rows is None else rows[part]), spans(n, PART))


def _of(decay: Decay, part: slice) -> Decay:
    return decay[part] if isinstance(decay, Tensor) and len(decay) > 1 else decay
