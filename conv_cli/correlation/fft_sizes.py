"""Sides of FFTs: products of small primes, three an octave. The one place that chooses them."""

SIDES = tuple(sorted(n << a for a in range(3, 14) for n in (2, 3, 5) if n << a >= 32))


def fft_side(least: int) -> int:
    """Return the least side that holds so many rows or columns."""
    return next(side for side in SIDES if side >= least)
