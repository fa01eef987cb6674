"""Approximate indexes of inner products: one protocol, three libraries, each with the inner product done properly.

| index | library | inner product | same seed, same index |
|---|---|---|---|
| `Annoy` | annoy | angle between augmented points | yes: built on one thread |
| `HNSW` | hnswlib | its own: a graph of inner products | yes with ``threads=1`` |
| `IVF` | faiss | Euclidean distance between augmented points | yes |

"Augmented" is the reduction of `recsys.retrieval.factors.augmented`. A graph is better off without it (Morozov and
Babenko 2018, Non-metric Similarity Graphs for Maximum Inner Product Search): with augmented points hnswlib found 70 %
of what it finds now where item norms vary as popularity does. Clusters are better off with it than with faiss's own
inner product: 99 % instead of 84 % at the same probes. A bias is one more dimension of every point. What an index
finds are candidates: `recsys.retrieval.search` scores them exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from recsys.errors import ConfigError, DataError
from recsys.extras import require
from recsys.retrieval.factors import augmented, augmented_queries
from recsys.topk import Floats, Ints


class Index(Protocol):
    """Points in which neighbours are found."""

    def search(self, queries: Floats, n: int) -> Ints:
        """(len(queries), n) positions of points of (about) highest inner product, -1 past a short answer."""
        ...

    def save(self, path: Path) -> None:
        """Write the library's own binary file."""
        ...


class IndexConfig(Protocol):
    """How an index is built: a frozen dataclass, registered in `INDEXES`."""

    kind: ClassVar[str]

    def build(self, points: Floats) -> Index:
        """Index (n, d) points."""
        ...

    def load(self, path: Path, n_dims: int) -> Index:
        """Read what `Index.save` wrote of points with ``n_dims`` dimensions."""
        ...


@dataclass(frozen=True)
class Annoy:
    """Random projection trees: built once, opened in no time (the file is memory-mapped).

    Attributes:
        trees: More find more, and take more memory.
        effort: Nodes looked at per candidate and tree.
        seed: Of the splits.

    Source: Bernhardsson, Annoy (github.com/spotify/annoy).
    """

    kind: ClassVar[str] = "annoy"

    trees: int = 50
    effort: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        _check_positive(self, "trees", "effort")

    def build(self, points: Floats) -> Index:
        """One thread, so that the seed decides."""
        library = self._empty(points.shape[1] + 1)
        library.set_seed(self.seed)
        for number, point in enumerate(augmented(_checked(points)).tolist()):
            library.add_item(number, point)
        library.build(self.trees, n_jobs=1)
        return _AnnoyIndex(library, self)

    def load(self, path: Path, n_dims: int) -> Index:
        """Map the file."""
        library = self._empty(n_dims + 1)
        library.load(str(path))
        return _AnnoyIndex(library, self)

    def _empty(self, n_dims: int) -> Any:
        return require("annoy", extra="ann").AnnoyIndex(n_dims, "angular")


@dataclass(frozen=True, eq=False)
class _AnnoyIndex:
    library: Any
    config: Annoy

    def search(self, queries: Floats, n: int) -> Ints:
        found = np.full((len(queries), n), -1, np.int64)
        effort = int(self.config.effort * self.config.trees * n)
        for row, query in enumerate(augmented_queries(queries).tolist()):
            near = self.library.get_nns_by_vector(query, n, search_k=effort)
            found[row, : len(near)] = near
        return found

    def save(self, path: Path) -> None:
        self.library.save(str(path))


@dataclass(frozen=True)
class HNSW:
    """A graph of near neighbours in layers: the fastest answers, the slowest to build.

    Attributes:
        links: Neighbours of a point.
        build_effort: Candidates looked at when a point is added.
        effort: Candidates looked at when searching, as a multiple of what is asked for.
        threads: Of building. More than one is faster, and the graph then depends on their race.
        seed: Of the layers.

    Source: Malkov and Yashunin (2018), Efficient and Robust Approximate Nearest Neighbor Search Using Hierarchical
    Navigable Small World Graphs.
    """

    kind: ClassVar[str] = "hnsw"

    links: int = 16
    build_effort: int = 100
    effort: float = 2.0
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        _check_positive(self, "links", "build_effort", "effort", "threads")

    def build(self, points: Floats) -> Index:
        """Add the points in their order."""
        library = self._empty(points.shape[1])
        library.init_index(len(points), M=self.links, ef_construction=self.build_effort, random_seed=self.seed)
        library.add_items(_checked(points), num_threads=self.threads)
        return _HNSWIndex(library, self)

    def load(self, path: Path, n_dims: int) -> Index:
        """Read the graph."""
        library = self._empty(n_dims)
        library.load_index(str(path))
        return _HNSWIndex(library, self)

    def _empty(self, n_dims: int) -> Any:
        return require("hnswlib", extra="ann").Index("ip", n_dims)


