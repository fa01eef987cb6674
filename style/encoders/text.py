"""Words to feature rows: titles stand in where there is no photo. Offline by hashed TF-IDF and SVD, or any model."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from recsys.errors import ConfigError, DataError
from recsys.extras import require
from recsys.files import read_json
from recsys.registry import component, create, names
from style.encoders.hf import EXTRA, hf_folder, load_pretrained
from style.encoders.make import Spec
from style.encoders.trunk import choose_device

Rows = npt.NDArray[np.float32]
Fitted = Mapping[str, npt.NDArray[Any]]
"""What a text encoder learned from a catalogue: named arrays, empty where it learns nothing."""
BUCKETS = 2**20
WORD = re.compile(r"\w\w+")


class TextEncoder(Protocol):
    """Text → vector; what it learns from the catalogue is apart from it, so that it can be saved and used again."""

    name: str

    def fit(self, texts: Sequence[str]) -> Fitted:
        """What is learned from a catalogue's texts."""
        ...

    def encode(self, texts: Sequence[str], fitted: Fitted) -> Rows:
        """(n, d) float32, finite; what is blank has a row of zeros."""
        ...


class HashedTfidf:
    """Latent semantic analysis: hashed counts of words and word pairs, TF-IDF weights, a truncated SVD.

    Counts are damped, 1 + ln tf; idf = ln((1 + n) / (1 + df)) + 1; rows have length 1 before the projection. Words are
    lower-cased and have two letters or more. No network, no vocabulary to keep: a word falls into one of 2^20 buckets.

    Source: Deerwester et al., "Indexing by latent semantic analysis", 1990.

    Args:
        device: Not used.
        dims: Of a row; fewer where the catalogue has fewer texts or words.

    Raises:
        ConfigError: ``dims`` below 1.

    Example:
        >>> texts, lsa = ["floral dress", "floral summer dress", "leather boots"], HashedTfidf(dims=2)
        >>> a, b, c = lsa.encode(texts, lsa.fit(texts))
        >>> bool(a @ b > 10 * abs(a @ c))
        True
    """

    name = "tfidf"
    extra = ""
    about = "words of titles: TF-IDF and SVD, offline"

    def __init__(self, device: str = "auto", dims: int = 64) -> None:
        if dims < 1:
            raise ConfigError(f"tfidf.dims must be >= 1, got {dims}")
        self.dims = dims

    def fit(self, texts: Sequence[str]) -> Fitted:
        """``buckets`` (m,) that occur, their ``idf`` (m,) and the ``directions`` (m, dims).

        Raises:
            DataError: Fewer than two texts, or no words.
        """
        filled = [text for text in texts if text.strip()]
        counts = hashed_counts(filled)
        buckets = np.unique(counts.indices)
        if len(filled) < 2 or not len(buckets):
            raise DataError(
                f"tfidf: {len(filled)} texts with {len(buckets)} words; at least 2 texts with words are needed"
            )
        found = np.asarray((counts[:, buckets] > 0).sum(axis=0)).ravel()
        idf = np.log((1 + len(filled)) / (1 + found)) + 1
        return {"buckets": buckets.astype(np.int64), "idf": idf, "directions": self._directions(counts, buckets, idf)}

    def _directions(self, counts: sp.csr_array, buckets: npt.NDArray[Any], idf: npt.NDArray[Any]) -> Rows:
        weighted = _weighted(counts, buckets, idf)
        most = min(weighted.shape)
        if self.dims >= most - 1:
            right = np.linalg.svd(weighted.toarray(), full_matrices=False)[2][: self.dims]
        else:
            start = np.random.default_rng(0).normal(size=most)  # else scipy draws one, and rows differ from run to run
            _, values, vectors = svds(weighted, self.dims, v0=start)
            right = vectors[np.argsort(-values)]
        signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
        return np.ascontiguousarray((right * signs[:, None]).T, np.float32)

    def encode(self, texts: Sequence[str], fitted: Fitted) -> Rows:
        """See `TextEncoder`; words that the catalogue did not have count nothing."""
        weighted = _weighted(hashed_counts(texts), fitted["buckets"], fitted["idf"])
        return np.asarray(weighted @ fitted["directions"], np.float32)


def hashed_counts(texts: Sequence[str]) -> sp.csr_array:
    """(n, 2^20) how often each word and each pair of neighbouring words occurs."""
    place: dict[str, int] = {}
    found = [[place.setdefault(t, zlib.crc32(t.encode()) % BUCKETS) for t in _terms(text)] for text in texts]
    ends = np.cumsum([0, *map(len, found)])
    columns = np.fromiter((bucket for row in found for bucket in row), np.int64, int(ends[-1]))
    counts = sp.csr_array((np.ones(len(columns)), columns, ends), shape=(len(texts), BUCKETS))
    counts.sum_duplicates()
    return counts


def _terms(text: str) -> Iterator[str]:
    words = WORD.findall(text.lower())
    yield from words
    yield from (f"{a} {b}" for a, b in pairwise(words))


def _weighted(counts: sp.csr_array, buckets: npt.NDArray[Any], idf: npt.NDArray[Any]) -> sp.csr_array:
    """(n, m) TF-IDF of the known buckets, rows of length 1."""
    kept = counts[:, buckets]
    kept.data = 1 + np.log(kept.data)
    kept = kept.multiply(idf[None]).tocsr()
    length = np.sqrt(np.asarray(kept.power(2).sum(axis=1)).ravel())
    return sp.csr_array(sp.diags_array(1 / np.where(length > 0, length, 1)) @ kept)


