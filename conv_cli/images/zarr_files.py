"""Zarr arrays, versions 2 and 3, and level 0 of an OME-Zarr: read by windows, written by chunks.

References: the Zarr specifications 2 and 3; OME-NGFF 0.4 and 0.5, which say where in a group the
arrays of an image lie, which axes they have, and how far apart their pixels are.
"""

from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from conv_cli.errors import ImageError
from conv_cli.images.formats import require_zarr
from conv_cli.images.image import Image, ImageInfo, Opened, check_size
from conv_cli.images.windows import SegmentRows, by_windows
from conv_cli.images.zarr_layout import CHUNK, ZarrLayout, multiscales

_BLOCK_BYTES = 1 << 20
"""What is read at a time, at least: chunks of fewer are taken together."""
_BLOCK_ROWS = 256
_BAND_BYTES = 32 << 20
"""Chunks and shards are made smaller where a row of them would take more."""
_STRIP_BYTES = 2 << 20
_OLD_AXES = ("t", "c", "z", "y", "x")


def open_zarr(path: str, max_pixels: int, *, windows: bool) -> Opened:
    """Open an array, or level 0 of the first image of an OME-Zarr.

    windows : bool. Leave the pixels of a large one where they are, to be read by windows.

    Raises ImageError for what is no image, or too large to be read as a whole.
    """
    require_zarr()
    array, group, axes = _found(path)
    dtype = np.dtype(array.dtype)
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise ImageError(f"holds {dtype}, not numbers that pixels can be; save it as float32")
    layout = _layout(array, group, axes)
    height, width, channels = (
        array.shape[axes.index(axis)] if axis in axes else 1 for axis in "yxc"
    )
    if not (height and width and channels):
        raise ImageError(f"has the shape {array.shape}, which holds no pixel; save it anew")
    made = np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")
    # The bounds of 64-bit numbers are looked for among all of them.
    bounded = dtype.kind == "f" or dtype.itemsize < 8
    windowed = windows and bounded and by_windows(height, width, max_pixels)
    if not windowed:
        check_size(width, height, max_pixels)
    info = ImageInfo(height, width, channels, False, made, "zarr", windowed=windowed)
    others = [n for axis, n in zip(axes, array.shape, strict=True) if axis not in "yxc"]
    notes: tuple[str, ...] = ()
    if (count := int(np.prod(others, dtype=np.int64))) > 1:
        notes = (f"holds {count} planes; only the first is read",)

    def fetch(rows: slice, columns: slice) -> NDArray[Any]:
        pixels = layout.as_pixels(np.asarray(array[layout.index(rows, columns)]))
        if dtype.kind == "b":
            return np.where(pixels, np.uint8(255), np.uint8(0))
        return pixels.astype(made, copy=False)

    def read(_: bool) -> Image:
        if not windowed:
            pixels = np.ascontiguousarray(fetch(slice(0, height), slice(0, width)))
            return Image(pixels, format="zarr", zarr=layout, notes=notes)
        rows, columns = _block(layout, info)

        def segment(i: int, j: int) -> NDArray[Any]:
            return fetch(
                slice(i * rows, min((i + 1) * rows, height)),
                slice(j * columns, min((j + 1) * columns, width)),
            )

        windows = SegmentRows(info.shape, made, (rows, columns), segment)
        return Image(cast("NDArray[Any]", windows), format="zarr", zarr=layout, notes=notes)

    return Opened(info, read)


def _found(path: str) -> tuple[Any, dict[str, Any] | None, tuple[str, ...]]:
    """Return an array, the attributes of the group that it is level 0 of, and its axes."""
    import zarr

    try:
        node: Any = zarr.open(path, mode="r")
        if isinstance(node, zarr.Group) and not multiscales(dict(node.attrs)) and "0" in node:
            node = node["0"]  # as bioformats2raw lays images out
        if not isinstance(node, zarr.Group):
            return node, None, _axes_of(node, ())
        attributes = dict(node.attrs)
        images = multiscales(attributes)
        level = node[images[0]["datasets"][0]["path"]] if images else None
    except (OSError, ImageError):
        raise
    except Exception as error:  # its own errors are of many kinds
        words = " ".join(str(error).split())[:100] or type(error).__name__
        raise ImageError(f"cannot be read: damaged, or no Zarr that is known ({words})") from error
    if level is None:
        raise ImageError("is a Zarr group, and no OME-Zarr; name an array in it, as scan.zarr/0")
    names = tuple(
        str(axis["name"] if isinstance(axis, dict) else axis)
        for axis in images[0].get("axes", _OLD_AXES)
    )
    return level, attributes, _axes_of(level, names)


