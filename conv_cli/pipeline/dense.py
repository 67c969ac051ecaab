"""The dense layer that equals a correlation: a matrix that joins every pixel to every pixel.

Its rows are output pixels and its columns input pixels, row by row of the images. A kernel fills it
with few weights, again and again (Goodfellow et al. 2016, "Deep Learning", 9.2; Zhang et al.,
"Dive into Deep Learning", 7.1).
"""

from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.borders import Border, pad
from conv_cli.correlation.params import ConvParams, Pair
from conv_cli.errors import ConvError, KernelError
from conv_cli.kernels.kernel import Kernel

MAX_TAPS = 1 << 24
"""Of all windows together: the matrix is made in about a gigabyte."""


class Counts(NamedTuple):
    """How many weights there are, biases aside.

    dense : int. From every input pixel to every output pixel.
    local : int. From every window to its output pixel, each with weights of its own.
    shared : int. The kernel's, which all windows share.
    """

    dense: int
    local: int
    shared: int


@dataclass(frozen=True)
class DenseLayer:
    """A dense layer in compressed rows (CSR): y = W x + bias.

    input, output : (rows, columns)
    counts : Counts
    data : ndarray, float64. The weights that are not 0.
    indices, indptr : ndarray, int64. Their columns; where each row begins among them.
    bias : ndarray, float64, one an output pixel. The kernel's, and what a border of a number adds.
    places : ndarray, int64. For each weight, where in the kernel it stands, counted row by row; of
        several at one pixel, as at a border, the largest.
    """

    input: Pair
    output: Pair
    counts: Counts
    data: npt.NDArray[np.float64]
    indices: npt.NDArray[np.int64]
    indptr: npt.NDArray[np.int64]
    bias: npt.NDArray[np.float64]
    places: npt.NDArray[np.int64]

    @property
    def shape(self) -> Pair:
        """(output pixels, input pixels)."""
        return len(self.bias), self.input[0] * self.input[1]

    def scattered(self, values: npt.NDArray[Any], blank: float) -> npt.NDArray[Any]:
        """Return the whole matrix with a value for each weight, and one for every 0."""
        matrix = np.full(self.shape, blank, values.dtype)
        rows = np.arange(self.shape[0]).repeat(np.diff(self.indptr))
        matrix[rows, self.indices] = values
        return matrix

    def write(self, stream: BinaryIO) -> None:
        """Write it as .npz that scipy.sparse.load_npz reads too, which leaves the bias out."""
        np.savez_compressed(
            stream,
            data=self.data,
            indices=self.indices,
            indptr=self.indptr,
            shape=np.array(self.shape),
            format=np.bytes_(b"csr"),
            bias=self.bias,
        )


def counts_of(kernel: Kernel, input: Pair, params: ConvParams) -> tuple[Pair, Counts]:
    """Return rows and columns of the output, and how many weights there are.

    Raises KernelError if the kernel's window is larger than the padded input.
    """
    try:
        output = params.resolved(kernel.shape, kernel.origin).output(input, kernel.shape)
    except ConvError as error:
        raise KernelError(f"kernel {kernel.name}: {error}") from None
    pixels = output[0] * output[1]
    shared = kernel.weights.size
    return output, Counts(pixels * input[0] * input[1], pixels * shared, shared)


def dense_layer(kernel: Kernel, input: Pair, params: ConvParams) -> DenseLayer:
    """Return the dense layer that does what a kernel does to images of so many rows and columns.

    Raises KernelError if its matrix would be too large, or the window larger than the input.
    """
    output, counts = counts_of(kernel, input, params)
    if counts.local > MAX_TAPS or input[0] * input[1] > MAX_TAPS:
        raise KernelError(
            f"kernel {kernel.name}: its windows hold {counts.local:,} pixels, and the matrix may "
            f"have {MAX_TAPS:,} of them; give a smaller --input, or a larger --stride"
        )
    sources = _sources(input, kernel, params)
    weights = np.broadcast_to(kernel.weights.ravel(), sources.shape)
    constant = params.border.value if params.border.mode == "constant" else 0.0
    bias = kernel.bias + constant * (weights * (sources < 0)).sum(axis=1)
    used = (sources >= 0) & (weights != 0)
    rows, places = used.nonzero()
    columns, values = sources[used], weights[used]
    # By row and column, and of those at one pixel the largest first.
    order = np.lexsort((-np.abs(values), columns, rows))
    rows, columns, values, places = rows[order], columns[order], values[order], places[order]
    first = np.ones(len(rows), bool)
    first[1:] = (np.diff(rows) != 0) | (np.diff(columns) != 0)
    starts = first.nonzero()[0]
    return DenseLayer(
        input=input,
        output=output,
        counts=counts,
        data=np.add.reduceat(values, starts) if len(starts) else values,
        indices=columns[starts],
        indptr=np.searchsorted(rows[starts], np.arange(len(sources) + 1)),
        bias=bias,
        places=places[starts],
    )


def _sources(input: Pair, kernel: Kernel, params: ConvParams) -> npt.NDArray[np.int64]:
    """Return the pixel that each weight meets: (output pixels, weights), -1 for a border's number.

    Pixels are counted row by row.
    """
    resolved = params.resolved(kernel.shape, kernel.origin)
    # Counted from 1, so that the zeros of a border are told from pixels.
    pixels = np.arange(1, input[0] * input[1] + 1).reshape(input)
    border = Border("constant") if params.border.mode == "constant" else params.border
    padded = pad(pixels, resolved.margins, border)
    windows = np.lib.stride_tricks.sliding_window_view(padded, resolved.span(kernel.shape))
    (down, across), (gap, side_gap) = params.stride, params.dilation
    taken = windows[::down, ::across, ::gap, ::side_gap] - 1
    return taken.reshape(-1, kernel.weights.size)
