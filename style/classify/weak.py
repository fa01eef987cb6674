"""Weak labels from text: keyword rules, one list of words a class."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recsys.config import from_mapping
from recsys.data.ids import IdMap
from recsys.errors import ConfigError
from style.classify.labels import Labels
from style.classify.logistic import Values


@dataclass(frozen=True)
class Rule:
    """Which titles speak for a class.

    Attributes:
        words: Whole words or phrases, in any case; ``*`` at an end stands for any letters.
        without: Words that make the rule silent.
        weight: How much a title with one of ``words`` speaks for the class, above 0.
    """

    words: tuple[str, ...]
    without: tuple[str, ...] = ()
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.words or not all(word.strip(" *") for word in (*self.words, *self.without)):
            raise ConfigError(
                f"a rule needs words that are not blank, got {list(self.words)} without {list(self.without)}"
            )
        if not 0 < self.weight < np.inf:
            raise ConfigError(f"a rule's weight must be above 0, got {self.weight}")


def read_rules(path: Path) -> dict[str, Rule]:
    """Class → rule from a TOML file of ``[class]`` tables.

    Raises:
        ConfigError: Not TOML, an unknown key, or fewer than two classes.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    rules = {name: from_mapping(Rule, table, where=name) for name, table in tables.items()}
    if len(rules) < 2:
        raise ConfigError(
            f"{path} needs rules for two classes or more, got {sorted(rules)}; write [name] tables with words"
        )
    return rules


def weak_labels(ids: Sequence[str] | IdMap, texts: Iterable[str], rules: Mapping[str, Rule]) -> Labels:
    """Soft labels: each rule that fires votes with its weight; a text where none fires stays unlabelled.

    Where several classes have votes the label is shared in their proportion; equal votes of all classes say nothing.

    Example:
        >>> rules = {"ethnic": Rule(("kurta*", "saree")), "sports": Rule(("running",), without=("kurta*",))}
        >>> weak_labels("abc", ["Red Kurtas", "Running shoe", "Bag"], rules).codes.tolist()
        [0, 1, -1]
    """
    items = ids if isinstance(ids, IdMap) else IdMap.of(ids)
    lower = [str(text).lower() for text in texts]
    columns = [[rule.weight * _fires(rule, text) for text in lower] for rule in rules.values()]
    votes: Values = np.asarray(columns, np.float64).reshape(len(rules), len(lower)).T
    known = (votes.max(axis=1, initial=0) > 0) & (votes.max(axis=1, initial=0) > votes.min(axis=1, initial=np.inf))
    shares = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1e-12)
    return Labels(items, tuple(rules), (shares * known[:, None]).astype(np.float32), known)


def _fires(rule: Rule, text: str) -> bool:
    return bool(_pattern(rule.words).search(text)) and not (rule.without and _pattern(rule.without).search(text))


def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    parts = [re.escape(word.strip().lower()).replace(r"\*", r"\w*").replace(r"\ ", r"\s+") for word in words]
    return re.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)")
