"""Numbers as people read them; knows what they are of no more than their unit."""

from __future__ import annotations

import math

from benchmark.metrics import Estimate


def percent(share: float | None) -> str:
    """A share in [0, 1] as a percentage with two decimals, without the sign; a dash where it is not known."""
    return "–" if share is None else f"{100 * share:.2f}"


def percent_with_interval(estimate: Estimate) -> str:
    """A share and its interval as percentages: `86.10 (85.41–86.76)`; a dash where it is not known."""
    if math.isnan(estimate.value):
        return "–"
    return f"{percent(estimate.value)} ({percent(estimate.low)}–{percent(estimate.high)})"


def points_with_interval(estimate: Estimate) -> str:
    """A difference of shares in percentage points: `+1.27 (+0.83 to +1.70)`; a dash where it is none at all."""
    if estimate.value == estimate.low == estimate.high == 0:
        return "–"
    return f"{points(estimate.value)} ({points(estimate.low)} to {points(estimate.high)})"


def points(share: float) -> str:
    """A difference of shares in percentage points: `+1.27`."""
    return f"{100 * share:+.2f}".replace("-", "−")


def p_value(value: float) -> str:
    """A probability with two decimals, or as many as its first digit needs, down to 0.0001."""
    if value < 0.0001:
        return "< 0.0001"
    return f"{value:.2f}" if value >= 0.01 else f"{value:.4f}"


def decimals(value: float) -> str:
    """Three decimals."""
    return f"{value:.3f}"


def significant(value: float | None) -> str:
    """Three significant digits, never in exponent form: `0.0123`, `1.20`, `1,234`; a dash where it is not known."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    # Rounded first: 9.996 has three digits as 10.0, not as 10.00.
    rounded = float(f"{value:.2e}")
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(rounded))))}f}"


def count(value: int) -> str:
    """A large count with three significant digits and an SI prefix: `1.97 M`."""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        # 999,999 is 1 M in three digits, not 1,000 k.
        if value >= size * 0.9995:
            return f"{significant(value / size)} {prefix}"
    return str(value)


def duration(seconds: float) -> str:
    """A time span as a person says it: `42.0 s`, `12 min 05 s`, `3 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{significant(seconds)} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def size(size_bytes: int | None) -> str:
    """A size in bytes with three significant digits and an SI prefix, `1.97 GB`; a dash where it is not known."""
    if size_bytes is None:
        return "–"
    number, _, prefix = count(size_bytes).partition(" ")
    return f"{number} {prefix}B"


def plural(count: int, noun: str) -> str:
    """Such as `1 pair` and `1,200 pairs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
