"""What ``kernels show`` says of a kernel: lines for people, an object for scripts, a drawing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from conv_cli.errors import KernelError
from conv_cli.io.files import write_bytes
from conv_cli.kernels.kernel import Kernel
from conv_cli.kernels.learned import ChannelKernel, LearnedKernel, Manner, require_one
from conv_cli.report.kernel_facts import Facts, kernel_facts

_MOST_FACTORS = 12


class Drawn(NamedTuple):
    """One matrix of weights to be shown.

    title : str. What it is one of, before the first of several; else "".
    kernel : Kernel. A plain one, or one with a manner of its own.
    members : dict. What JSON says beside the facts.
    """

    title: str
    kernel: Kernel
    members: dict[str, Any]


def matrices(kernel: Kernel) -> list[Drawn]:
    """Return what there is to be drawn: one matrix, or one for each pair of channels."""
    manner = kernel.manner if isinstance(kernel, LearnedKernel) else Manner()
    members = manner.as_dict() if manner.words else {}
    if not isinstance(kernel, ChannelKernel):
        return [Drawn("", kernel, members)]
    words = f", applied {manner.words}" if manner.words else ""
    title = f"{kernel.name}: {kernel.kind}{words}"
    return [
        Drawn("" if number else title, part,
              {"channel": result + 1, "input": source + 1, **members})
        for number, (result, source, part) in enumerate(kernel.parts())
    ]  # fmt: skip


def told_lines(kernel: Kernel) -> Iterator[str]:
    """Yield a line for each thing there is to know of a kernel."""
    yield from (f"{name:<10} {text}" for name, text in _words(kernel, kernel_facts(kernel)))


def facts_of(kernel: Kernel) -> dict[str, Any]:
    """Return all there is to know of a kernel as an object for JSON."""
    facts = kernel_facts(kernel)
    return {
        "name": kernel.name,
        "size": list(kernel.shape),
        "origin": list(kernel.origin),
        "bias": kernel.bias,
        "sum": facts.sum,
        "positive_sum": facts.positive,
        "negative_sum": facts.negative,
        "range": [facts.low, facts.high],
        "symmetry": list(facts.symmetry),
        "rank": facts.rank,
        "factors": facts.factors and dict(zip(("column", "row"), facts.factors, strict=True)),
        "response": {**facts.response._asdict(), "words": facts.response.words},
        "costs": dict(facts.costs),
        "weights": kernel.weights.tolist(),
    }


def draw(kernel: Kernel, path: str, *, force: bool = False) -> None:
    """Draw a kernel as a heat map into a .png or .html file.

    Raises KernelError if the file is to be of another kind, or the kernel is too large to draw;
    ImageError if the file cannot be written.
    """
    require_one([kernel])
    ending = Path(path).suffix.lower()
    if ending == ".png":
        from conv_cli.images import write_image
        from conv_cli.report.kernel_picture import kernel_picture

        write_image(path, kernel_picture(kernel, caption(kernel)), force=force)
    elif ending == ".html":
        from conv_cli.report.kernel_table import kernel_page

        page = kernel_page(kernel.weights, origin=kernel.origin, caption=caption(kernel))
        write_bytes(path, page.encode(), force=force)
    else:
        raise KernelError(
            f"kernel {kernel.name}: {path} is no picture to draw; give a .png or .html file"
        )


def caption(kernel: Kernel) -> str:
    """Return what stands below a drawing of a kernel."""
    rows, columns = kernel.shape
    bias = f", bias {kernel.bias:.6g}" if kernel.bias else ""
    name = "".join(c if c.isprintable() else "?" for c in kernel.name)
    return f"{name}: {rows}x{columns}, sum {_tidy(float(kernel.weights.sum()))}{bias}"


def _words(kernel: Kernel, facts: Facts) -> Iterator[tuple[str, str]]:
    (rows, columns), (row, column) = kernel.shape, kernel.origin
    yield "name", kernel.name
    yield "size", f"{rows}x{columns}, origin at row {row}, column {column} (from 0)"
    yield "sum", f"{_tidy(facts.sum)} = {_tidy(facts.positive)} - {_tidy(-facts.negative)}"
    if kernel.bias:
        yield "bias", _tidy(kernel.bias)
    if isinstance(kernel, LearnedKernel) and kernel.manner.words:
        yield "applied", kernel.manner.words
    yield "range", f"{_tidy(facts.low)} to {_tidy(facts.high)} for 8-bit images"
    yield "symmetry", ", ".join(facts.symmetry) or "none"
    yield "rank", f"{facts.rank} of {min(kernel.shape)}{_factors(facts)}"
    yield "response", facts.response.words
    if facts.costs:
        costs = ", ".join(f"{name} {cost:.3g} ms" for name, cost in facts.costs)
        yield "cost", f"{costs} for 4000x3000 grey pixels on one core"
    else:
        yield "cost", "none: its results on 8-bit images exceed 64-bit integers"


def _factors(facts: Facts) -> str:
    """Return the factors of a kernel of rank 1 that is no line already, if they fit on a line."""
    if facts.factors is None or 1 in map(len, facts.factors):
        return ""
    if max(map(len, facts.factors)) > _MOST_FACTORS:
        return ": a column times a row"
    column, row = (" ".join(map(_tidy, factor)) for factor in facts.factors)
    return f": column ({column}) times row ({row})"


def _tidy(value: float) -> str:
    """Return a number in six digits; what is 0 but for rounding is 0."""
    return f"{0.0 if abs(value) < 1e-12 else value:.6g}"
