"""Every range is one its model accepts, and only what matters on the data is searched."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.errors import ConfigError
from recsys.models.als import ALS
from recsys.models.content import Content
from recsys.models.ensemble import Ensemble
from recsys.models.hybrid import HybridModel
from recsys.registry import component, names
from recsys.tuning.space import SPACES, Choice, Real, Whole, kind_of, space_of, with_options

ITEMS = IdMap.of(["a", "b", "c"])
LOOK = FeatureBlock("look", np.eye(3, dtype=np.float32))
KIND = FeatureBlock.one_hot("kind", ["x", "y", "x"])


@dataclasses.dataclass(frozen=True)
class Corner:
    """Stands in for an Optuna trial: always one end of every range."""

    end: int

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        return (low, high)[self.end]

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        return (low, high)[self.end]

    def suggest_categorical(self, name: str, values: tuple) -> object:
        return values[-self.end]


def test_every_model_has_ranges_but_those_that_tune_themselves() -> None:
    assert set(SPACES) == set(names("models")) - {"ensemble"}


@pytest.mark.parametrize("kind", sorted(SPACES))
@pytest.mark.parametrize("end", [0, 1])
def test_the_ends_of_every_range_are_options_of_the_model(kind: str, end: int) -> None:
    config = component("models", kind)()
    space = space_of(config, FeatureTable(ITEMS, (LOOK, KIND)))
    drawn = {name: span.suggest(Corner(end), name) for name, span in space.items()}
    made = with_options(config, drawn)
    assert kind_of(made) == kind
    for name, value in drawn.items():
        assert (made.weights[name[8:]] if name.startswith("weights.") else getattr(made, name)) == value  # type: ignore[attr-defined]


def test_block_weights_matter_where_there_are_several_and_embeddings_where_there_is_one() -> None:
    assert {"weights.look", "weights.kind", "whitening"} <= set(
        space_of(HybridModel(), FeatureTable(ITEMS, (LOOK, KIND)))
    )
    assert set(space_of(Content(), FeatureTable(ITEMS, (LOOK,)))) == {"max_dims", "whitening"}
    assert space_of(Content(), FeatureTable(ITEMS, (KIND,))) == {}
    assert "whitening" not in space_of(HybridModel(raw=("look",)), FeatureTable(ITEMS, (LOOK, KIND)))
    assert "id_dropout" not in space_of(HybridModel(blocks=()), FeatureTable(ITEMS, (LOOK, KIND)))


def test_other_weights_stay() -> None:
    made = with_options(HybridModel(weights={"kind": 0.5}), {"weights.look": 2.0, "l2": 3.0})
    assert made == HybridModel(weights={"kind": 0.5, "look": 2.0}, l2=3.0)


def test_a_drawn_number_has_four_digits() -> None:
    class Drawn(Corner):
        def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
            return 0.123456789

    assert Real(0, 1).suggest(Drawn(0), "x") == 0.1235


@pytest.mark.parametrize("span", [(Real, 1, 1, False), (Real, 0, 1, True), (Whole, 3, 2, False)])
def test_impossible_ranges_are_refused(span: tuple) -> None:
    kind, low, high, log = span
    with pytest.raises(ConfigError, match="low < high"):
        kind(low, high, log=log)


def test_what_cannot_be_tuned_is_named() -> None:
    with pytest.raises(ConfigError, match="tune its members"):
        space_of(Ensemble(), FeatureTable(ITEMS))
    with pytest.raises(ConfigError, match=r"als: .*sigma"):
        with_options(ALS(), {"sigma": 1})


def test_ranges_read_as_they_are_documented() -> None:
    assert [str(r) for r in (Real(0.1, 3, log=True), Whole(1, 9), Choice((1, 2)))] == [
        "0.1 – 3, log",
        "1 – 9, whole",
        "1, 2",
    ]
