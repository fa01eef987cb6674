"""TOML tables become frozen dataclasses; an unknown key or a wrong type is an error with a suggestion."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from recsys.errors import ConfigError, unknown_name

T = TypeVar("T")


def from_mapping(cls: type[T], mapping: Mapping[str, Any], *, where: str = "") -> T:
    """Build the dataclass ``cls`` from a (possibly nested) mapping such as a parsed TOML table.

    Args:
        cls: A dataclass; its fields may be dataclasses, ``tuple[X, ...]``, ``Mapping[str, X]`` and ``X | None``.
        mapping: Keys are field names; a missing key takes the field's default.
        where: The dotted path of this table, for messages.

    Raises:
        ConfigError: An unknown or missing key, or a value of the wrong type.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Split:
        ...     kind: str = "time"
        ...     quantile: float = 0.8
        >>> from_mapping(Split, {"quantile": 0.7})
        Split(kind='time', quantile=0.7)
        >>> from_mapping(Split, {"quantil": 0.7}, where="split")
        Traceback (most recent call last):
        recsys.errors.ConfigError: unknown key in [split] 'quantil'; did you mean 'quantile'? Known: quantile, kind
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"[{where}] must be a table, got {mapping!r}")
    fields = {f.name: f for f in dataclasses.fields(typing.cast(Any, cls)) if f.init}
    place = f"[{where}]" if where else "the top level"
    for key in mapping:
        if key not in fields:
            raise ConfigError(unknown_name(f"key in {place}", key, fields))
    hints = typing.get_type_hints(cls)
    values = {key: _convert(hints[key], value, _join(where, key)) for key, value in mapping.items()}
    missing = [name for name, f in fields.items() if name not in values and _is_required(f)]
    if missing:
        raise ConfigError(f"{place} misses {', '.join(missing)}; add {missing[0]} = …")
    return cls(**values)


def checked_options(factory: Any, options: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Options of a class or function by the names and types of its parameters, as `from_mapping` has it.

    Where a class passes ``**options`` on, its bases' parameters count; where nobody says what there may be, all may.

    Raises:
        ConfigError: An unknown option, or a value of the wrong type.

    Example:
        >>> def paint(*, steps: int = 60, layers: tuple[str, ...] = ()): ...
        >>> checked_options(paint, {"layers": ["stage1"]}, where="paint")
        {'layers': ('stage1',)}
        >>> checked_options(paint, {"step": 3}, where="paint")
        Traceback (most recent call last):
        recsys.errors.ConfigError: paint: unknown option 'step'; did you mean 'steps'? Known: steps, layers
    """
    hints, any_name = _parameters(factory)
    for key in options:
        if key not in hints and not any_name:
            raise ConfigError(f"{where}: {unknown_name('option', key, hints)}")
    return {key: _convert(hints.get(key, Any), value, f"{where}.{key}") for key, value in options.items()}


def _parameters(factory: Any) -> tuple[dict[str, Any], bool]:
    """Type of each parameter, and whether any other name is taken, too."""
    found: dict[str, Any] = {}
    makers = [c.__init__ for c in getattr(factory, "__mro__", ()) if "__init__" in vars(c) and c is not object]
    for maker in makers or [factory]:
        parameters, hints = inspect.signature(maker).parameters, _hints(maker)
        keys = [k for k, p in parameters.items() if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD) and k != "self"]
        found = {k: hints.get(k, Any) for k in keys} | found
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return found, False
    return found, True


def _hints(maker: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(maker)
    except NameError:  # names that another package imports for its type checker alone: it must check for itself
        return {}


def to_mapping(config: Any) -> dict[str, Any]:
    """The inverse of `from_mapping`: plain dicts and lists, ``None`` left out (TOML has no null)."""
    return typing.cast("dict[str, Any]", _plain(config))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _convert_union(args, value, where)
    if origin is typing.Literal:
        if value not in args:
            raise ConfigError(f"{where}: {unknown_name('value', value, [str(a) for a in args])}")
        return value
    if dataclasses.is_dataclass(hint):
        return (
            value
            if isinstance(value, typing.cast(type, hint))
            else from_mapping(typing.cast(type, hint), value, where=where)
        )
    if origin is tuple:
        return _convert_tuple(args, value, where)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a table, got {value!r}")
        return {str(k): _convert(args[1], v, _join(where, str(k))) for k, v in value.items()}
    return _convert_scalar(hint, value, where)


def _convert_union(args: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in args:
        return None
    errors = []
    for arg in args:
        if arg is type(None):
            continue
        try:
            return _convert(arg, value, where)
        except ConfigError as error:
            errors.append(error)
    raise errors[0]


def _convert_tuple(args: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise ConfigError(f"{where} must be a list, got {value!r}; write [{value!r}]")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_convert(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if len(value) != len(args):
        raise ConfigError(f"{where} must have {len(args)} entries, got {len(value)}")
    return tuple(_convert(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(args, value, strict=True)))


def _convert_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) and hint is not bool:
        raise ConfigError(f"{where} must be {hint.__name__}, got {value!r}")
    if not isinstance(value, hint):
        raise ConfigError(f"{where} must be {hint.__name__}, got {value!r} ({type(value).__name__})")
    return value
