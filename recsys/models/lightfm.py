"""The classic hybrid, trained by the `lightfm` package, for those who need exactly it.

Source: Kula (2015), Metadata Embeddings for User and Item Cold-start Recommendations; a score is

    score(u, i) = <p_u, q_i> + b_u + b_i      p, q and b each the sum of what was learned of the id and of every feature

It visits every non-zero feature of every sampled pair, so dense blocks are slow; `recsys.models.hybrid` has the same
hypotheses and multiplies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureTable, Matrix
from recsys.data.ids import IdMap
from recsys.errors import ConfigError, DataError, unknown_name
from recsys.explain.contributions import AVERAGE, ITSELF, Contributions, Question, Term, Terms, bilinear
from recsys.explain.terms import feature_terms
from recsys.extras import require
from recsys.models.base import Scores
from recsys.models.blocks import BlockTransform, check_block_options, fit_transforms, pack_transforms, unpack_transforms
from recsys.models.fitted import Arrays, FittedModel, as_seen, fitted_base, learnable, with_average_user
from recsys.models.folding import place, place_items, take_rows
from recsys.models.matrices import for_cython
from recsys.models.options import check_counts, check_not_negative
from recsys.progress import progress
from recsys.retrieval.factors import Factors
from recsys.topk import Ints

LOSSES = ("warp", "warp-kos", "bpr", "logistic")


@dataclass(frozen=True, eq=False)
class Side:
    """Users, or items: what is learned of them. Every row is a vector and, in the last column, a bias.

    Attributes:
        ids: (n, factors + 1) of the id alone; zero where there was nothing to learn it from.
        weights: (n_columns, factors + 1) of each column of the normalised feature blocks.
        total: (n, factors + 1) ids + features times weights.
        transforms: The blocks' normalisation.
    """

    ids: Scores
    weights: Scores
    total: Scores
    transforms: tuple[BlockTransform, ...]

    @classmethod
    def of(cls, ids: Scores, weights: Scores, transforms: tuple[BlockTransform, ...], table: FeatureTable) -> Side:
        """The sum of ids and the table's features."""
        return cls(ids, weights, ids + _features(transforms, table, len(ids)) @ weights, transforms)

    def with_ids(self, ids: Scores, table: FeatureTable) -> Side:
        """Other rows (or features) under what was learned of features."""
        return Side.of(ids, self.weights, self.transforms, table)

    @property
    def vectors(self) -> Scores:
        """(n, factors)."""
        return self.total[:, :-1]

    @property
    def bias(self) -> Scores:
        """(n,)."""
        return self.total[:, -1]

    def terms(self, itself: Term, table: FeatureTable, row: int) -> Terms:
        """What a row is the sum of: its id, called ``itself``, and its features."""
        terms = Terms((itself,), self.ids[[row]].astype(np.float64))
        if not self.transforms:
            return terms
        weights = np.split(self.weights, np.cumsum([t.n_out for t in self.transforms])[:-1])
        return terms + feature_terms(self.transforms, weights, table, row)

    def arrays(self, name: str) -> Arrays:
        """For an artifact."""
        packed = {part: getattr(self, part) for part in ("ids", "weights", "total")} | pack_transforms(self.transforms)
        return {f"{name}.{part}": array for part, array in packed.items()}

    @classmethod
    def from_arrays(cls, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Side:
        """The inverse of `arrays`."""
        mine = {n.removeprefix(f"{name}."): a for n, a in arrays.items() if n.startswith(f"{name}.")}
        return cls(mine["ids"], mine["weights"], mine["total"], unpack_transforms(mine))


@dataclass(frozen=True, eq=False)
class FittedLightFM(FittedModel):
    """Sums of embeddings on either side; a cold item is its features alone, a user without history the average id.

    Attributes:
        user_side: What is learned of users.
        item_side: What is learned of items.
    """

    model: ClassVar[str] = "lightfm"
    user_side: Side
    item_side: Side

    def with_item_features(self, table: FeatureTable) -> FittedLightFM:
        """The same users and weights looking at other pictures: items are summed anew.

        Raises:
            DataError: A block is missing or has other columns.
            UnknownIdError: The table lacks an item.
        """
        return replace(self, item_side=self.item_side.with_ids(self.item_side.ids, table.align(self.items)))

    def partial_fit(self, dataset: Dataset) -> Self:
        """Features weigh as learned; known ids keep what was learned of them, new ones get it by `fold_in`.

        New users first, from the known items they have; then items without an id embedding, from who has them.

        Raises:
            DataError: A block is missing or has other columns.
        """
        seen = as_seen(dataset.matrix)
        item_ids = take_rows(self.item_side.ids, self.items.positions(dataset.items.ids))
        known_items = self.item_side.with_ids(item_ids, dataset.item_features)
        before = self.users.positions(dataset.users.ids)
        user_ids = take_rows(self.user_side.ids, before)
        user_ids[before < 0] = self._placed(sp.csr_array(seen[before < 0]), known_items)
        users = self.user_side.with_ids(user_ids, dataset.user_features)
        place_items(item_ids, seen, users.vectors)
        items = self.item_side.with_ids(item_ids, dataset.item_features)
        return replace(self, **fitted_base(self.config, dataset), user_side=users, item_side=items)

    def _placed(self, history: sp.csr_array, items: Side) -> Scores:
        return place(self.seen, self.item_side.vectors, self.user_side.ids, history, items.vectors)

    def _with_users(self, users: IdMap, history: sp.csr_array) -> Self:
        """Strangers have no features either: their id part is all there is."""
        ids = self._placed(history, self.item_side)
        side = replace(self.user_side, ids=ids, total=ids)
        return replace(self, users=users, seen=as_seen(history), user_side=side)

    def _score_block(self, user_idx: Ints) -> Scores:
        scores = self.user_side.vectors[user_idx] @ self.item_side.vectors.T
        scores += self.item_side.bias
        scores += self.user_side.bias[user_idx, None]
        return scores

    def factors(self) -> Factors:
        """Vectors and biases; a user's bias is one more dimension, in which every item is 1."""
        users, items = self.user_side, self.item_side
        ones = np.ones(len(items.total), np.float32)
        return Factors(users.total, np.column_stack([items.vectors, ones]), items.bias)

    def _item_vectors(self) -> Scores:
        return self.item_side.vectors

    def _user_vectors(self) -> Scores:
        return self.user_side.vectors

    def arrays(self) -> Arrays:
        """Both sides."""
        return self.user_side.arrays("user") | self.item_side.arrays("item")

    @classmethod
    def from_arrays(cls, base: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The inverse of `arrays`."""
        return cls(**base, user_side=Side.from_arrays("user", arrays), item_side=Side.from_arrays("item", arrays))

    def contributions(self, question: Question) -> Contributions:
        """Ids and features by block and named column, each with what it has learned."""
        data, table = question.dataset(self.model), question.shown_features(self.model)
        known = self.seen.indptr[question.user] < self.seen.indptr[question.user + 1]
        users = self.user_side.terms(ITSELF if known else AVERAGE, data.user_features, question.user)
        items = self.item_side.terms(ITSELF, table, question.item)
        return bilinear(users, items, self.item_side.total.mean(axis=0, dtype=np.float64))


@dataclass(frozen=True)
class LightFM:
    """LightFM with an id and every chosen feature block on either side; needs the extra ``lightfm``.

    Interaction weights are the package's sample weights; the k-OS loss knows none. Items nobody has do not take
    part in training: as negatives they would teach their features to be disliked.

    Attributes:
        factors: Latent dimensions.
        loss: ``warp``, ``warp-kos``, ``bpr`` or ``logistic`` (against as many random pairs, drawn anew every epoch).
        epochs: Passes over the interactions.
        learning_rate: AdaGrad's.
        item_l2: Penalty on item embeddings; the package finds even .0001 strong.
        user_l2: Penalty on user embeddings.
        max_sampled: Negatives tried for a WARP update.
        kos_k: k-OS: the k-th best …
        kos_n: … of so many sampled positives is updated.
        blocks: Item feature blocks to use; None uses all, () none.
        user_blocks: The same of users.
        weights: Item block name → length of its normalised rows; 1 where not named.
        max_dims: Principal directions kept of an embedding.
        whitening: 0 keeps an embedding's spread, 1 makes all kept directions equally wide.
        seed: Of everything random. One thread trains, so the result is always the same.

    Example:
        >>> LightFM(loss="wrap")
        Traceback (most recent call last):
        recsys.errors.ConfigError: unknown loss 'wrap'; did you mean 'warp'? Known: warp, warp-kos, bpr, logistic
    """

    uses_features: ClassVar[Literal["no", "optional", "required"]] = "optional"
    fitted: ClassVar[type[FittedLightFM]] = FittedLightFM

    factors: int = 64
    loss: Literal["warp", "warp-kos", "bpr", "logistic"] = "warp"
    epochs: int = 15
    learning_rate: float = 0.05
    item_l2: float = 0.0
    user_l2: float = 0.0
    max_sampled: int = 10
    kos_k: int = 5
    kos_n: int = 10
    blocks: tuple[str, ...] | None = None
    user_blocks: tuple[str, ...] | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    max_dims: int = 128
    whitening: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ConfigError(unknown_name("loss", self.loss, LOSSES))
        check_counts(self, "factors", "epochs", "max_sampled", "kos_k", "kos_n")
        if self.kos_k > self.kos_n:
            raise ConfigError(f"kos_k must be <= kos_n, got {self.kos_k} of {self.kos_n}")
        if not 0 < self.learning_rate < np.inf:
            raise ConfigError(f"learning_rate must be > 0, got {self.learning_rate}; the default is .05")
        check_not_negative(self, "item_l2", "user_l2")
        check_block_options(self.weights, self.max_dims, self.whitening)

    def fit(self, dataset: Dataset) -> FittedLightFM:
        """Descend on one thread.

        Raises:
            ConfigError: A weight names no block that is used.
            DataError: A named block is missing, no interaction has a positive weight, or the loss diverged.
            MissingExtraError: The package is not installed.
        """
        history = learnable(dataset)
        warm = np.flatnonzero(np.diff(sp.csc_array(history).indptr) > 0)
        with threadpool_limits(limits=1):
            items = self._transforms(dataset.item_features, self.blocks, self.weights)
            users = self._transforms(dataset.user_features, self.user_blocks, {})
            solver = self._trained(
                sp.csr_array(history[:, warm]),
                _with_ids(_features(users, dataset.user_features, len(dataset.users))),
                _with_ids(sp.csr_array(_features(items, dataset.item_features, len(dataset.items))[warm])),
            )
            user_rows = np.column_stack([solver.user_embeddings, solver.user_biases])
            item_rows = np.column_stack([solver.item_embeddings, solver.item_biases])
            user_ids = with_average_user(user_rows[: len(dataset.users)], history)
            item_ids: Scores = np.zeros((len(dataset.items), self.factors + 1), np.float32)
            item_ids[warm] = item_rows[: len(warm)]
            return FittedLightFM(
                **fitted_base(self, dataset),
                user_side=Side.of(user_ids, user_rows[len(dataset.users) :], users, dataset.user_features),
                item_side=Side.of(item_ids, item_rows[len(warm) :], items, dataset.item_features),
            )

    def _transforms(
        self, table: FeatureTable, blocks: Sequence[str] | None, weights: Mapping[str, float]
    ) -> tuple[BlockTransform, ...]:
        return fit_transforms(table, blocks, weights, max_dims=self.max_dims, whitening=self.whitening)

    def _trained(self, history: sp.csr_array, user_features: Any, item_features: Any) -> Any:
        """The package's model, trained."""
        # Before the package is asked: it draws from, and keeps, one legacy generator.
        random = np.random.RandomState(self.seed)
        solver = require("lightfm", extra="lightfm").LightFM(
            no_components=self.factors,
            loss=self.loss,
            k=self.kos_k,
            n=self.kos_n,
            learning_rate=self.learning_rate,
            item_alpha=self.item_l2,
            user_alpha=self.user_l2,
            max_sampled=self.max_sampled,
            random_state=random,
        )
        rng = np.random.default_rng(self.seed)
        with progress("lightfm", self.epochs) as advance:
            for epoch in range(self.epochs):
                pairs, weight = self._pairs(history, rng)
                try:
                    with np.errstate(invalid="ignore", over="ignore"):  # the package looks for what comes of it
                        solver.fit_partial(pairs, user_features, item_features, sample_weight=weight, num_threads=1)
                except ValueError as error:
                    if "finite" not in str(error):
                        raise
                    raise DataError(f"LightFM diverged after {epoch} epochs; lower learning_rate") from error
                advance()
        return solver

    def _pairs(self, history: sp.csr_array, rng: np.random.Generator) -> tuple[sp.coo_matrix, sp.coo_matrix | None]:
        """What the package trains on in one epoch, and the weights."""
        row, column = sp.coo_array(history).coords
        label, weight = np.ones(len(row), np.float32), history.data
        if self.loss == "logistic":
            other_row, other_column = _negatives(history, rng)
            row, column = np.concatenate([row, other_row]), np.concatenate([column, other_column])
            label = np.concatenate([label, np.full(len(other_row), -1, np.float32)])
            weight = np.concatenate([weight, np.ones(len(other_row), np.float32)])
        at = (row.astype(np.int32), column.astype(np.int32))
        pairs = sp.coo_matrix((label, at), shape=history.shape)
        if self.loss == "warp-kos":
            return pairs, None
        return pairs, sp.coo_matrix((weight, at), shape=history.shape)


def _negatives(history: sp.csr_array, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """About as many random pairs as there are interactions, none of them one, none twice."""
    n_items = history.shape[1]
    row, column = sp.coo_array(history).coords
    drawn = rng.choice(row, len(row)).astype(np.int64) * n_items + rng.integers(0, n_items, len(row))
    fresh = np.setdiff1d(drawn, row.astype(np.int64) * n_items + column)
    return fresh // n_items, fresh % n_items


def _features(transforms: Sequence[BlockTransform], table: FeatureTable, n_rows: int) -> sp.csr_array:
    """(n, columns of all blocks) CSR, normalised."""
    blocks: list[Matrix] = [t.apply(table[t.name]) for t in transforms]
    empty = sp.csr_array((n_rows, 0), dtype=np.float32)
    joined: sp.csr_array = sp.hstack([empty, *(sp.csr_array(b) for b in blocks)], format="csr")
    return joined


def _with_ids(features: sp.csr_array) -> sp.csr_matrix:
    """A column for every row's id, then its features."""
    ids = sp.eye_array(features.shape[0], format="csr", dtype=np.float32)
    return for_cython(sp.csr_array(sp.hstack([ids, features], format="csr")))
