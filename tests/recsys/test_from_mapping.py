"""TOML tables as dataclasses: what is written is what is made, and every mistake names its place."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.config import checked_options, from_mapping, to_mapping
from recsys.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ConfigError(f"rate must be >= 0, got {self.rate:g}")


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = Inner()
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[int, str] = (1, "x")
    most: int | None = None
    on: bool = True
    kind: Literal["time", "user"] = "time"
    tables: Mapping[str, float] = field(default_factory=dict)
    nested: Mapping[str, Inner] = field(default_factory=dict)
    either: int | tuple[int, ...] = 3
    anything: Any = None
    key: str = field(init=False, default="never set from outside")


OUTERS = st.builds(
    Outer,
    name=st.text(),
    inner=st.builds(Inner, st.floats(0, 1e9)),
    sizes=st.lists(st.integers()).map(tuple),
    pair=st.tuples(st.integers(), st.text()),
    most=st.none() | st.integers(),
    on=st.booleans(),
    kind=st.sampled_from(["time", "user"]),
    tables=st.dictionaries(st.text(), st.floats(allow_nan=False)),
    nested=st.dictionaries(st.text(), st.builds(Inner, st.floats(0, 1))),
    either=st.integers() | st.lists(st.integers()).map(tuple),
)


@given(OUTERS)
def test_plain_tables_come_back_as_they_were(made: Outer) -> None:
    plain = to_mapping(made)
    assert from_mapping(Outer, plain) == made
    assert "key" not in plain


def test_toml_as_users_write_it() -> None:
    table = tomllib.loads('name = "a"\nsizes = [3]\nmost = 4\ninner = { rate = 1 }\n[nested.x]\nrate = 2\n')
    made = from_mapping(Outer, table)
    assert made == Outer("a", Inner(1.0), (3,), most=4, nested={"x": Inner(2.0)})
    assert isinstance(made.inner.rate, float)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "the top level misses name; add name ="),
        ({"name": 3}, r"name must be str, got 3 \(int\)"),
        ({"name": "a", "nam": "b"}, "unknown key in the top level 'nam'; did you mean 'name'"),
        ({"name": "a", "inner": {"rat": 1}}, r"\[inner\] 'rat'; did you mean 'rate'"),
        ({"name": "a", "inner": 5}, r"\[inner\] must be a table, got 5"),
        ({"name": "a", "nested": {"x": {"rat": 1}}}, r"\[nested\.x\] 'rat'"),
        ({"name": "a", "sizes": ["x"]}, r"sizes\[0\] must be int"),
        ({"name": "a", "sizes": 3}, r"sizes must be a list, got 3; write \[3\]"),
        ({"name": "a", "sizes": "34"}, "sizes must be a list"),
        ({"name": "a", "pair": [1]}, "pair must have 2 entries, got 1"),
        ({"name": "a", "most": True}, "most must be int, got True"),
        ({"name": "a", "most": "4"}, "most must be int, got '4'"),
        ({"name": "a", "on": 1}, "on must be bool"),
        ({"name": "a", "kind": "tim"}, "kind: unknown value 'tim'; did you mean 'time'"),
        ({"name": "a", "tables": {"x": "y"}}, r"tables\.x must be float"),
        ({"name": "a", "inner": {"rate": -1}}, "rate must be >= 0, got -1"),
        ({"name": "a", "key": "b"}, "unknown key .* 'key'"),
    ],
)
def test_a_mistake_names_its_place(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_mapping(Outer, table)


def test_a_table_must_be_one() -> None:
    with pytest.raises(ConfigError, match=r"\[looks\.retro\] must be a table, got 'x'"):
        from_mapping(Inner, "x", where="looks.retro")  # type: ignore[arg-type]


class Maker:
    def __init__(self, *, steps: int = 60, rate: float = 0.1, layers: tuple[str, ...] = ()) -> None:
        self.made = steps, rate, layers


class Heir(Maker):
    def __init__(self, *, level: float = 0.5, **options: Any) -> None:
        super().__init__(**options)


class Open:
    def __init__(self, **options: Any) -> None:
        self.options = options


class Bare:
    pass


def test_options_take_the_types_of_parameters_bases_included():
    found = checked_options(Heir, {"level": 1, "layers": ["a"], "steps": 3}, where="heir")
    assert found == {"level": 1.0, "layers": ("a",), "steps": 3}
    assert type(found["level"]) is float
    assert checked_options(Open, {"anything": 3}, where="open") == {"anything": 3}


@pytest.mark.parametrize(
    ("factory", "options", "message"),
    [
        (Heir, {"steps": 1.5}, r"x\.steps must be int, got 1\.5"),
        (Heir, {"layers": "a"}, r"x\.layers must be a list, got 'a'; write"),
        (Heir, {"leve": 1}, "x: unknown option 'leve'; did you mean 'level'"),
        (Maker, {"level": 1.0}, "x: unknown option 'level'"),
        (Bare, {"level": 1.0}, "x: unknown option 'level'"),
    ],
)
def test_options_that_cannot_be_are_named(factory, options, message):
    with pytest.raises(ConfigError, match=message):
        checked_options(factory, options, where="x")
