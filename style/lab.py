"""CIE Lab and CIEDE2000 on whole arrays, float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_WHITE = (0.95047, 1.0, 1.08883)
"""D65, 2 degree observer."""
_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)


def _linear_table() -> Floats:
    value = np.arange(256) / 255.0
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


_LINEAR = _linear_table()


def rgb_to_lab(pixels: npt.NDArray[Any]) -> Floats:
    """From sRGB uint8 (…, 3) to CIE Lab float32 (3, …): planes first, so that each is contiguous.

    Example:
        >>> rgb_to_lab(np.array([255, 0, 0], np.uint8)).round(1).tolist()
        [53.2..., 80.0..., 67.1...]
    """
    red, green, blue = (_LINEAR[pixels[..., i]] for i in range(3))
    f = []
    for (a, b, c), white in zip(_TO_XYZ, _WHITE, strict=True):
        t = red * np.float32(a / white) + green * np.float32(b / white) + blue * np.float32(c / white)
        root = np.exp(np.log(np.maximum(t, np.float32(1e-6))) * np.float32(1 / 3))  # a quarter of the time of cbrt
        f.append(np.where(t > 216 / 24389, root, t * np.float32(24389 / 27 / 116) + np.float32(16 / 116)))
    return np.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def ciede2000(first: Floats, second: Floats) -> Floats:
    """Colour difference ΔE2000 between Lab arrays (3, …); ≥ 0, about 1 is just noticeable, 3 is seen side by side.

    Source: Sharma, Wu, Dalal, "The CIEDE2000 Color-Difference Formula", Color Research and Application 30(1), 2005.

    Example:
        >>> a, b = np.float32([[50], [2.6772], [-79.7751]]), np.float32([[50], [0], [-82.7485]])
        >>> ciede2000(a, b).round(4).tolist()  # the paper's first test pair: 2.0425
        [2.042...]
    """
    (l1, a1, b1), (l2, a2, b2) = first, second
    c_mean7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * np.sqrt(c_mean7 / (c_mean7 + np.float32(25.0**7)))  # 1 + G, eq. 4
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = (np.mod(np.arctan2(b, a), np.float32(2 * np.pi)) for a, b in ((a1, b1), (a2, b2)))
    grey = c1 * c2 == 0
    turn = np.where(grey, 0, _wrap(h2 - h1))
    d_l, d_c = l2 - l1, c2 - c1
    d_h = 2 * np.sqrt(c1 * c2) * np.sin(turn / 2)  # eq. 11
    # The mean hue lies half a (shortest) turn from the first hue; of a grey pair it is the sum, eq. 14.
    hue = np.where(grey, h1 + h2, h1 + turn / 2)
    l_mean, c_mean = (l1 + l2) / 2, (c1 + c2) / 2
    return np.asarray(_weighted(d_l, d_c, d_h, l_mean, c_mean, hue), dtype=np.float32)


def _wrap(angle: Floats) -> Floats:
    """Into [-π, π]; exactly opposite hues (within rounding) stay as they are, as the paper has it."""
    half, turn = np.float32(np.pi + 2e-6), np.float32(2 * np.pi)
    return np.asarray(angle - turn * (angle > half) + turn * (angle < -half))


def _weighted(d_l: Floats, d_c: Floats, d_h: Floats, l_mean: Floats, c_mean: Floats, hue: Floats) -> Any:
    """Equations 15 to 22."""
    rad = np.float32(np.pi / 180)
    cos = np.cos(hue)
    double = 2 * cos * cos - 1
    t = 1 - 0.17 * np.cos(hue - 30 * rad) + 0.24 * double
    t += 0.32 * np.cos(3 * hue + 6 * rad) - 0.20 * np.cos(4 * hue - 63 * rad)
    degrees = (hue / rad) % 360
    theta = 30 * np.exp(-(((degrees - 275) / 25) ** 2))
    c7 = c_mean**7
    rotation = -np.sin(2 * theta * rad) * 2 * np.sqrt(c7 / (c7 + np.float32(25.0**7)))
    s_l = 1 + 0.015 * (l_mean - 50) ** 2 / np.sqrt(20 + (l_mean - 50) ** 2)
    x, y, z = d_l / s_l, d_c / (1 + 0.045 * c_mean), d_h / (1 + 0.015 * c_mean * t)
    return np.sqrt(np.maximum(x * x + y * y + z * z + rotation * y * z, 0))


_TO_RGB = np.linalg.inv(np.array(_TO_XYZ))


def lab_to_rgb(lab: npt.NDArray[Any]) -> Floats:
    """CIE Lab (3, …), D65 → sRGB 0..255 (3, …), clipped to the gamut.

    Example:
        >>> lab_to_rgb(np.array([[100.0], [0.0], [0.0]])).round().tolist()
        [[255.0], [255.0], [255.0]]
    """
    fy = (lab[0] + 16) / 116
    f = np.stack([fy + lab[1] / 500, fy, fy - lab[2] / 200])
    white = np.array(_WHITE, f.dtype).reshape(3, *[1] * (lab.ndim - 1))
    bent = np.maximum(f, 6 / 29)  # a line below
    xyz = (bent * bent * bent + 108 / 841 * (f - bent)) * white
    return linear_to_srgb(np.tensordot(_TO_RGB.astype(f.dtype), xyz, axes=1))


def linear_to_srgb(linear: npt.NDArray[Any]) -> Floats:
    """Linear light 0..1 → sRGB 0..255, clipped.

    Example:
        >>> linear_to_srgb(np.array([0.0, 1.0, 2.0])).tolist()
        [0.0, 255.0, 255.0]
    """
    light = np.clip(linear, 0, 1)
    bent = np.maximum(light, 0.0031308)  # below it a line goes on; so no element asks where it is
    curve = 1.055 * bent ** (1 / 2.4) - 0.055 + 12.92 * (light - bent)
    return np.asarray(np.clip(255 * curve, 0, 255), np.float32)


def srgb_to_linear(pixels: npt.NDArray[np.uint8]) -> Floats:
    """SRGB uint8 → linear light 0..1, same shape.

    Example:
        >>> srgb_to_linear(np.array([0, 255], np.uint8)).tolist()
        [0.0, 1.0]
    """
    return _LINEAR[pixels]
