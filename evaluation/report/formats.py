"""Numbers and hostile text as people read them."""

from __future__ import annotations

import math
import re
from typing import Any

MISSING = "–"
# Controls (NUL included), lone surrogates and non-characters, which HTML forbids, and direction overrides,
# which would turn the numbers after them around.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]"
)


def clean(value: object) -> str:
    r"""Text that HTML may hold: forbidden characters become U+FFFD, so that nothing vanishes unseen.

    Example:
        >>> clean("a\x00b")
        'a�b'
    """
    return _FORBIDDEN.sub("\ufffd", MISSING if value is None else str(value))


def plain(name: object) -> str:
    """A key as words.

    Example:
        >>> plain("clicks_per_user")
        'clicks per user'
    """
    return clean(name).replace("_", " ")


def finite(value: Any) -> float | None:
    """A finite number, or None for everything else (missing, text, NaN, infinity).

    Example:
        >>> finite(2), finite(float("nan")), finite(None), finite("3")
        (2.0, None, None, None)
    """
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def number(value: Any) -> str:
    """Four significant digits, thousands apart; whole numbers in full.

    Example:
        >>> number(1234567), number(0.0123456), number(-2.5), number(0.00001234), number(None)
        ('1,234,567', '0.01235', '−2.5', '1.234e−5', '–')
    """
    x = finite(value)
    if x is None:
        return MISSING
    if x == int(x):
        return _minus(f"{int(x):,}") if abs(x) < 1e15 else _minus(f"{x:.4g}")
    if abs(x) < 1e-4:
        mantissa, _, exponent = f"{x:.3e}".partition("e")
        return _minus(f"{mantissa}e{int(exponent)}")
    decimals = max(0, 3 - math.floor(math.log10(abs(x))))
    text = f"{x:,.{decimals}f}"
    return _minus(text.rstrip("0").rstrip(".") if "." in text else text)


def percent(share: Any, *, sign: bool = False) -> str:
    """A share as percent, three significant digits.

    Example:
        >>> percent(0.04216), percent(0.975), percent(1), percent(0.5, sign=True), percent(None)
        ('4.22%', '97.5%', '100%', '+50%', '–')
    """
    x = finite(share)
    if x is None:
        return MISSING
    x = 100 * x + 0.0  # no minus before 0
    if abs(x) >= 1e7:  # no effect that anybody can read
        return _minus(f"{x:{'+' if sign else ''}.3g}%")
    decimals = 0 if x == 0 else min(6, max(0, 2 - math.floor(math.log10(abs(x)))))
    text = f"{x:{'+' if sign and x else ''}.{decimals}f}"
    return _minus(text.rstrip("0").rstrip(".") if "." in text else text) + "%"


def share(part: Any) -> str:
    """A share of a whole, one decimal, so that it compares down a column.

    Example:
        >>> share(0.51084), share(0.19), share(1), share(None)
        ('51.1%', '19.0%', '100.0%', '–')
    """
    x = finite(part)
    return MISSING if x is None else _minus(f"{100 * x:.1f}%")


def p_value(p: Any) -> str:
    """A p value, three decimals.

    Example:
        >>> p_value(0.0312), p_value(0.00002), p_value(None)
        ('0.031', '< 0.001', '–')
    """
    x = finite(p)
    if x is None:
        return MISSING
    return "< 0.001" if x < 0.001 else f"{x:.3f}"


def part(count: Any, total: Any) -> str:
    """A share of a total; a dash where the total is unknown or nothing.

    Example:
        >>> part(3, 12), part(3, 0)
        ('25%', '–')
    """
    a, b = finite(count), finite(total)
    return percent(a / b) if a is not None and b else MISSING


