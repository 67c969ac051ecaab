"""Many pairs of files: read when a pass over pixels comes to them, and kept as memory allows.

Every sum over pixels is one over pairs, so that the kernel is the same as of all pairs at once.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.pairs import Pair
from conv_cli.images import MAX_PIXELS, ImageInfo, probe_image, read_image
from conv_cli.parallel.kept import Kept

Array = npt.NDArray[Any]

MOST_BYTES = 96 << 20
"""What pairs may take in memory before they are read anew for each pass."""
_MOST_BITS = 48 << 20
"""What is kept of which pixels count, eight in a byte: it is asked for most often."""
_FEWEST = 4
"""Fewer pairs are always read at once."""
_A_SAMPLE = 5
"""Bytes that a sample of a picture takes: as float32, and whether it counts."""


class StoredImage:
    """An image that stays in its file, and is an array when it is asked to be.

    path, max_pixels : of the file.
    info : ImageInfo. What its header says.
    """

    def __init__(self, path: str, info: ImageInfo, max_pixels: int) -> None:
        self._path, self._info, self._max_pixels = path, info, max_pixels
        self._region: tuple[int, int, int, int] | None = None
        self.alpha, self.dtype, self.shape = info.alpha, info.dtype, info.shape
        self.ndim = len(info.shape)

    def window(
        self, row: int, column: int, height: int, width: int, *, name: str = "the window"
    ) -> "StoredImage":
        """Return a part of it. Raises ImageError, with its name, if it reaches beyond."""
        part = StoredImage(self._path, self._info, self._max_pixels)
        part._region = row, column, height, width
        part.shape = (height, width, *self.shape[2:])
        if row + height > self.shape[0] or column + width > self.shape[1]:
            self._read().window(row, column, height, width, name=name)  # which says why not
        return part

    def _read(self) -> Any:
        return read_image(self._path, max_pixels=self._max_pixels)

    @property
    def pixels(self) -> Array:
        """The pixels."""
        return np.asarray(self)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Return the pixels."""
        image = self._read()
        if self._region is not None:
            image = image.window(*self._region)
        return np.asarray(image.pixels, dtype)


def stored(paths: Sequence[str], max_pixels: int = MAX_PIXELS) -> list[StoredImage] | None:
    """Return images that stay in their files; None where they are few enough to be read at once.

    Raises ImageError for a file whose header cannot be read.
    """
    if len(paths) < _FEWEST:
        return None
    infos = [probe_image(path, max_pixels=max_pixels) for path in paths]
    if sum(np.prod(info.shape, dtype=np.int64) for info in infos) * _A_SAMPLE <= MOST_BYTES // 2:
        return None
    return [StoredImage(path, info, max_pixels) for path, info in zip(paths, infos, strict=True)]


class _Place(NamedTuple):
    """Where a field of a pair is found: the pair by its number, and the plane of it."""

    kept: Kept[int, list[Pair]]
    number: int
    plane: int
    shape: tuple[int, ...]
    bits: "Kept[tuple[int, int], _Bits] | None" = None


class _Bits(NamedTuple):
    """Truth values, eight in a byte."""

    packed: npt.NDArray[np.uint8]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, values: Array) -> "_Bits":
        return cls(np.packbits(values), values.shape)

    def values(self) -> Array:
        count = int(np.prod(self.shape))
        return np.unpackbits(self.packed, count=count).view(np.bool_).reshape(self.shape)


def _field(index: int) -> Any:
    """Return a property that gives an array of a pair, wherever it is."""

    def get(pair: Pair) -> Array:
        item: Any = tuple.__getitem__(pair, index)
        if isinstance(item, _Place) and item.bits is not None:
            item = item.bits.get((item.number, item.plane))
        elif isinstance(item, _Place):
            item = item.kept.get(item.number)[item.plane][index]
        return item.values() if isinstance(item, _Bits) else item

    return property(get)


class StoredPair(Pair):
    """A pair whose arrays are made when they are used; those that are replaced are its own."""

    __slots__ = ()
    x, y, usable, held_out, ends = (_field(Pair._fields.index(name)) for name in
                                    ("x", "y", "usable", "held_out", "ends"))  # fmt: skip

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Those of input and target, which are known without reading them."""
        items: tuple[Any, ...] = tuple(self)
        before, after = (items[Pair._fields.index(name)].shape for name in "xy")
        return before, after

    def _replace(self, **fields: Any) -> "StoredPair":
        for name, value in fields.items():
            if isinstance(value, np.ndarray) and value.dtype == np.bool_:
                fields[name] = _Bits.of(value)
        return super()._replace(**fields)


def planes_of(make: Sequence[Callable[[], list[Pair]]]) -> list[list[Pair]]:
    """Return the planes of pairs, each pair made anew when a pass comes to it.

    make : sequence of callable. Each makes the planes of one pair; called once at once, so that
        what is wrong with a pair is raised here.
    """
    kept = Kept[int, list[Pair]](lambda number: make[number](), _bytes_of, MOST_BYTES)
    bits = Kept[tuple[int, int], _Bits](
        lambda key: _Bits.of(kept.get(key[0])[key[1]].usable),
        lambda each: each.packed.nbytes,
        _MOST_BITS,
    )
    held_out: dict[tuple[int, ...], Array] = {}  # which is the same in pictures of one size
    planes: list[list[Pair]] = []
    for number in range(len(make)):
        planes.append([])
        for plane, pair in enumerate(kept.get(number)):
            place = partial(_Place, kept, number, plane)
            fields = pair._asdict() | {
                "x": place(pair.x.shape),
                "y": place(pair.y.shape),
                "usable": place(pair.usable.shape, bits),
                "ends": place(pair.ends.shape),
                "held_out": held_out.setdefault(pair.held_out.shape, pair.held_out),
            }
            planes[-1].append(StoredPair(**fields))
    return planes


def _bytes_of(pairs: list[Pair]) -> int:
    arrays = {id(each): each for pair in pairs for each in pair if isinstance(each, np.ndarray)}
    return sum(each.nbytes for each in arrays.values())