class SentenceModel:
    """A text model of Hugging Face, sentence-transformers among them: the mean of its tokens, or its first token.

    Of CLIP and SigLIP it is the text's place in the space shared with images. Rows have length 1.

    Args:
        model: A folder as ``save_pretrained`` writes it, weights in safetensors; or ``owner/name`` of the hub.
        device: ``auto``, ``cpu`` or ``cuda``.
        batch: Texts at once.
        allow_download: Fetch a model of the hub that is not in its cache.

    Raises:
        ArtifactError: The model is not there or cannot be used.
        ConfigError: The folder asks for a layer that is not known here.
        MissingExtraError: transformers is not installed.
    """

    name = "hf"
    extra = EXTRA
    family = "FOLDER"
    about = "sentence models, and the text side of CLIP and SigLIP"

    def __init__(self, model: str, device: str = "auto", batch: int = 64, allow_download: bool = False) -> None:
        folder = hf_folder(model, allow_download=allow_download)
        self.first_token = _pools_first_token(Path(folder))
        self.tokenizer, self.module = load_pretrained("AutoTokenizer", folder), load_pretrained("AutoModel", folder)
        self.device, self.batch = choose_device(device), batch
        self.module.eval().requires_grad_(False).to(self.device)

    def fit(self, texts: Sequence[str]) -> Fitted:
        """Nothing is learned."""
        return {}

    def encode(self, texts: Sequence[str], fitted: Fitted) -> Rows:
        """See `TextEncoder`."""
        parts = [self._encode(texts[i : i + self.batch]) for i in range(0, len(texts), self.batch)]
        rows = np.concatenate(parts) if parts else self._encode([""])[:0]
        return _blank_zero(rows, texts)

    def _encode(self, texts: Sequence[str]) -> Rows:
        torch = require("torch", extra="core")
        siglip = "siglip" in str(getattr(self.module.config, "model_type", ""))  # it was trained on full length only
        given = self.tokenizer(
            list(texts), padding="max_length" if siglip else True, truncation=True, return_tensors="pt"
        ).to(self.device)
        with torch.inference_mode():
            shared = getattr(self.module, "get_text_features", None)
            if shared is not None:
                found = shared(**given)
                found = getattr(found, "pooler_output", found)
            else:
                seen = self.module(**given).last_hidden_state
                mask = given["attention_mask"][..., None]
                found = seen[:, 0] if self.first_token else (seen * mask).sum(1) / mask.sum(1).clamp(min=1)
            return cast(Rows, torch.nn.functional.normalize(found.float(), dim=1).cpu().numpy())


def _pools_first_token(folder: Path) -> bool:
    """What a sentence-transformers folder says of its pooling; another folder says nothing, and takes the mean."""
    if not (folder / "modules.json").exists():
        return False
    kinds = [str(module["type"]).rpartition(".")[2] for module in read_json(folder / "modules.json")]
    strange = set(kinds) - {"Transformer", "Pooling", "Normalize"}
    if strange:
        raise ConfigError(f"hf:{folder} has a layer {strange.pop()!r}; use its own package through `FunctionText`")
    pooling = folder / "1_Pooling" / "config.json"
    return bool(pooling.exists() and read_json(pooling).get("pooling_mode_cls_token"))


class FunctionText:
    """Any function of texts as an encoder, for use from Python.

    Example:
        >>> lengths = FunctionText("length", lambda texts: [[len(text)] for text in texts])
        >>> lengths.encode(["ab", ""], lengths.fit([])).tolist()
        [[2.0], [0.0]]
    """

    def __init__(self, name: str, function: Callable[[Sequence[str]], npt.ArrayLike]) -> None:
        self.name, self._function = name, function

    def fit(self, texts: Sequence[str]) -> Fitted:
        """Nothing is learned."""
        return {}

    def encode(self, texts: Sequence[str], fitted: Fitted) -> Rows:
        """See `TextEncoder`."""
        return _blank_zero(np.array(self._function(texts), np.float32), texts)


def encode_texts(encoder: TextEncoder, texts: Sequence[str], fitted: Fitted) -> Rows:
    """The rows, checked.

    Raises:
        DataError: The encoder answers other than finite (n, d) rows.
    """
    rows = np.asarray(encoder.encode(texts, fitted), np.float32)
    if rows.ndim != 2 or len(rows) != len(texts):
        raise DataError(f"text encoder {encoder.name!r} answered shape {rows.shape} for {len(texts)} texts")
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        first = texts[int(np.argmin(finite))]
        raise DataError(f"text encoder {encoder.name!r} answered NaN or infinite values, first for {first!r}")
    return rows


def _blank_zero(rows: Rows, texts: Sequence[str]) -> Rows:
    rows[[i for i, text in enumerate(texts) if not text.strip()]] = 0
    return rows


@lru_cache(maxsize=1)
def _known() -> tuple[str, ...]:
    return tuple(names("text_encoders"))


def is_text_encoder(text: str) -> bool:
    """Whether a registered encoder of texts is meant.

    Example:
        >>> is_text_encoder("tfidf"), is_text_encoder("gram")
        (True, False)
    """
    return Spec.read(text).name in _known()


def make_text_encoder(text: str, *, device: str = "auto", base: Path | None = None, **options: Any) -> TextEncoder:
    """The text encoder that ``text`` means: ``tfidf``, or ``hf:FOLDER``.

    Raises:
        ConfigError: An unknown encoder, a family without a model, or a wrong option.
    """
    spec = Spec.read(text)
    factory = component("text_encoders", spec.name)
    if getattr(factory, "family", "") and not spec.model:
        raise ConfigError(f"text encoder {spec.name!r} is a family; write {spec.name}:{factory.family}")
    wanted = spec.options() | options
    if base is not None and spec.model and (base / spec.model).exists():
        wanted["model"] = str(base / spec.model)
    made: TextEncoder = create("text_encoders", spec.name, device=device, **wanted)
    return made