@dataclass(frozen=True, eq=False)
class _HNSWIndex:
    library: Any
    config: HNSW

    def search(self, queries: Floats, n: int) -> Ints:
        known = int(self.library.element_count)
        width = min(n, known)
        self.library.set_ef(max(math.ceil(self.config.effort * n), width, 10))
        found = np.full((len(queries), n), -1, np.int64)
        try:
            found[:, :width] = self.library.knn_query(queries, width)[0]
        except RuntimeError as error:
            if "contiguous 2D array" not in str(error):
                raise
            # From one query the graph reaches fewer points than asked for: no answer for that one.
            if len(queries) > 1:
                return np.concatenate([self.search(query[None], n) for query in queries])
        return found

    def save(self, path: Path) -> None:
        self.library.save_index(str(path))


@dataclass(frozen=True)
class IVF:
    """Points in clusters, of which the nearest are searched.

    Attributes:
        clusters: How many; None is 4 √n.
        probes: Share of the clusters that are searched.
        seed: Of k-means.

    Source: Jégou, Douze, Schmid (2011), Product Quantization for Nearest Neighbor Search; Johnson et al. (2017), faiss.
    """

    kind: ClassVar[str] = "faiss"

    clusters: int | None = None
    probes: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        _check_positive(self, *(("clusters",) if self.clusters is not None else ()))
        if not 0 < self.probes <= 1:
            raise ConfigError(f"probes must lie in (0, 1], got {self.probes}; it is a share of the clusters")

    def build(self, points: Floats) -> Index:
        """K-means on at most 64 points a cluster, then every point to its cluster."""
        faiss = require("faiss", extra="ann")
        sphere = augmented(_checked(points))
        n, d = sphere.shape
        clusters = max(1, min(self.clusters or int(4 * math.sqrt(n)), n // 40))
        library = faiss.IndexIVFFlat(faiss.IndexFlatL2(d), d, clusters, faiss.METRIC_L2)
        library.cp.seed, library.cp.max_points_per_centroid, library.cp.min_points_per_centroid = self.seed, 64, 1
        library.train(sphere)
        library.add(sphere)
        return self._opened(library)

    def load(self, path: Path, n_dims: int) -> Index:
        """Read the clusters."""
        library = require("faiss", extra="ann").read_index(str(path))
        if library.d != n_dims + 1:
            raise DataError(f"{path} holds points of {library.d} dimensions, expected {n_dims + 1}; build it again")
        return self._opened(library)

    def _opened(self, library: Any) -> Index:
        library.nprobe = max(1, math.ceil(self.probes * library.nlist))
        return _FaissIndex(library)


@dataclass(frozen=True, eq=False)
class _FaissIndex:
    library: Any

    def search(self, queries: Floats, n: int) -> Ints:
        return np.asarray(self.library.search(augmented_queries(queries), n)[1], np.int64)

    def save(self, path: Path) -> None:
        require("faiss", extra="ann").write_index(self.library, str(path))


INDEXES: Mapping[str, type[Annoy] | type[HNSW] | type[IVF]] = {c.kind: c for c in (Annoy, HNSW, IVF)}
"""Kind → configuration."""


def _checked(points: Floats) -> Floats:
    if not len(points):
        raise DataError("there are no points to index; the catalogue is empty")
    if not np.isfinite(points).all():
        raise DataError("item vectors hold NaN or infinity; the model's parameters are damaged or have diverged")
    return points


def _check_positive(config: Any, *names: str) -> None:
    for name in names:
        if not 0 < getattr(config, name) < math.inf:
            raise ConfigError(f"{config.kind}: {name} must be > 0, got {getattr(config, name)}")
