"""A kernel by example: the one that lies between two pictures."""

import os
from dataclasses import replace
from pathlib import Path

from conv_cli.errors import ConvError, KernelError
from conv_cli.fitting.fit import fit_kernel
from conv_cli.fitting.verdict import SURE
from conv_cli.kernels.kernel import Kernel


def fitted_kernel(pair: str) -> Kernel:
    """Return the kernel that turns the first of two files into the second, called like-SECOND.

    pair : str. ``BEFORE,AFTER``; a comma may be part of a name if both files exist.

    Raises KernelError if they are no two files, or no linear kernel explains them.
    """
    before, after = _split(pair)
    try:
        fit = fit_kernel(before, after)
    except (ConvError, OSError) as error:
        raise KernelError(f"kernel like: {error}") from None
    if fit.verdict not in SURE:
        raise KernelError(
            f"kernel like: {before}, {after}: {fit.verdict}: {fit.reason}; see 'conv-cli fit'"
        )
    return replace(fit.applicable, name=f"like-{Path(after).stem}")


def _split(pair: str) -> tuple[str, str]:
    ends = [place for place, character in enumerate(pair) if character == ","]
    splits = [(pair[:end], pair[end + 1 :]) for end in ends]
    there = [names for names in splits if all(map(os.path.lexists, names))]
    if len(there or splits) != 1:
        raise KernelError(f"kernel like:{pair}: give two files, as like:before.png,after.png")
    return (there or splits)[0]
