"""Adaptive weights: the level that was asked is the level it ends at, for each picture by itself."""

import numpy as np
import pytest
import torch
from stylizer_contract import StylizerContract, pictures

from recsys.errors import ConfigError
from style.perception import as_tensor
from style.stylizers.adaptive import AdaptiveStyle, Balance
from style.stylizers.neural import NeuralStyle

QUICK = {"backbone": "random", "device": "cpu"}


class TestAdaptive(StylizerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def stylizer(cls):
        return AdaptiveStyle(**QUICK, content_level=0.2, steps=6)


def levels(stylizer, before, after, code):
    """(n,) relative content loss, and the share of the style loss that is left."""
    perception = stylizer.perception
    grams = {k: torch.from_numpy(a) for k, a in code.arrays.items()}
    with torch.no_grad():
        target = perception.targets(as_tensor(before))
        first, last = (perception.parts(as_tensor(x), target, grams) for x in (before, after))
    return {"content_level": last["content"].numpy(), "style_level": (last["style"] / first["style"]).numpy()}


@pytest.mark.parametrize("asked", [{"content_level": 0.1}, {"content_level": 0.02}, {"style_level": 0.4}])
def test_each_picture_ends_at_the_level_asked(asked):
    """Within 10 %, rounding to 8 bits included; with one fixed balance some of these pictures miss."""
    photos, style = pictures(4, (48, 48), seed=1), pictures(1, (48, 48), seed=4)
    stylizer, fixed = AdaptiveStyle(**QUICK, **asked), NeuralStyle(**QUICK, optimiser="adam", steps=100)
    ((name, level),) = asked.items()
    code = stylizer.encode(style)
    found = levels(stylizer, photos, stylizer.apply(photos, code), code)[name]
    np.testing.assert_allclose(found, level, rtol=0.1)
    plain = levels(fixed, photos, fixed.apply(photos, fixed.encode(style)), code)[name]
    assert (np.abs(plain / np.median(plain) - 1) > 0.1).any()  # not even at a level of its own choice


def test_without_a_level_three_tenths_of_the_style_loss_are_left():
    photos, code = pictures(2), AdaptiveStyle(**QUICK).encode(pictures(1, seed=4))
    default, asked = AdaptiveStyle(**QUICK, steps=3), AdaptiveStyle(**QUICK, steps=3, style_level=0.3)
    np.testing.assert_array_equal(default.apply(photos, code), asked.apply(photos, code))


def test_the_controller_is_proportional_and_integral():
    """Closed form: with an error e the k-th balance is STEADY k e + QUICK e, e cut to -1..1."""
    balance = Balance.of(2, torch.device("cpu"))
    made = torch.stack([balance.follow(torch.tensor([0.5, -9.0])) for _ in range(3)])
    np.testing.assert_allclose(made, [[1.1, -2.2], [1.2, -2.4], [1.3, -2.6]], rtol=1e-6)


def test_the_controller_does_not_wind_up():
    balance = Balance.of(1, torch.device("cpu"))
    for _ in range(1000):
        balance.follow(torch.tensor([1.0]))
    assert balance.lasting.item() == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style_level": -0.1}, "give one of content_level and style_level, above 0, got 0 and -0.1"),
        ({"content_level": 0.1, "style_level": 0.1}, "got 0.1 and 0.1"),
        ({"style_level": 1.5}, r"style_level must be in 0\.\.1, got 1.5"),
        ({"style_level": 0.5, "optimiser": "lbfgs"}, "optimiser must be adam"),
        ({"style_level": 0.5, "style_weight": 0.0}, "must be > 0"),
        ({"style_level": 0.5, "steps": 0}, "steps must be >= 1"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        AdaptiveStyle(**QUICK | options)
