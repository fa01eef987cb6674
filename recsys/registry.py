"""Components by name: built-ins and third parties register the same way, through entry points."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from recsys.config import checked_options
from recsys.errors import ConfigError, unknown_name

Group = Literal["stylizers", "encoders", "text_encoders", "models"]


def names(group: Group) -> list[str]:
    """Registered names of a group (entry points ``stylerec.<group>``).

    Example:
        >>> "popularity" in names("models")
        True
    """
    return sorted({point.name for point in _points(group)})


def component(group: Group, name: str) -> Any:
    """The registered class or function itself, not yet called.

    Raises:
        ConfigError: The name is unknown.
    """
    for point in _points(group):
        if point.name == name:
            return point.load()
    raise ConfigError(unknown_name(group.removesuffix("s"), name, names(group)))


def _points(group: Group) -> tuple[EntryPoint, ...]:
    return _read(entry_points, f"stylerec.{group}", tuple(sys.path))


@lru_cache(maxsize=64)
def _read(read: Callable[..., Any], group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Reading the files of every installed package takes 20 ms; once for each search path is enough."""
    return tuple(read(group=group))


def create(group: Group, name: str, **options: Any) -> Any:
    """Make a registered component.

    Raises:
        ConfigError: The name is unknown, or an option does not exist or is of another type.
    """
    factory = component(group, name)
    try:
        return factory(**checked_options(factory, options, where=name))
    except TypeError as error:
        raise ConfigError(f"{name}: {error}") from error
