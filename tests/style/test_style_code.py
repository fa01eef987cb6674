"""Style codes: what a mixture may be of. That stylizers refuse codes of others is in their contract."""

import numpy as np
import pytest

from recsys.errors import ConfigError
from style.base import StyleCode


def code(value, shape=(2,), name="x"):
    return StyleCode(name, {"v": np.full(shape, value, np.float32)})


def test_a_mixture_is_the_weighted_mean():
    """(3 * 1 + 1 * 5) / 4 = 2, and a weight of 0 takes no part."""
    mixed = StyleCode.mix({code(1): 3, code(5): 1, code(99): 0})
    np.testing.assert_array_equal(mixed.arrays["v"], np.float32([2, 2]))


@pytest.mark.parametrize("weights", [(0, 0), (2, -1), (np.nan, 1), (np.inf, 1), ()])
def test_weights_that_make_no_mean_are_refused(weights):
    with pytest.raises(ConfigError, match="weights >= 0 that sum to more"):
        StyleCode.mix({code(i): w for i, w in enumerate(weights)})


def test_codes_of_models_that_differ_are_refused():
    with pytest.raises(ConfigError, match="different models or options"):
        StyleCode.mix({code(1): 1, code(1, (3,)): 1})
