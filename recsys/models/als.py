"""Implicit-feedback matrix factorisation by alternating least squares, solved by the `implicit` package.

Source: Hu, Koren, Volinsky (2008), Collaborative Filtering for Implicit Feedback Datasets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.dataset import Dataset
from recsys.data.ids import IdMap
from recsys.errors import ConfigError, DataError
from recsys.explain.contributions import ITSELF, Contributions, Question, Terms, bilinear
from recsys.explain.terms import average_user, least_squares, past_terms
from recsys.models.base import Scores
from recsys.models.fitted import FittedModel, as_seen, evidence, fitted_base, learnable, with_average_user, with_weights
from recsys.models.folding import carried, changed_rows, mean_of, take_rows
from recsys.models.matrices import for_cython
from recsys.models.options import DEVICES, check_choice
from recsys.retrieval.factors import Factors
from recsys.topk import Ints, Mask


@dataclass(frozen=True, eq=False)
class FittedALS(FittedModel):
    """User and item factors; an item nobody bought has a zero vector and scores 0 with everybody.

    Attributes:
        user_factors: (n_users, factors) float32; a user without history is the average user.
        item_factors: (n_items, factors) float32.
        weight: (seen.nnz,) float32, the interaction weights in the order of ``seen``.
    """

    model: ClassVar[str] = "als"
    user_factors: Scores
    item_factors: Scores
    weight: npt.NDArray[np.float32]

    def partial_fit(self, dataset: Dataset) -> Self:
        """New and changed users are solved against the known items, then new items against all users.

        Each is one exact least-squares problem (eq. 4 of the paper). Users whose history is the same as before keep
        their factors to the last bit, and so do items that had any interaction before. A user whose whole history is
        of new items is the average user. Where weights decay with time, a later dataset changes every user.

        Raises:
            DataError: A problem has no finite solution (raise ``regularization``).
        """
        history = evidence(dataset.matrix)
        users, had_evidence = self._solved_users(dataset, history, item_factors := self._known_items(dataset.items))
        lacking = ~item_factors.any(axis=1) & (np.diff(sp.csc_array(history).indptr) > 0)
        taught = np.where(had_evidence[:, None], users, np.float32(0))
        item_factors[lacking] = _solve(self.config, sp.csr_array(history.T)[lacking], taught)
        base = fitted_base(self.config, dataset)
        return replace(self, **base, user_factors=users, item_factors=item_factors, weight=history.data)

    def _known_items(self, items: IdMap) -> Scores:
        return take_rows(self.item_factors, self.items.positions(items.ids))

    def _solved_users(self, dataset: Dataset, history: sp.csr_array, item_factors: Scores) -> tuple[Scores, Mask]:
        """Factors of the dataset's users, and which of them rest on anything."""
        before = self.users.positions(dataset.users.ids)
        old = carried(with_weights(self.seen, self.weight), (self.users, dataset.users), (self.items, dataset.items))
        there = sp.csr_array(history[:, self.items.positions(dataset.items.ids) >= 0])
        known: Mask = (before >= 0) & self._has_history[before]
        solve = (before < 0) | changed_rows(old, history) | (~known & (np.diff(there.indptr) > 0))
        users = take_rows(self.user_factors, before)
        users[solve], rests = self._fold_in(history[solve], item_factors)
        known[solve] = rests
        return users, known

    def _fold_in(self, history: sp.csr_array, item_factors: Scores) -> tuple[Scores, Mask]:
        """Exact factors of these histories, the average user's where no item of theirs has factors."""
        solved = _solve(self.config, history, item_factors)
        rests = np.asarray(history @ np.asarray(item_factors.any(axis=1), np.float32)) > 0
        return np.where(rests[:, None], solved, mean_of(self.user_factors, self._has_history)), rests

    def _with_users(self, users: IdMap, history: sp.csr_array) -> Self:
        factors, _ = self._fold_in(history, self.item_factors)
        return replace(self, users=users, seen=as_seen(history), user_factors=factors, weight=history.data)

    def _score_block(self, user_idx: Ints) -> Scores:
        return self.user_factors[user_idx] @ self.item_factors.T

    def factors(self) -> Factors:
        """User and item factors."""
        return Factors(self.user_factors, self.item_factors)

    def _item_vectors(self) -> Scores:
        return self.item_factors

    def _user_vectors(self) -> Scores:
        return self.user_factors

    def contributions(self, question: Question) -> Contributions:
        """The user's factors as the sum of what each past item adds to their least-squares solution (sec. 5).

        Training alternates a fixed number of times with approximate solutions; how far it stopped from the exact one
        is a term of its own.
        """
        person = self.user_factors[question.user]
        history = with_weights(self.seen, self.weight)[[question.user]]
        if not history.nnz:
            return self._split(average_user(person), question.item)
        factors, confidence = self.item_factors.astype(np.float64), self.config.alpha * history.data
        gram = factors.T @ factors + self.config.regularization * np.eye(factors.shape[1])
        own = factors[history.indices]
        # c - 1 beyond what every item counts on the left, c on the right.
        parts = least_squares(gram, own, confidence - 1, own * confidence[:, None])
        return self._split(past_terms(self.items.decode(history.indices), parts).and_rest([*person, 0]), question.item)

    def _split(self, users: Terms, item: int) -> Contributions:
        average = [*self.item_factors.mean(axis=0), 0]
        return bilinear(users, Terms.of((ITSELF,), self.item_factors[[item]]), average)


