"""Approximate search behind the call of every model: filters stay exact, recall is measured on one's own data.

An index proposes candidates; they are scored exactly and filtered exactly. A list that comes short is searched again
exactly, and so is everything when few items are allowed: then exact search is the faster one anyway.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.config import from_mapping, to_mapping
from recsys.data.ids import IdMap
from recsys.data.recommendations import Recommendations
from recsys.errors import ArtifactError, ConfigError, DataError, unknown_name
from recsys.files import file_hash, read_json, stable_hash, write_json
from recsys.models.requests import (
    OnUnknown,
    allowed_mask,
    as_recommendations,
    check_allowed,
    check_index,
    known_index,
)
from recsys.retrieval.factors import Factors
from recsys.retrieval.index import INDEXES, Index, IndexConfig
from recsys.retrieval.recall import Recall, compare
from recsys.topk import Floats, Ints, Mask, check_k, stored, top_k

FORMAT = 1
BATCH = 4096
"""Queries a batch."""


class Factored(Protocol):
    """A fitted model whose scores are inner products."""

    @property
    def users(self) -> IdMap:
        """Users in index order."""
        ...

    @property
    def items(self) -> IdMap:
        """Items in index order."""
        ...

    @property
    def seen(self) -> sp.csr_array:
        """(n_users, n_items) CSR of what users have."""
        ...

    def factors(self) -> Factors | None:
        """The vectors, or None when scores have another form."""
        ...

    def top_items(
        self, user_idx: Ints, *, k: int, exclude_seen: bool = True, allowed: Mask | None = None
    ) -> tuple[Ints, Floats]:
        """Exact search."""
        ...


@dataclass(frozen=True)
class Limits:
    """When candidates are enough.

    Attributes:
        overfetch: Candidates asked for, as a multiple of the list length, what the user has seen coming on top.
        exact_below: So few allowed items are searched exactly.
        exact_share: So small a share of allowed items, too.
        most_candidates: A user for whom a larger share of all items would have to be candidates (few are allowed, or
            much is seen) is searched exactly.
    """

    overfetch: float = 2.0
    exact_below: int = 20_000
    exact_share: float = 0.1
    most_candidates: float = 0.1

    def __post_init__(self) -> None:
        if not 1 <= self.overfetch < np.inf:
            raise ConfigError(f"overfetch must be >= 1, got {self.overfetch}; it multiplies the list length")
        if self.exact_below < 0:
            raise ConfigError(f"exact_below must be >= 0, got {self.exact_below}; it counts items")
        for name in ("exact_share", "most_candidates"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must lie in [0, 1], got {getattr(self, name)}; it is a share of the items")


@dataclass(frozen=True, eq=False)
class Retriever:
    """A model's `recommend` and `top_items` through an approximate index.

    Attributes:
        fitted: The model; it answers what is searched exactly.
        factors: Its vectors.
        config: How the index was built.
        index: Finds candidates.
        limits: When candidates are enough.
    """

    fitted: Factored
    factors: Factors
    config: IndexConfig
    index: Index
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def of(cls, fitted: Factored, config: IndexConfig, *, limits: Limits | None = None) -> Retriever:
        """Index the items of a fitted model.

        Raises:
            ConfigError: The model's scores are no inner products.
            MissingExtraError: The index's library is not installed.
        """
        factors = _factors(fitted)
        index = config.build(factors.item_points())
        return cls(fitted, factors, config, index, limits or Limits())

    def recommend(
        self,
        users: Iterable[str],
        *,
        k: int,
        exclude_seen: bool = True,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] | None = None,
        on_unknown: OnUnknown = "raise",
    ) -> Recommendations:
        """As `recsys.models.fitted.FittedModel.recommend`.

        Raises:
            ConfigError: ``k`` is below 1.
            UnknownIdError: A user or item is unknown.
        """
        check_k(k)
        user_idx = known_index(self.fitted.users, users, "users", on_unknown)
        k = min(k, len(self.fitted.items))
        found, best = self.top_items(
            user_idx, k=k, exclude_seen=exclude_seen, allowed=allowed_mask(self.fitted.items, allow, deny)
        )
        return as_recommendations(self.fitted.users.ids[user_idx], self.fitted.items, found, best)

    def top_items(
        self, user_idx: npt.ArrayLike, *, k: int, exclude_seen: bool = True, allowed: Mask | None = None
    ) -> tuple[Ints, Floats]:
        """As `recsys.models.fitted.FittedModel.top_items`: (n, k) item indices and exact scores.

        Equal scores among candidates are ranked by item index.

        Raises:
            ConfigError: ``k`` is below 1.
            DataError: ``allowed`` has another length than the catalogue.
            UnknownIdError: An index lies outside the users.
        """
        return self._answer(check_index(user_idx, len(self.fitted.users)), k, exclude_seen, allowed)[:2]

    def measure(self, *, k: int, sample: int = 500, seed: int = 0, say: Callable[[str], None] = print) -> Recall:
        """Recall against exact search on ``sample`` of the model's users, said and returned.

        Raises:
            ConfigError: ``k`` or ``sample`` is below 1.
            DataError: There are no users.
        """
        check_k(k)
        n_users = len(self.fitted.users)
        if sample < 1 or not n_users:
            raise ConfigError(f"recall is measured on at least 1 user, got {sample} of {n_users}")
        users = np.sort(np.random.default_rng(seed).choice(n_users, min(sample, n_users), replace=False))
        start = time.perf_counter()
        exact, _ = self.fitted.top_items(users, k=k)
        middle = time.perf_counter()
        found, _, short = self._answer(users, k, True, None)
        seconds = time.perf_counter() - middle
        result = compare(found, exact, k, (middle - start) / seconds, float(short.mean()))
        say(f"{self.config.kind}: {result.to_text()}")
        return result

    def searches_exactly(self, allowed: Mask | None) -> bool:
        """Whether so few items are allowed that the index is not asked."""
        if allowed is None:
            return False
        n_allowed = int(np.count_nonzero(allowed))
        return n_allowed <= self.limits.exact_below or n_allowed < self.limits.exact_share * len(self.fitted.items)

    def save(self, folder: Path) -> None:
        """Write the index beside its description; the model itself is saved by the model."""
        write, unfinished = folder / "index.bin", folder / ".index.bin"
        folder.mkdir(parents=True, exist_ok=True)
        self.index.save(unfinished)
        os.replace(unfinished, write)
        about = {"format": FORMAT, "kind": self.config.kind, "config": to_mapping(self.config)}
        about |= {"limits": to_mapping(self.limits), "points": _digest(self.factors), "sha256": file_hash(write)}
        write_json(folder / "index.json", about | {"digest": stable_hash(about)})

    @classmethod
    def load(cls, folder: Path, fitted: Factored) -> Retriever:
        """Read what `save` wrote, for the model it was built from.

        Raises:
            ArtifactError: Missing, truncated, changed, newer, or built from other vectors.
        """
        factors, about = _factors(fitted), _read_about(folder)
        if about["points"] != _digest(factors):
            raise ArtifactError(f"{folder} was built from another model's item vectors; build the index again")
        try:
            config: IndexConfig = from_mapping(INDEXES[about["kind"]], about["config"], where="index")
            index = config.load(folder / "index.bin", factors.item_points().shape[1])
            limits = from_mapping(Limits, about["limits"], where="limits")
        except (ConfigError, DataError, KeyError, OSError, RuntimeError) as error:
            raise ArtifactError(f"{folder} cannot be read by this version ({error}); build the index again") from error
        return cls(fitted, factors, config, index, limits)

    def _answer(
        self, user_idx: Ints, k: int, exclude_seen: bool, allowed: Mask | None
    ) -> tuple[Ints, Floats, npt.NDArray[np.bool_]]:
        """Lists, scores, and who was answered by exact search."""
        check_k(k)
        n_items = len(self.fitted.items)
        allowed = check_allowed(allowed, n_items)
        if self.searches_exactly(allowed):
            found, best = self.fitted.top_items(user_idx, k=k, exclude_seen=exclude_seen, allowed=allowed)
            return found, best, np.ones(len(user_idx), bool)
        seen = self.fitted.seen if exclude_seen else None
        found, best = np.full((len(user_idx), k), -1, np.int64), np.full((len(user_idx), k), -np.inf, np.float32)
        wanted = self._wanted(user_idx, k, seen, allowed)
        asked = np.flatnonzero(wanted <= self.limits.most_candidates * n_items)
        for start in range(0, len(asked), BATCH):
            part = asked[start : start + BATCH]
            # Nine users of ten get all they need; the list of one with a longer history may come short.
            n = int(np.quantile(wanted[part], 0.9, method="higher"))
            found[part], best[part] = self._candidates(user_idx[part], k, n, seen, allowed)
        short = found[:, -1] < 0
        if short.any():
            found[short], best[short] = self.fitted.top_items(
                user_idx[short], k=k, exclude_seen=exclude_seen, allowed=allowed
            )
        return found, best, short

    def _wanted(self, user_idx: Ints, k: int, seen: sp.csr_array | None, allowed: Mask | None) -> Ints:
        """(n,) candidates that each user needs."""
        share = 1.0 if allowed is None else max(float(allowed.mean()), 1e-9)
        base = int(np.ceil(self.limits.overfetch * k / share))
        counts = np.zeros(len(user_idx), np.int64) if seen is None else np.diff(seen.indptr)[user_idx]
        return np.asarray(base + counts, np.int64)

    def _candidates(
        self, user_idx: Ints, k: int, n: int, seen: sp.csr_array | None, allowed: Mask | None
    ) -> tuple[Ints, Floats]:
        """The best of ``n`` that the index proposes, filtered and scored exactly."""
        columns = np.sort(self.index.search(self.factors.query_points(user_idx), n), axis=1)
        real = columns >= 0
        columns = np.maximum(columns, 0)
        keep = real if allowed is None else real & allowed[columns]
        if seen is not None:
            keep = keep & ~_is_stored(seen, user_idx, columns)
        index, best = top_k(np.where(keep, self.factors.pairs(user_idx, columns), np.float32(-np.inf)), k)
        return np.where(index >= 0, np.take_along_axis(columns, np.maximum(index, 0), axis=1), -1), best


def _factors(fitted: Factored) -> Factors:
    factors = fitted.factors()
    if factors is None:
        raise ConfigError("this model's scores are no inner products, so no index can find them; search it exactly")
    return factors


def _is_stored(seen: sp.csr_array, rows: Ints, columns: Ints) -> Mask:
    """(n, c) whether ``seen`` stores (rows[i], columns[i, j])."""
    owner, column = stored(seen, rows)
    width = seen.shape[1]
    return np.isin(np.arange(len(rows))[:, None] * width + columns, owner * width + column)


def _digest(factors: Factors) -> str:
    points = np.ascontiguousarray(factors.item_points())
    return stable_hash([*points.shape, hashlib.sha256(points.data).hexdigest()])


def _read_about(folder: Path) -> dict[str, Any]:
    about = read_json(folder / "index.json")
    if not isinstance(about, dict) or not isinstance(about.get("format"), int):
        raise ArtifactError(f"{folder} describes no index; build it again")
    if about["format"] > FORMAT:
        raise ArtifactError(
            f"{folder} has format {about['format']}, this version reads up to {FORMAT}; upgrade stylerec"
        )
    if about.get("digest") != stable_hash({k: v for k, v in about.items() if k != "digest"}):
        raise ArtifactError(f"{folder}/index.json was changed after it was written; build the index again")
    if about["kind"] not in INDEXES:
        raise ArtifactError(unknown_name("index", about["kind"], INDEXES))
    path = folder / "index.bin"
    if not path.is_file() or file_hash(path) != about["sha256"]:
        raise ArtifactError(f"{path} is missing, truncated or was changed; build the index again")
    return about
