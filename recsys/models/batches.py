"""A training step's users in rows, and how a shard of those rows is scored: forward, loss and back in one go."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from recsys.models.bags import Bag
from recsys.models.losses import Loss


@dataclass(frozen=True, eq=False)
class Batch:
    """Some users' items, in rows.

    Attributes:
        users: (u,) distinct users.
        owner: (r,) the position in ``users`` of each row.
        row: (p,) the row of each pair, ascending.
        item: (p,) the item of each pair, as a position among the step's items.
        weight: (p,) of each pair.
        everything: (u, t) bag of all items of each user.
        negatives: (s,) positions of the negatives among the step's items; None: all of them.
        scale: Candidates that a negative stands for.
    """

    users: Tensor
    owner: Tensor
    row: Tensor
    item: Tensor
    weight: Tensor
    everything: Bag
    negatives: Tensor | None
    scale: float

    @property
    def n_rows(self) -> int:
        """Rows."""
        return len(self.owner)

    def targets(self, value: Tensor) -> Bag:
        """(r, t) bag of the pairs to be predicted."""
        return Bag.sorted(self.row, self.item, value, (self.n_rows, self.everything.n_columns))

    def known(self) -> Bag:
        """(u, s) bag of the negatives that a user has after all."""
        if self.negatives is None:
            return self.everything
        mine = self.everything
        column = torch.full((mine.n_columns,), -1, device=mine.column.device)
        column[self.negatives] = torch.arange(len(self.negatives), device=column.device)
        found = column[mine.column]
        hit = found >= 0
        return Bag.sorted(mine.row[hit], found[hit], mine.value[hit], (mine.n_rows, len(self.negatives)))


class Scored(NamedTuple):
    """Summed loss; gradients of the rows (r, f + 1), the negatives (s, f + 1) and the positives' scores (p,)."""

    loss: float
    person: Tensor
    negatives: Tensor
    positive: Tensor


@dataclass(frozen=True, eq=False)
class Shard:
    """Rows of a batch that one thread scores.

    Attributes:
        person: (r, f + 1) the rows' vectors, the last column their bias.
        row: (p,) the row of each pair, ascending.
        item: (p,) its item.
        weight: (p,) its weight.
        known: (r, s) bag of the negatives that a row's user has after all.
        scale: Candidates that a negative stands for.
        loss: See `recsys.models.losses`.
        user_bias: Whether the loss depends on the rows' biases.
    """

    person: Tensor
    row: Tensor
    item: Tensor
    weight: Tensor
    known: Bag
    scale: float
    loss: Loss
    user_bias: bool

    def score(self, vectors: Tensor, negatives: Tensor, *, every: bool) -> Scored:
        """Against item vectors (t, f + 1), of which ``negatives`` (s, f + 1) are some or ``every`` one."""
        mine = with_one(self.person)
        scores = mine @ negatives.T
        positive = scores[self.row, self.item] if every else (mine[self.row] * vectors[self.item]).sum(dim=1)
        scores[self.known.row, self.known.column] = -math.inf
        if self.user_bias:
            scores += self.person[:, -1:]
            positive = positive + self.person[self.row, -1]
        loss, force = self.loss(scores, positive, self.row, self.weight, self.scale)
        pulls = Bag.sorted(self.row, self.item, force, (len(mine), len(vectors)))
        bias = (scores.sum(dim=1) + pulls.sums(vectors.new_ones(len(vectors), 1))[:, 0]) if self.user_bias else 0.0
        if every:
            scores[self.row, self.item] = force  # what is known has no gradient as a negative
            d_person = scores @ vectors
        else:
            d_person = (scores @ negatives).add_(pulls.sums(vectors))
        d_person[:, -1] = bias
        return Scored(float(loss.sum()), d_person, scores.T @ mine, force)


def with_one(person: Tensor) -> Tensor:
    """(r, f + 1) vectors with a 1 where the bias stands: their product with an item's adds the item's bias."""
    return torch.cat([person[:, :-1], torch.ones_like(person[:, :1])], dim=1)