@dataclass(frozen=True)
class ALS:
    """Weighted matrix factorisation with confidence ``alpha · weight``.

    Attributes:
        factors: Latent dimensions.
        regularization: L2 penalty on the factors.
        alpha: Confidence per unit of interaction weight.
        iterations: Alternations.
        seed: Of the starting factors. On a CPU the result does not depend on the number of threads.
        device: ``auto`` trains on a GPU where the ``implicit`` package was built for one and finds it; ``cpu``,
            ``cuda``. New users and items are always solved on the CPU.
    """

    uses_features: ClassVar[Literal["no", "optional", "required"]] = "no"
    fitted: ClassVar[type[FittedALS]] = FittedALS

    factors: int = 64
    regularization: float = 0.01
    alpha: float = 1.0
    iterations: int = 15
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        check_choice(self, "device", DEVICES)
        if self.factors < 1 or self.iterations < 1:
            raise ConfigError(f"factors and iterations must be >= 1, got {self.factors} and {self.iterations}")
        if not (0 <= self.regularization < np.inf and 0 < self.alpha < np.inf):
            raise ConfigError(
                f"regularization must be >= 0 and alpha > 0, "
                f"got {self.regularization} and {self.alpha}; defaults are .01 and 1"
            )

    def fit(self, dataset: Dataset) -> FittedALS:
        """Alternate; ids only, features are not looked at.

        Raises:
            DataError: No interaction has a positive weight, or the factors are not finite (raise ``regularization``).
        """
        history = learnable(dataset)
        with _one_blas_thread():
            solver = _solver(self, gpu=on_gpu(self.device, "HAS_CUDA", "HAS_RMM"))
            users, items = fit_finite(solver, history, "raise regularization or lower alpha")
        return FittedALS(
            **fitted_base(self, dataset),
            user_factors=with_average_user(users, history),
            item_factors=items,
            weight=history.data,
        )


def fit_finite(solver: Any, history: sp.csr_array, cure: str) -> tuple[Scores, Scores]:
    """User and item factors of a trained model of the `implicit` package.

    Raises:
        DataError: They are not finite.
    """
    from implicit.recommender_base import ModelFitError

    try:
        solver.fit(for_cython(history), show_progress=False)
        users, items = _on_cpu(solver.user_factors), _on_cpu(solver.item_factors)
        finite = bool(np.isfinite(users).all() and np.isfinite(items).all())
    except ModelFitError:  # what the package says of NaN; of infinity it says nothing
        finite = False
    if not finite:
        raise DataError(f"training diverged to non-finite factors; {cure}")
    return users, items


def on_gpu(device: str, *needs: str) -> bool:
    """Whether to train on a GPU, which the `implicit` package must have been built for.

    Raises:
        ConfigError: ``cuda`` is asked for and cannot be had.
    """
    import implicit.gpu

    able = all(getattr(implicit.gpu, flag, False) for flag in needs)
    if device == "cuda" and not able:
        raise ConfigError(
            "device is cuda, but the installed implicit package has no CUDA or finds no GPU; use device = 'auto', or "
            "install implicit from conda-forge with implicit-proc=*=gpu"
        )
    return able and device != "cpu"


def _on_cpu(factors: Any) -> Scores:
    return np.asarray(factors.to_numpy() if hasattr(factors, "to_numpy") else factors)


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """BLAS threads would contend with the solver's own, and change the last bits with their number."""
    import implicit.cpu.als  # noqa: F401  (only a BLAS that is loaded can be limited)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield


def _solver(config: ALS, *, gpu: bool = False) -> Any:
    # Imported here: it looks for a BLAS when imported, which costs users of other models time.
    if gpu:
        from implicit.gpu.als import AlternatingLeastSquares
    else:
        from implicit.cpu.als import AlternatingLeastSquares

    return AlternatingLeastSquares(
        factors=config.factors,
        regularization=config.regularization,
        alpha=config.alpha,
        iterations=config.iterations,
        random_state=config.seed,
        dtype=np.float32,
    )


def _solve(config: ALS, rows: sp.csr_array, factors: Scores) -> Scores:
    """(n, factors) exact factors of ``rows`` given the other side's; the problem is the same on both sides."""
    if not rows.shape[0]:
        return np.empty((0, factors.shape[1]), np.float32)
    with _one_blas_thread():
        solver = _solver(config)
        solver.item_factors = factors
        try:
            solved = np.asarray(solver.recalculate_user(np.arange(rows.shape[0]), for_cython(rows)))
        except ValueError as error:
            raise DataError(f"ALS cannot place new users or items ({error}); raise regularization") from error
    if not np.isfinite(solved).all():
        raise DataError("ALS placed new users or items at non-finite factors; raise regularization or lower alpha")
    return solved
