"""How kernels slide over an image: one value from the command line, or a model, to the engines."""

from dataclasses import dataclass, replace
from typing import Literal, Self

from conv_cli.borders import Border, Padding
from conv_cli.errors import ConvError

Pair = tuple[int, int]
PaddingChoice = Literal["same", "valid", "full"] | Padding
"""What keeps the size, none, as much as any window can use, or pixels on each side."""
NO_PADDING: Padding = ((0, 0), (0, 0))
_EDGE = Border("edge")


@dataclass(frozen=True, kw_only=True)
class ConvParams:
    """How kernels slide, whatever their size and that of the image.

    stride, dilation : (rows, columns)
    padding : "same", "valid", "full" or ((top, bottom), (left, right)). In words until ``resolved``
        knows the kernel.
    groups : int. Channels and outputs are split into so many groups that do not see each other.
    border : Border. What the padding holds.
    """

    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: PaddingChoice = NO_PADDING
    groups: int = 1
    border: Border = _EDGE

    def resolved(self, kernel: Pair, origin: Pair) -> Self:
        """Return the same with the padding in numbers for kernels of a size and an origin.

        "same" puts the origin at o·dilation from the top left of the padded image.
        """
        if not isinstance(self.padding, str):
            return self
        sizes = zip(kernel, origin, self.dilation, strict=True)
        if self.padding == "valid":
            rows, columns = NO_PADDING
        elif self.padding == "full":
            rows, columns = (((k - 1) * d, (k - 1) * d) for k, _, d in sizes)
        else:
            rows, columns = ((o * d, (k - 1 - o) * d) for k, o, d in sizes)
        return replace(self, padding=(rows, columns))

    def interleaved(self, samples: int) -> Self:
        """Return the same over rows whose pixels are so many samples side by side."""
        rows, (left, right) = self.margins
        return replace(
            self,
            dilation=(self.dilation[0], self.dilation[1] * samples),
            padding=(rows, (left * samples, right * samples)),
        )

    @property
    def margins(self) -> Padding:
        """The padding in numbers."""
        assert not isinstance(self.padding, str), "resolve the padding for a kernel first"
        return self.padding

    def span(self, kernel: Pair) -> Pair:
        """Return rows and columns of the window that a dilated kernel covers."""
        rows, columns = ((k - 1) * d + 1 for k, d in zip(kernel, self.dilation, strict=True))
        return rows, columns

    def padded(self, size: Pair) -> Pair:
        """Return rows and columns of an image with its border."""
        (top, bottom), (left, right) = self.margins
        return size[0] + top + bottom, size[1] + left + right

    def output(self, size: Pair, kernel: Pair) -> Pair:
        """Return rows and columns of the feature map of an image: floor((n - window)/stride) + 1.

        Raises ConvError if the window is larger than the padded image.
        """
        padded, span = self.padded(size), self.span(kernel)
        if any(w > n for w, n in zip(span, padded, strict=True)):
            raise ConvError(
                f"the kernel's window of {span[0]}x{span[1]} is larger than the image "
                f"of {padded[0]}x{padded[1]} with its padding; use a smaller kernel "
                "or more padding"
            )
        rows, columns = (
            (n - w) // s + 1 for n, w, s in zip(padded, span, self.stride, strict=True)
        )
        return rows, columns

    def window(self, tile: Pair, kernel: Pair) -> Pair:
        """Return rows and columns of padded input that a tile of output needs."""
        rows, columns = (
            (t - 1) * s + w for t, s, w in zip(tile, self.stride, self.span(kernel), strict=True)
        )
        return rows, columns
