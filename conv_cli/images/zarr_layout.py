"""How a Zarr array is laid out, and what is said of it: axes, chunks, and how far pixels are apart.

Reference: OME-NGFF 0.4 and 0.5, multiscales.
"""

import copy
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from numpy.typing import NDArray

CHUNK = 512
"""Rows and columns of a chunk, if nothing else is said."""


class ZarrPlace(NamedTuple):
    """Where the pixels of a map lie in the image that it is made of.

    first : (row, column). Of its first pixel.
    step : (rows, columns). From one of its pixels to the next.
    """

    first: tuple[int, int]
    step: tuple[int, int]


@dataclass(frozen=True)
class ZarrLayout:
    """How a Zarr array is laid out, and what is said of it.

    version : int. Of Zarr, 2 or 3.
    axes : tuple of str. Among them "y" and "x", and "c" where there are channels.
    chunks, shards : tuple of int, of an axis each. Shards None: a chunk is a file.
    compressors. As zarr takes them.
    attributes : dict. Of the array.
    group : dict or None. The attributes of the group that it is level 0 of.
    """

    version: int = 3
    axes: tuple[str, ...] = ("y", "x", "c")
    chunks: tuple[int, ...] = (CHUNK, CHUNK, 1)
    shards: tuple[int, ...] | None = None
    compressors: Any = "auto"
    attributes: dict[str, Any] = field(default_factory=dict)
    group: dict[str, Any] | None = None
    named: bool = False

    def index(self, rows: slice, columns: slice) -> tuple[slice | int, ...]:
        """Return what indexes an array at some rows and columns, and the first of other axes."""
        known: dict[str, slice | int] = {"y": rows, "x": columns, "c": slice(None)}
        return tuple(known.get(axis, 0) for axis in self.axes)

    def as_pixels(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values that were indexed so as pixels (h, w) or (h, w, C)."""
        order = [axis for axis in self.axes if axis in "yxc"]
        pixels = values.transpose([order.index(axis) for axis in "yxc" if axis in order])
        return pixels[..., 0] if pixels.shape[2:] == (1,) else pixels

    def as_values(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return pixels (h, w) or (h, w, C) as values for such an index."""
        order = [axis for axis in self.axes if axis in "yxc"]
        whole = pixels[..., None] if pixels.ndim == 2 and "c" in order else pixels
        return whole.transpose(["yxc".index(axis) for axis in order])

    def moved(self, place: ZarrPlace) -> "ZarrLayout":
        """Return it with the scale and the place of a map's pixels."""
        if self.group is None:
            return self
        group = copy.deepcopy(self.group)
        for scale in multiscales(group):
            levels = scale["datasets"][:1]
            for level in levels:
                level["path"] = "0"
                level["coordinateTransformations"] = _moved(
                    level.get("coordinateTransformations", []), self.axes, place
                )
            scale["datasets"] = levels
        return replace(self, group=group)


def _moved(steps: list[Any], axes: tuple[str, ...], place: ZarrPlace) -> list[Any]:
    """Return coordinate transformations of an image as those of a map of it."""
    scale = next((each["scale"] for each in steps if "scale" in each), [1.0] * len(axes))
    shift = next((each["translation"] for each in steps if "translation" in each), None)
    start = shift or [0.0] * len(axes)
    new_scale, new_start = list(scale), list(start)
    for axis, first, step in zip("yx", place.first, place.step, strict=True):
        at = axes.index(axis)
        new_start[at] = start[at] + first * scale[at]
        new_scale[at] = scale[at] * step
    made: list[Any] = [{"type": "scale", "scale": new_scale}]
    if shift is not None or new_start != list(start):
        made.append({"type": "translation", "translation": new_start})
    return made


def multiscales(attributes: dict[str, Any]) -> list[Any]:
    """Return what OME-Zarr says of the images in a group, in place."""
    ome = attributes.get("ome", attributes)
    found = ome.get("multiscales") if isinstance(ome, dict) else None
    return found if isinstance(found, list) else []
