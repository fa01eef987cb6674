"""Top-k for many requests at once: what arrives while one product is computed shares the next.

On 100,000 items × 64 factors a matrix product of 16 customers costs a third a customer of what 16 products cost, so
under load requests share it; alone, a request waits for nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsys.models.fitted import FittedModel
from recsys.models.ties import hash_order, top_k_fair
from recsys.topk import Floats, Ints

FEW = 4
"""Below this many customers BLAS is faster one by one."""
AT_ONCE = 32
"""Customers at a time: more would wait longer, and hardly cost less."""


@dataclass(frozen=True, eq=False)
class Question:
    """What one request asks.

    Attributes:
        user: Index of the customer.
        k: List length.
        exclude_seen: Leave out what the customer has.
        hidden: (h,) further items to leave out.
        only: Items that may be listed; None: all.
    """

    user: int
    k: int
    exclude_seen: bool = True
    hidden: Ints | None = None
    only: Ints | None = None


@dataclass(frozen=True, eq=False)
class Search:
    """Exact top-k of a fitted model, laid out for few customers at a time.

    Where scores are inner products, the items lie as (d [+ 1], n_items), so that a product writes whole rows.
    """

    fitted: FittedModel

    @cached_property
    def queries(self) -> Floats | None:
        """(n_users, d [+ 1]) customers' vectors, 1 where items have a bias; None where scores are no products."""
        factors = self.fitted.factors()
        if factors is None:
            return None
        ones = np.ones((len(factors.queries), 0 if factors.bias is None else 1), np.float32)
        return np.ascontiguousarray(np.hstack([factors.queries, ones]), np.float32)

    @cached_property
    def items(self) -> Floats | None:
        """(d [+ 1], n_items)."""
        factors = self.fitted.factors()
        return None if factors is None else np.ascontiguousarray(factors.item_points().T, np.float32)

    @cached_property
    def order(self) -> Ints:
        """Items in the order equal scores are listed in."""
        return hash_order(self.fitted.items)

    @cached_property
    def _memory(self) -> Floats:
        """Touched already: fresh memory costs as much as the product."""
        return np.zeros((AT_ONCE, len(self.fitted.items)), np.float32)

    def answer(self, questions: list[Question]) -> list[tuple[Ints, Floats]]:
        """The items and scores of at most `AT_ONCE` questions, best first; short lists are short.

        One thread at a time.

        Scores are rounded as the matrix product rounds them, so the last bit may depend on who asks at the same time.
        """
        k = min(max(q.k for q in questions), len(self.fitted.items))
        found, best = top_k_fair(
            lambda rows: self._scores([questions[row] for row in rows]),
            np.arange(len(questions)),
            k,
            n_columns=len(self.fitted.items),
            order=lambda: self.order,
        )
        lengths = [min(q.k, int((row >= 0).sum())) for q, row in zip(questions, found, strict=True)]
        return [(found[i, :n], best[i, :n]) for i, n in enumerate(lengths)]

    def _scores(self, questions: list[Question]) -> Floats:
        scores = self._products(questions)
        for row, q in zip(scores, questions, strict=True):
            if q.only is not None:
                allowed = row[q.only]
                row[:] = -np.inf
                row[q.only] = allowed
            if q.exclude_seen:
                seen = self.fitted.seen
                row[seen.indices[seen.indptr[q.user] : seen.indptr[q.user + 1]]] = -np.inf
            if q.hidden is not None:
                row[q.hidden] = -np.inf
        return scores

    def _products(self, questions: list[Question]) -> Floats:
        if self.queries is None or self.items is None:
            return self.fitted.scores([self.fitted.users.ids[q.user] for q in questions])
        vectors = self.queries[[q.user for q in questions]]
        out = self._memory[: len(vectors)]
        if len(vectors) < FEW:
            for row, vector in zip(out, vectors, strict=True):
                np.matmul(vector, self.items, out=row)
        else:
            np.matmul(vectors, self.items, out=out)
        return out
