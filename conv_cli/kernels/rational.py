"""Weights as whole numbers with one divisor, for tools that only take those."""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from conv_cli.kernels.kernel import Weights

_MOST_DISTINCT = 4096
_TOLERANCE = 1e-12


class Rational(NamedTuple):
    """Whole numbers as float64, without a common divisor, and what they are divided by, from 1."""

    numerators: Weights
    divisor: int


def as_rational(weights: Weights, most: int) -> Rational | None:
    """Return the weights as whole numbers with the least divisor, or None if it exceeds `most`.

    They are equal to within a trillionth of the largest weight: what is left when fractions were
    rounded to float64 and calculated with.
    """
    tolerance = _TOLERANCE * float(np.abs(weights).max())
    divisor = 1
    distinct = np.unique(np.abs(weights))
    if len(distinct) > _MOST_DISTINCT:
        return None
    for value in distinct.tolist():
        scaled = value * divisor
        if abs(scaled - round(scaled)) <= tolerance * divisor:
            continue
        divisor = math.lcm(divisor, Fraction(value).limit_denominator(most).denominator)
        if divisor > most:
            return None
    numerators = np.rint(weights * divisor)
    if np.abs(numerators - weights * divisor).max() > tolerance * divisor:
        return None
    return Rational(numerators, divisor)
