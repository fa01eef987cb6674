"""A stylizer under decorators as data: one line of TOML, and a hash that is the same everywhere."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsys.config import from_mapping
from recsys.errors import ConfigError, unknown_name
from recsys.files import stable_hash
from recsys.registry import component, create
from style.base import Stylizer
from style.decorators.base import Decorated, Decorator, table_of
from style.decorators.blend import KeepColour, Strength
from style.decorators.cached import Cached
from style.decorators.guarded import Fallback, Guard
from style.decorators.region import BackgroundOnly, ProductOnly, Region
from style.decorators.tiled import Tiled
from style.masks import rebased

VERSION = 1
"""Raised when the same recipe would paint other pixels."""
DECORATORS: dict[str, type[Any]] = {
    "strength": Strength,
    "keep_colour": KeepColour,
    "region": Region,
    "background_only": BackgroundOnly,
    "product_only": ProductOnly,
    "tiled": Tiled,
    "cached": Cached,
    "guard": Guard,
    "fallback": Fallback,
}
NAMES = {kind: name for name, kind in DECORATORS.items()}
PATHS = {"region": "mask", "cached": "folder"}
"""Keys that are relative to the file they stand in."""


@dataclass(frozen=True)
class Recipe:
    """A registered stylizer, its options, and decorators from the innermost to the outermost.

    Attributes:
        stylizer: Registered name.
        options: Its parameters.
        decorators: Objects, or as in TOML: a name, or a table of one name and its keys.

    Example:
        >>> recipe = Recipe("colour.mkl", decorators=({"strength": {"share": 0.6}}, "keep_colour"))
        >>> recipe.line
        'stylizer = "colour.mkl", decorators = [{ strength = { share = 0.6 } }, { keep_colour = {} }]'
        >>> Recipe.parse("{ " + recipe.line + " }").key == recipe.key
        True
    """

    stylizer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    decorators: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "decorators", read_decorators(self.decorators, Path(), where=self.stylizer))
        component("stylizers", self.stylizer)

    @classmethod
    def parse(cls, line: str, base: Path | None = None) -> Recipe:
        """From one line of TOML, an inline table; paths are relative to ``base``.

        Raises:
            ConfigError: Not such a line, or an unknown name or key.
        """
        try:
            table = tomllib.loads(f"recipe = {line}")["recipe"]
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"a recipe is one line of TOML, {{ stylizer = … }}, got {line!r} ({error})") from error
        if not isinstance(table, Mapping):
            raise ConfigError(f"a recipe is a table, {{ stylizer = … }}, got {line!r}")
        given = dict(table)
        given["decorators"] = read_decorators(given.get("decorators", ()), base or Path(), where="recipe")
        return from_mapping(cls, given, where="recipe")

    @property
    def line(self) -> str:
        """As the inside of an inline TOML table, every key of a decorator said."""
        steps = [{NAMES[type(one)]: table_of(one)} for one in self.decorators]
        parts = {"stylizer": self.stylizer, "options": dict(self.options), "decorators": steps}
        return ", ".join(f"{key} = {_toml(value)}" for key, value in parts.items() if value)

    @property
    def key(self) -> str:
        """Stable hash of all that decides the pixels, but for photo, style and seed: files count by their content.

        Raises:
            ConfigError: A guard has a classifier, which only Python knows.
        """
        return self._keys()[-1]

    def make(self) -> Stylizer:
        """The stylizer, decorated."""
        made: Stylizer = create("stylizers", self.stylizer, **self.options)
        keep = any(isinstance(one, Cached) for one in self.decorators)
        keys = self._keys()[:-1] if keep else [""] * len(self.decorators)
        for decorator, key in zip(self.decorators, keys, strict=True):
            made = Decorated(made, decorator, key=key)
        return made

    def _keys(self) -> list[str]:
        """Of the bare stylizer, and after each decorator."""
        trained = getattr(component("stylizers", self.stylizer), "fingerprint", None)
        bare = [VERSION, self.stylizer, dict(self.options), None if trained is None else trained(self.options)]
        keys = [stable_hash(bare)]
        for one in self.decorators:
            keys.append(keys[-1] if isinstance(one, Cached) else stable_hash([keys[-1], *_marks(one)]))
        return keys


def _marks(decorator: Decorator) -> list[Any]:
    name, table = NAMES[type(decorator)], table_of(decorator)
    if table.get("classifier") is not None:
        raise ConfigError("a guard with a classifier of your own has no stable hash; leave cached outside of it")
    if name == "region":  # the file's content counts, not where it lies
        del table["mask"]
    return [name, table, getattr(decorator, "marks", list)()]


def decorate(stylizer: Stylizer, *decorators: Decorator, key: str = "") -> Stylizer:
    """Lay decorators over a stylizer of your own, the innermost first.

    Args:
        stylizer: Any.
        decorators: What to lay over it.
        key: What the stylizer is and how it was set, for `Cached`; must change with its options and weights.

    Example:
        >>> import numpy as np
        >>> mkl = create("stylizers", "colour.mkl")
        >>> photos = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
        >>> half = decorate(mkl, Strength(0.0))
        >>> bool((half.apply(photos, half.encode(photos[:1])) == photos).all())
        True
    """
    for one in decorators:
        stylizer = Decorated(stylizer, one, key=key)
        if key and not isinstance(one, Cached):
            key = stable_hash([key, *_marks(one)])
    return stylizer


def read_decorators(steps: Sequence[Any], base: Path, *, where: str) -> tuple[Decorator, ...]:
    """Decorators from TOML: names, or tables of one name and its keys; paths are relative to ``base``.

    Raises:
        ConfigError: An unknown name or key, or a value out of range.
    """
    if isinstance(steps, str) or not isinstance(steps, Sequence):
        raise ConfigError(
            f"{where}: decorators must be a list, got {steps!r}; write [{{ strength = {{ share = 0.6 }} }}]"
        )
    return tuple(one if type(one) in NAMES else _read_one(one, base, where) for one in steps)


def _read_one(step: Any, base: Path, where: str) -> Decorator:
    if isinstance(step, str):
        step = {step: {}}
    if not isinstance(step, Mapping) or len(step) != 1:
        raise ConfigError(f"{where}: a decorator is a name or a table of one name and its keys, got {step!r}")
    ((name, given),) = step.items()
    if name not in DECORATORS:
        raise ConfigError(f"{where}: {unknown_name('decorator', name, DECORATORS)}")
    if isinstance(given, Mapping) and "classifier" in given:
        raise ConfigError(f"{where}: {name}.classifier is for Python only; leave it out, or build the guard there")
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}: {name} takes a table of keys, got {given!r}; write {{ {name} = {{ … }} }}")
    table = dict(given)
    if name in PATHS and isinstance(table.get(PATHS[name]), str):
        table[PATHS[name]] = str(base / table[PATHS[name]])
    if name != "region" and isinstance(table.get("mask"), str):
        table["mask"] = rebased(table["mask"], base)
    made: Decorator = from_mapping(DECORATORS[name], table, where=f"{where} {name}")
    return made


def _toml(value: Any) -> str:
    """A value as inline TOML; what JSON writes of texts, numbers and booleans TOML reads."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items() if v is not None)
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _key(text: str) -> str:
    plain = text.replace("-", "").replace("_", "")
    return text if plain.isascii() and plain.isalnum() else json.dumps(text)
