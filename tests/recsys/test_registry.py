from importlib.metadata import EntryPoint, EntryPoints

import pytest

from recsys import registry
from recsys.errors import ConfigError
from recsys.registry import component, create, names

BUILT_IN = {
    "stylizers": {"colour.mkl", "magenta"},
    "encoders": {"efficientnet-lite0", "magenta-style", "gram"},
    "models": {"popularity", "als", "content", "hybrid"},
}


@pytest.mark.parametrize("group", BUILT_IN)
def test_the_built_ins_are_registered(group) -> None:
    assert set(names(group)) >= BUILT_IN[group]


def test_third_parties_register_as_the_built_ins_do(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints([EntryPoint("fraction", "fractions:Fraction", "stylerec.models")])
    monkeypatch.setattr(registry, "entry_points", lambda group: points.select(group=group))
    assert names("models") == ["fraction"]
    assert str(create("models", "fraction", numerator=1, denominator=3)) == "1/3"
    assert names("encoders") == []


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'hybird'; did you mean 'hybrid'\? Known: hybrid, "):
        component("models", "hybird")
    with pytest.raises(ConfigError, match="unknown stylizer"):
        create("stylizers", "van-gogh")


def test_an_unknown_option_names_the_component() -> None:
    with pytest.raises(ConfigError, match=r"popularity: .*no_such_option"):
        create("models", "popularity", no_such_option=1)
