"""The hybrid's inner loop: shared negatives, sparse AdaGrad, id dropout; one thread, so a seed is a model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional

from recsys.data.features import Matrix
from recsys.errors import DataError
from recsys.models.losses import LOSSES
from recsys.progress import progress

if TYPE_CHECKING:
    from recsys.models.hybrid import HybridModel


@dataclass(frozen=True, eq=False)
class Parameters:
    """What is learned.

    Attributes:
        user: (n_users, factors) user vectors, beside the history's.
        item: (n_items, factors) item id vectors.
        bias: (n_items,) item biases.
        weights: One (d, factors) matrix a feature block.
    """

    user: Tensor
    item: Tensor
    bias: Tensor
    weights: tuple[Tensor, ...]


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch and BLAS on one thread: the last bits of a sum depend on how it is split among threads."""
    before = torch.get_num_threads()
    with threadpool_limits(limits=1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@dataclass(frozen=True, eq=False)
class Features:
    """Blocks of one id map as tensors, multiplied into factors.

    Attributes:
        blocks: Dense float32 tensors or CSR arrays, one row an id.
    """

    blocks: tuple[Tensor | sp.csr_array, ...]

    @classmethod
    def of(cls, blocks: Sequence[Matrix]) -> Features:
        """From normalised blocks."""
        return cls(tuple(b if sp.issparse(b) else torch.from_numpy(np.ascontiguousarray(b)) for b in blocks))

    def project(self, rows: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """(len(rows), factors): Σ over blocks of block[rows] @ weight; differentiable in the weights."""
        parts = [
            block[rows] @ weight if isinstance(block, Tensor) else _sparse_product(block[rows.numpy()], weight)
            for block, weight in zip(self.blocks, weights, strict=True)
        ]
        return torch.stack(parts).sum(dim=0)


def history_sums(history: sp.csr_array, blocks: Sequence[Matrix]) -> tuple[Matrix, ...]:
    """Σ over each user's items of their feature rows, one (n_users, d) matrix a block."""
    pattern = sp.csr_array((np.ones_like(history.data), history.indices, history.indptr), shape=history.shape)
    return tuple(pattern @ block for block in blocks)


def initial(options: HybridModel, history: sp.csr_array, dims: Sequence[int], rng: torch.Generator) -> Parameters:
    """Small random vectors; biases are the log of the number of buyers, 0 for none.

    That is the optimum of a softmax over all items where vectors say nothing: training starts at popularity.
    """
    n_users, n_items = history.shape
    buyers = np.bincount(history.indices, minlength=n_items)
    scale = 1 / math.sqrt(options.factors)
    return Parameters(
        user=torch.randn(n_users, options.factors, generator=rng) * (0.1 * scale),
        item=torch.randn(n_items, options.factors, generator=rng) * (0.1 * scale),
        bias=torch.from_numpy(np.log(np.maximum(buyers, 1)).astype(np.float32)),
        weights=tuple(torch.randn(d, options.factors, generator=rng) * scale for d in dims),
    )


@dataclass
class AdaGrad:
    """AdaGrad whose state is kept a parameter, updated only in the rows that a batch touched.

    Source: Duchi, Hazan, Singer (2011), eq. 1 (diagonal form).
    """

    state: dict[int, Tensor] = field(default_factory=dict)

    def step(self, parameter: Tensor, rows: Tensor | None, gradient: Tensor, *, rate: float, l2: float = 0.0) -> None:
        """Update ``parameter[rows]`` (None: all of it) in place; ``rows`` are distinct."""
        squares = self.state.setdefault(id(parameter), torch.zeros_like(parameter))
        index = slice(None) if rows is None else rows
        values = parameter[index]
        gradient = gradient + l2 * values
        total = squares[index] + gradient * gradient
        squares[index] = total
        parameter[index] = values - rate * gradient / (total.sqrt() + 1e-6)


@dataclass(frozen=True, eq=False)
class Trainer:
    """One fit.

    Attributes:
        options: The model's configuration.
        history: (n_users, n_items) CSR of positive weights.
        items: The items' features.
        pooled: The users' summed history features; empty without history pooling.
        parameters: Updated in place.
        rng: All randomness.
    """

    options: HybridModel
    history: sp.csr_array
    items: Features
    pooled: Features
    parameters: Parameters
    rng: torch.Generator
    optimiser: AdaGrad = field(default_factory=AdaGrad)

    def run(self) -> list[float]:
        """Train; the mean loss a pair of each epoch.

        Raises:
            DataError: The loss is not finite.
        """
        user, item = (torch.from_numpy(i.astype(np.int64)) for i in self.history.tocoo().coords)
        weight = torch.from_numpy(np.log1p(self.history.data) / np.log1p(self.history.data).mean())
        # Negatives are items somebody bought: a cold item was no choice that anybody turned down.
        candidates = torch.from_numpy(np.unique(self.history.indices).astype(np.int64))
        losses: list[float] = []
        with progress(f"fit hybrid ({self.options.loss})", self.options.epochs) as advance:
            for _ in range(self.options.epochs):
                order = torch.randperm(len(user), generator=self.rng)
                total = 0.0
                for batch in torch.split(order, self.options.batch_size):
                    total += self._step(user[batch], item[batch], weight[batch], candidates)
                losses.append(total / len(user))
                if not math.isfinite(losses[-1]):
                    raise DataError(
                        f"the loss is {losses[-1]} in epoch {len(losses)}; lower learning_rate "
                        f"({self.options.learning_rate}) or look for extreme weights in the interactions"
                    )
                advance(note=f"loss {losses[-1]:.4f}")
                if _is_flat(losses, self.options.early_stop):
                    break
        return losses

    def _step(self, user: Tensor, item: Tensor, weight: Tensor, candidates: Tensor) -> float:
        p, n = self.parameters, len(item)
        drawn = candidates[torch.randint(len(candidates), (self.options.negatives,), generator=self.rng)]
        items, at = torch.unique(torch.cat([item, drawn]), return_inverse=True)
        users, who = torch.unique(user, return_inverse=True)
        leaves = [p.user[users], p.item[items], p.bias[items], *(w.detach() for w in p.weights)]
        user_id, item_id, bias, *weights = (leaf.requires_grad_() for leaf in leaves)
        content = self.items.project(items, weights) if weights else None
        vectors = item_id if content is None else content + item_id * self._kept(len(items))[:, None]
        person = user_id[who]
        if content is not None and self.pooled.blocks:
            person = person + self._rest_of_history(user, users, who, content[at[:n]], weights)
        positive = (person * vectors[at[:n]]).sum(dim=1) + bias[at[:n]]
        negative = person @ vectors[at[n:]].T + bias[at[n:]]
        loss = LOSSES[self.options.loss](positive, negative, self._known(users, who, drawn), len(candidates))
        loss = (loss * weight).sum()
        self._update(users, items, torch.autograd.grad(loss, [user_id, item_id, bias, *weights]))
        return float(loss.detach())

    def _kept(self, n: int) -> Tensor:
        """1 where an item shows its id vector, 0 where features must do alone (as for a cold item)."""
        return (torch.rand(n, generator=self.rng) >= self.options.id_dropout).float()

    def _rest_of_history(
        self, user: Tensor, users: Tensor, who: Tensor, target: Tensor, weights: Sequence[Tensor]
    ) -> Tensor:
        """Mean content of what each user has beside the target: with it, the target would explain itself."""
        others = torch.from_numpy(np.diff(self.history.indptr)[user.numpy()] - 1).float()[:, None]
        rest = self.pooled.project(users, weights)[who] - target
        return torch.where(others > 0, rest / others.clamp(min=1), 0.0)

    def _known(self, users: Tensor, who: Tensor, drawn: Tensor) -> Tensor:
        """(batch, negatives) whether the user has the drawn item."""
        bought = self.history[users.numpy()][:, drawn.numpy()].toarray() > 0
        return torch.from_numpy(bought)[who]

    def _update(self, users: Tensor, items: Tensor, gradients: Sequence[Tensor]) -> None:
        p, o, step = self.parameters, self.options, self.optimiser.step
        step(p.user, users, gradients[0], rate=o.learning_rate, l2=o.l2)
        step(p.item, items, gradients[1], rate=o.learning_rate, l2=o.l2)
        step(p.bias, items, gradients[2], rate=o.bias_learning_rate)
        for weight, gradient in zip(p.weights, gradients[3:], strict=True):
            step(weight, None, gradient, rate=o.learning_rate, l2=o.l2_features)


def _is_flat(losses: Sequence[float], tolerance: float | None) -> bool:
    return tolerance is not None and len(losses) > 1 and losses[-1] > losses[-2] * (1 - tolerance)


def _sparse_product(rows: sp.csr_array, weight: Tensor) -> Tensor:
    indices, offsets = (torch.from_numpy(a.astype(np.int64)) for a in (rows.indices, rows.indptr[:-1]))
    data = torch.from_numpy(rows.data)
    return functional.embedding_bag(indices, weight, offsets, mode="sum", per_sample_weights=data)
