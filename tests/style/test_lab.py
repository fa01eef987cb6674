import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from style.lab import ciede2000, rgb_to_lab

# Sharma, Wu, Dalal 2005, table 1: L1 a1 b1 L2 a2 b2 ΔE00.
SHARMA = np.array(
    [
        (50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425),
        (50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615),
        (50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412),
        (50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000),
        (50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000),
        (50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000),
        (50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669),
        (50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195),
        (50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045),
        (50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461),
        (50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065),
        (50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492),
        (50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977),
        (50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030),
        (50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535),
        (50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000),
        (50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000),
        (50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000),
        (50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000),
        (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
        (63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630),
        (61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731),
        (35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645),
        (22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373),
        (36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146),
        (90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441),
        (90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381),
        (6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377),
        (2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082),
    ],
    dtype=np.float64,
)


def test_sharma_test_pairs() -> None:
    # Pairs 9 to 14 stand on the jump of the mean hue at opposite hues, where float32 may fall on either side.
    first, second, expected = SHARMA[:, :3].T, SHARMA[:, 3:6].T, SHARMA[:, 6]
    assert np.abs(ciede2000(first, second) - expected).max() < 1e-4
    plain = np.r_[0:8, 14:33]
    narrow = ciede2000(first[:, plain].astype(np.float32), second[:, plain].astype(np.float32))
    assert np.abs(narrow - expected[plain]).max() < 2e-3


def test_agrees_with_scikit_image_and_is_symmetric() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, (4000, 3)).astype(np.uint8) for _ in range(2))
    expected = deltaE_ciede2000(rgb2lab(a), rgb2lab(b))
    mine = ciede2000(rgb_to_lab(a), rgb_to_lab(b))
    # Near opposite hues the formula itself jumps; 99.5 % must agree to what float32 allows.
    assert np.quantile(np.abs(mine - expected), 0.995) < 0.01
    np.testing.assert_allclose(mine, ciede2000(rgb_to_lab(b), rgb_to_lab(a)), atol=0.01)


def test_lab_agrees_with_scikit_image() -> None:
    colours = np.random.default_rng(1).integers(0, 256, (50, 40, 3)).astype(np.uint8)
    # scikit-image rounds the matrix and the white point differently in the fifth digit.
    np.testing.assert_allclose(rgb_to_lab(colours), rgb2lab(colours).transpose(2, 0, 1), atol=0.02)


@pytest.mark.parametrize("level", [0, 1, 127, 255])
def test_greys_have_no_chroma(level: int) -> None:
    lab = rgb_to_lab(np.full(3, level, np.uint8))
    assert np.abs(lab[1:]).max() < 0.02
    assert ciede2000(lab, lab) == 0
