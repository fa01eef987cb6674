"""Every error stylerec raises on purpose, each also a fitting builtin.

Wording is always *what, got, expected, cure*, so that a message can be acted on without reading code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StylerecError(Exception):
    """Anything stylerec refuses on purpose; the command line turns it into one line and exit code 2."""


class DataError(StylerecError, ValueError):
    """A table, column or array that cannot be used."""


class ConfigError(StylerecError, ValueError):
    """A setting that is unknown, of the wrong type or out of range."""


class UnknownIdError(StylerecError, KeyError):
    """A user or item id that the catalogue or the model has never seen."""

    def __str__(self) -> str:
        return Exception.__str__(self)


class ArtifactError(StylerecError, ValueError):
    """A saved file that is missing, truncated, tampered with or from another version."""


class ImageError(StylerecError, ValueError):
    """A picture that cannot be decoded safely."""


class MissingExtraError(StylerecError, ImportError):
    """An optional package is needed; the message names the extra that brings it."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """Say that ``name`` is unknown and list what exists, closest first.

    Example:
        >>> unknown_name("metric", "recal", ["precision", "recall"])
        "unknown metric 'recal'; did you mean 'recall'? Known: recall, precision"
    """
    names = list(known)
    ranked = sorted(names, key=lambda n: -difflib.SequenceMatcher(None, str(name), n).ratio())
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown {kind} {name!r}; {hint}Known: {', '.join(ranked) or 'none'}"