def interval(low: Any, high: Any, *, as_percent: bool = False) -> str:
    """An interval in brackets, as many decimals as its width deserves.

    Example:
        >>> interval(0.0041, 0.0207), interval(-0.012, 0.034, as_percent=True), interval(None, 1)
        ('[0.004, 0.021]', '[−1.2%, 3.4%]', '')
    """
    a, b = finite(low), finite(high)
    if a is None or b is None:
        return ""
    return f"[{_fixed(a, a, b, as_percent)}, {_fixed(b, a, b, as_percent)}]"


def estimate(value: Any, low: Any, high: Any, *, as_percent: bool = False, sign: bool = True) -> str:
    """A value with its interval, both to the decimals that the interval's width deserves.

    Example:
        >>> estimate(0.01234, 0.0041, 0.0207)
        '+0.012 [0.004, 0.021]'
        >>> estimate(0.0512, 0.013, 0.089, as_percent=True)
        '+5.1% [1.3%, 8.9%]'
        >>> estimate(0.25, None, None), estimate(0.0001, -0.02, 0.02, as_percent=True)
        ('+0.25', '0.0% [−2.0%, 2.0%]')
        >>> estimate(0.07, 0.002, 0.14)  # an end close to 0 is not 0
        '+0.070 [0.002, 0.140]'
    """
    x, brackets = finite(value), interval(low, high, as_percent=as_percent)
    if x is None:
        return MISSING
    if not brackets:  # nothing says how many digits are real
        text = percent(x, sign=sign) if as_percent else number(x)
        return text if as_percent or not sign or x <= 0 else f"+{text}"
    head = _fixed(x, float(low), float(high), as_percent)
    plus = "+" if sign and x > 0 and head.strip("0.%") else ""
    return f"{plus}{head} {brackets}"


def _decimals(low: float, high: float) -> int:
    """What the width deserves, one more where an end next to 0 would read as 0."""
    size = high - low if high > low else abs(high) / 100
    decimals = 1 if size == 0 else min(8, max(0, 1 + math.ceil(-math.log10(size))))
    hidden = any(x and round(x, decimals) == 0 for x in (low, high))
    return min(8, decimals + hidden)


def _fixed(x: float, low: float, high: float, as_percent: bool) -> str:
    if as_percent:
        x, low, high = 100 * x, 100 * low, 100 * high
    if abs(x) >= 1e12:
        return _minus(f"{x:.3g}") + ("%" if as_percent else "")
    decimals = max(_decimals(low, high), 1 if as_percent else 0)
    text = f"{x:,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        text = text.removeprefix("-")
    return _minus(text) + ("%" if as_percent else "")


def duration(seconds: Any) -> str:
    """Seconds as a person says them.

    Example:
        >>> duration(0.034), duration(7.26), duration(95), duration(3725)
        ('0.03 s', '7.3 s', '1 min 35 s', '1 h 2 min')
    """
    x = finite(seconds)
    if x is None:
        return MISSING
    if x < 59.95:
        return f"{x:.2f} s" if x < 1 else f"{x:.1f} s"
    whole = round(x)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def memory(megabytes: Any) -> str:
    """Megabytes, or gigabytes from 1,000 on.

    Example:
        >>> memory(812.4), memory(2345)
        ('812 MB', '2.35 GB')
    """
    x = finite(megabytes)
    if x is None:
        return MISSING
    return f"{x:,.0f} MB" if x < 1000 else f"{x / 1000:,.2f} GB"


def value(thing: Any) -> str:
    """Any setting as text: yes/no, number, list, or the text itself.

    Example:
        >>> value(True), value(0.5), value([1, 2]), value(None), value("als")
        ('yes', '0.5', '1, 2', '–', 'als')
    """
    if isinstance(thing, bool):
        return "yes" if thing else "no"
    if isinstance(thing, list | tuple):
        return ", ".join(value(x) for x in thing) or MISSING
    if isinstance(thing, dict):
        return ", ".join(f"{plain(k)} {value(v)}" for k, v in thing.items()) or MISSING
    return clean(thing) if isinstance(thing, str) or not hasattr(thing, "__float__") else number(thing)


def _minus(text: str) -> str:
    return text.replace("-", "−")