def _axes_of(array: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the axes of an array, by what is said of it, or as .npy files have them."""
    told = names or tuple(getattr(array.metadata, "dimension_names", None) or ())
    told = told or tuple(dict(array.attrs).get("_ARRAY_DIMENSIONS", ()))
    axes = tuple(str(name).lower() for name in told)
    if len(axes) == array.ndim and axes.count("y") == axes.count("x") == 1:
        return axes
    if array.ndim in (2, 3):
        return ("y", "x", "c")[: array.ndim]
    raise ImageError(
        f"has the shape {array.shape}, and does not say which axes are y and x; save one image as "
        "(H, W) or (H, W, C)"
    )


def _layout(array: Any, group: dict[str, Any] | None, axes: tuple[str, ...]) -> ZarrLayout:
    return ZarrLayout(
        array.metadata.zarr_format,
        axes,
        tuple(array.chunks),
        None if array.shards is None else tuple(array.shards),
        array.compressors or None,
        dict(array.attrs),
        group,
        named=getattr(array.metadata, "dimension_names", None) is not None,
    )


def _block(layout: ZarrLayout, info: ImageInfo) -> tuple[int, int]:
    """Return rows and columns of what is read at a time: whole chunks."""
    rows, columns = (layout.chunks[layout.axes.index(axis)] for axis in "yx")
    size = info.channels * info.dtype.itemsize
    across = min(-(-_BLOCK_BYTES // (rows * columns * size)), -(-info.width // columns))
    columns *= max(across, 1)
    down = min(_BLOCK_BYTES // (rows * columns * size), _BLOCK_ROWS // rows)
    return rows * max(down, 1), columns


class ZarrSink:
    """Writes the rows of an array, a band of chunks when it is whole.

    folder : Path. Where the array, or the group that it is in, is made.
    image : Image. What describes the picture, its layout among it; its pixels tell shape and dtype
        alone.
    """

    def __init__(self, folder: Path, image: Image) -> None:
        require_zarr()
        self._layout = layout = image.zarr or ZarrLayout(
            axes=("y", "x", "c")[: image.pixels.ndim],
            chunks=(CHUNK, CHUNK, max(image.channels, 1))[: image.pixels.ndim],
        )
        if image.channels > 1 and "c" not in layout.axes:
            axes = layout.axes
            self._layout = layout = replace(
                layout, axes=(*axes, "c"), chunks=(*layout.chunks, image.channels), shards=None
            )
        sizes = {"y": image.shape[0], "x": image.shape[1], "c": image.channels}
        shape = tuple(sizes.get(axis, 1) for axis in layout.axes)
        self._height, self._image = image.shape[0], image
        self._array, self._band = _created(folder, layout, shape, image.dtype)
        # Strips are copied to bands, so that few of these are in memory.
        self.strip_rows = max(1, _STRIP_BYTES * image.shape[0] // image.pixels.nbytes)
        self._bands: dict[int, tuple[NDArray[Any], list[int]]] = {}
        self._lock = Lock()

    def put(self, top: int, rows: NDArray[Any]) -> None:
        """Take the rows from ``top`` on; strips come in any order."""
        stop, at = top + len(rows), top
        while at < stop:
            first = at // self._band * self._band
            end = min(first + self._band, stop)
            band, missing = self._taken(first)
            band[at - first : end - first] = rows[at - top : end - top]
            with self._lock:
                missing[0] -= end - at
                whole = not missing[0]
                if whole:
                    del self._bands[first]
            if whole:
                index = self._layout.index(slice(first, first + len(band)), slice(None))
                self._array[index] = self._layout.as_values(band)
            at = end

    def finish(self) -> tuple[str, ...]:
        """Return what a user must be told."""
        return ()

    def _taken(self, first: int) -> tuple[NDArray[Any], list[int]]:
        """Return the band that begins at a row, and how many of its rows are missing."""
        with self._lock:
            if first not in self._bands:
                count = min(self._band, self._height - first)
                band = np.empty((count, *self._image.shape[1:]), self._image.dtype)
                self._bands[first] = band, [count]
            return self._bands[first]


def _created(
    folder: Path, layout: ZarrLayout, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> tuple[Any, int]:
    """Make an array, and its group, and return it with how many rows are written at a time."""
    import zarr

    row = int(np.prod(shape, dtype=np.int64)) // shape[layout.axes.index("y")] * dtype.itemsize
    most = max(1, _BAND_BYTES // row)
    chunks = list(map(min, layout.chunks, shape))
    at = layout.axes.index("y")
    shards = layout.shards
    if shards is not None and shards[at] > most:
        shards = None
    while shards is None and chunks[at] > most:
        chunks[at] = max(chunks[at] // 2, 1)
    if shards is not None:
        chunks = list(layout.chunks)
    store: Any = folder
    if layout.group is not None:
        group = zarr.create_group(folder, zarr_format=layout.version)  # type: ignore[arg-type]
        group.attrs.update(_fitting(layout, shape))
        store = folder / "0"
    array = zarr.create_array(
        store,
        shape=shape,
        dtype=dtype,
        chunks=tuple(chunks),
        shards=shards,
        compressors=layout.compressors,
        fill_value=0,
        zarr_format=layout.version,  # type: ignore[arg-type]
        attributes=layout.attributes,
        dimension_names=layout.axes if layout.named else None,
        config={"write_empty_chunks": True},
    )
    return array, shards[at] if shards is not None else chunks[at]


def _fitting(layout: ZarrLayout, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the attributes of the group, without those of other channels than there are."""
    attributes = dict(layout.group or {})
    ome = dict(attributes["ome"]) if "ome" in attributes else attributes
    channels = shape[layout.axes.index("c")] if "c" in layout.axes else 1
    told = ome.get("omero", {})
    if isinstance(told, dict) and len(told.get("channels", [])) not in (0, channels):
        ome.pop("omero")
    return {**attributes, "ome": ome} if "ome" in attributes else ome
