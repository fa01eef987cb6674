"""The hybrid's inner loop: whole users against shared negatives, gradients written out, sparse updates.

A step takes some users with everything they have. Their scores against all candidates (or a sample of them) are
one matrix product; a loss turns them into their gradient in place; two more products carry it back to users and
items, and one to the feature weights. Nothing is done interaction by interaction.

With history pooling a user's items are split at random into folds, and each fold is predicted from the others:
what is to be guessed may not be among what is known. Each (user, fold) is then a row of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recsys.errors import DataError
from recsys.models.bags import Bag, masses
from recsys.models.batches import Batch, Shard, with_one
from recsys.models.crew import Crew, crew, even_spans
from recsys.models.losses import LOSSES, Loss, warp_kos
from recsys.models.optimisers import OPTIMISERS, Optimiser
from recsys.models.tower import Tower
from recsys.progress import progress

if TYPE_CHECKING:
    from recsys.models.hybrid import HybridModel

CELLS = 2**19
"""Scores that one thread holds at a time: they stay in its cache."""
GPU_CELLS = 2**27
"""Scores held at a time on a GPU: half a gigabyte."""


@dataclass(frozen=True, eq=False)
class Trainer:
    """One fit; parameters are updated in place.

    Attributes:
        options: The model's configuration.
        history: (n_users, n_items) bag of weights, their mean 1. Every item has a user: the rest is no choice
            that anybody turned down.
        user: The users' side.
        item: The items' side.
        unknown: (1, factors + 1) the id vector of an item whose id is not known.
        rng: All randomness; on the CPU.
    """

    options: HybridModel
    history: Bag
    user: Tower
    item: Tower
    unknown: Tensor
    rng: torch.Generator
    optimiser: Optimiser = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "optimiser", OPTIMISERS[self.options.optimiser]())

    def run(self, epochs: int, stop: Callable[[], bool] | None = None) -> list[float]:
        """Train; the mean loss a pair of each epoch.

        Args:
            epochs: Passes over the users.
            stop: Asked after every epoch.

        Raises:
            DataError: The loss is not finite.
        """
        users = torch.nonzero(self.history.starts.diff()).squeeze(1)
        n_pairs, losses = len(self.history.column), list[float]()
        with crew() as workers, progress(f"fit hybrid ({self.options.loss})", epochs) as advance:
            for _ in range(epochs):
                order = users[torch.randperm(len(users), generator=self.rng).to(users.device)]
                total = sum(self._step(part, workers) for part in torch.split(order, self.options.batch_size))
                losses.append(total / n_pairs)
                if not math.isfinite(losses[-1]):
                    raise DataError(
                        f"the loss is {losses[-1]} in epoch {len(losses)}; lower learning_rate "
                        f"({self.options.learning_rate}) or look for extreme weights in the interactions"
                    )
                advance(note=f"loss {losses[-1]:.4f}")
                if stop is not None and stop():
                    break
        return losses

    def _step(self, users: Tensor, workers: Crew) -> float:
        items, batch = self._batch(users)
        content = self.item.content(items, workers)
        kept = self._kept(len(content))
        ids = self.item.ids if items is None else self.item.ids[items]
        vectors = content + (ids if kept is None else torch.where(kept, ids, self.unknown))
        people = (
            self.user.ids[users] + self.user.content(users, workers) if self.user.has_features else self.user.ids[users]
        )
        person, pooled = people[batch.owner], self._pooled(batch, content)
        if pooled is not None:
            person[:, :-1] += pooled[0]
        loss, d_person, d_vectors = self._scored(batch, person, vectors, workers)
        d_people = torch.zeros_like(people).index_add_(0, batch.owner, d_person)
        d_content = d_vectors
        if pooled is not None:
            d_content = d_vectors.clone()
            d_content[:, :-1] += self._unpooled(batch, d_person[:, :-1], pooled[1])
        self._update(batch, items, kept, (d_people, d_vectors, d_content), workers)
        return loss

    def _batch(self, users: Tensor) -> tuple[Tensor | None, Batch]:
        """The step's items (None: all) and the batch over them."""
        mine = self.history.rows(users)
        n_items, wanted = mine.n_columns, self.options.negatives
        owner, row, order = self._rows(mine)
        if wanted >= n_items:
            return None, Batch(users, owner, row, mine.column[order], mine.value[order], mine, None, 1.0)
        drawn = torch.randperm(n_items, generator=self.rng)[:wanted].to(users.device)
        items, at = torch.unique(torch.cat([mine.column, drawn]), return_inverse=True)
        column, negatives = at[: len(mine.column)], at[len(mine.column) :]
        local = Bag(mine.starts, column, mine.value, len(items))
        scale = n_items / wanted
        return items, Batch(users, owner, row, column[order], mine.value[order], local, negatives, scale)

    def _rows(self, mine: Bag) -> tuple[Tensor, Tensor, Tensor]:
        """(owner of each row, row of each pair, the pairs' order by row)."""
        person, folds = mine.row, self._folds
        if folds == 1:
            return (
                torch.arange(mine.n_rows, device=person.device),
                person,
                torch.arange(len(person), device=person.device),
            )
        shuffled = torch.argsort(
            person + torch.rand(len(person), generator=self.rng, dtype=torch.float64).to(person.device)
        )
        fold = torch.empty_like(person)
        fold[shuffled] = (torch.arange(len(person), device=person.device) - mine.starts[person]) % folds
        key = person * folds + fold
        order = torch.argsort(key, stable=True)
        distinct, row = torch.unique_consecutive(key[order], return_inverse=True)
        return distinct // folds, row, order

    @property
    def _folds(self) -> int:
        return self.options.folds if self.options.history and self.item.has_features else 1

    def _kept(self, n: int) -> Tensor | None:
        """(n, 1) whether an item shows its id, or features must do without it as for a cold item; None: all do."""
        share = self.options.id_dropout if self.item.has_features else 0.0
        if not share:
            return None
        return (torch.rand(n, 1, generator=self.rng) >= share).to(self.unknown.device)

    def _pooled(self, batch: Batch, content: Tensor) -> tuple[Tensor, Tensor] | None:
        """(r, factors) mean content of what each row's user has beside the row's items; and 1 / mass, (r, 1)."""
        if not (self.options.history and self.item.has_features):
            return None
        factors, own = content[:, :-1], batch.targets(batch.weight)
        mass = masses(batch.everything)[batch.owner] - masses(own)
        inverse = torch.where(mass > 1e-6, 1 / mass.clamp(min=1e-6), 0.0)[:, None]
        rest = batch.everything.sums(factors)[batch.owner] - own.sums(factors)
        return rest * inverse, inverse

    def _unpooled(self, batch: Batch, gradient: Tensor, inverse: Tensor) -> Tensor:
        """(t, factors) gradient of the content from that of the pooled rows."""
        rest = gradient * inverse
        person = rest.new_zeros(len(batch.users), rest.shape[1]).index_add_(0, batch.owner, rest)
        return batch.everything.transposed().sums(person) - batch.targets(batch.weight).transposed().sums(rest)

    def _scored(self, batch: Batch, person: Tensor, vectors: Tensor, workers: Crew) -> tuple[float, Tensor, Tensor]:
        """Summed loss, gradient of the rows' vectors, gradient of the items' vectors."""
        every = batch.negatives is None
        negatives = vectors if batch.negatives is None else vectors[batch.negatives]
        shards = self._shards(batch, person, len(negatives))
        done = workers.map(lambda shard: shard.score(vectors, negatives, every=every), shards)
        d_negatives = torch.stack([answer.negatives for answer in done]).sum(dim=0)
        if batch.negatives is not None:
            pull = batch.targets(torch.cat([answer.positive for answer in done])).transposed()
            d_negatives = pull.sums(with_one(person)).index_add_(0, batch.negatives, d_negatives)
        return sum(answer.loss for answer in done), torch.cat([answer.person for answer in done]), d_negatives

    def _shards(self, batch: Batch, person: Tensor, n_negatives: int) -> list[Shard]:
        """The batch's rows, cut so that one thread's scores stay in its cache."""
        cells = GPU_CELLS if person.is_cuda else CELLS
        rows = even_spans(batch.n_rows, max(1, cells // n_negatives))
        ends = torch.tensor([rows[0].start, *(part.stop for part in rows)], device=batch.row.device)
        bounds = torch.searchsorted(batch.row, ends).tolist()
        seeds = torch.randint(2**62, (len(rows),), generator=self.rng).tolist()
        known = batch.known()
        return [
            Shard(
                person=person[part],
                row=batch.row[start:stop] - part.start,
                item=batch.item[start:stop],
                weight=batch.weight[start:stop],
                known=known.rows(batch.owner[part]),
                scale=batch.scale,
                loss=self._loss(seed),
                user_bias=self.options.loss == "logistic",
            )
            for part, start, stop, seed in zip(rows, bounds, bounds[1:], seeds, strict=False)
        ]

    def _loss(self, seed: int) -> Loss:
        o = self.options
        if o.loss == "warp-kos":
            return warp_kos(o.kos_k, o.kos_n, torch.Generator().manual_seed(seed))
        return LOSSES[o.loss]

    def _update(
        self,
        batch: Batch,
        items: Tensor | None,
        kept: Tensor | None,
        gradients: tuple[Tensor, Tensor, Tensor],
        workers: Crew,
    ) -> None:
        o, step = self.options, self.optimiser.step
        d_people, d_vectors, d_content = gradients
        n_user = batch.everything.starts.diff()[:, None]
        n_item = torch.bincount(batch.item, minlength=len(d_vectors))[:, None]
        share = len(batch.item) / len(self.history.column)
        rate, person_rate = self._rates(d_vectors)
        for weights, gradient in self.user.weight_gradients(batch.users, d_people, workers):
            step(weights, None, gradient, person_rate, share * o.l2_features, workers)
        for weights, gradient in self.item.weight_gradients(items, d_content, workers):
            step(weights, None, gradient, rate, share * o.l2_features, workers)
        penalty = o.l2 * _all_but_bias(d_vectors)
        if o.user_id:
            step(self.user.ids, batch.users, d_people, person_rate, n_user * penalty)
        if kept is not None and bool((~kept).any()):
            step(self.unknown, None, torch.where(kept, 0.0, d_vectors).sum(dim=0, keepdim=True), rate, 0.0)
        d_ids = d_vectors * self.item.id_mask
        step(self.item.ids, items, d_ids if kept is None else d_ids * kept, rate, n_item * penalty, workers)

    def _rates(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """(1, factors + 1) learning rates of the items' side and of the users'."""
        rate = like.new_full((1, like.shape[1]), self.options.learning_rate)
        rate[:, -1] = self.options.bias_learning_rate
        person = rate.clone()
        if self.options.loss != "logistic":
            person[:, -1] = 0  # moves no order, and a ranking loss sends it no gradient but rounding
        return rate, person


def _all_but_bias(like: Tensor) -> Tensor:
    mask = like.new_ones(1, like.shape[1])
    mask[:, -1] = 0
    return mask
