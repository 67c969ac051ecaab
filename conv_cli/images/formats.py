"""The one table of file formats: their suffixes, and what each can hold when it is written.

A new one has a line here; `headers.identify` tells it by its first bytes, `pillow` names what
decodes it, and `writing` what encodes it.
"""

import os
from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from conv_cli.errors import ImageError
from conv_cli.io.tables import ENDINGS


class Format(NamedTuple):
    """A file format.

    `holds` maps the dtypes that it can be written with to the channel counts; 2 and 4 are with
    opacity. `extra` are those that need the tiff extra, which takes any number of bands.
    """

    title: str
    suffixes: tuple[str, ...]
    holds: Mapping[str, tuple[int, ...]] = MappingProxyType({})
    extra: Mapping[str, range] = MappingProxyType({})


_ALL = (1, 2, 3, 4)
_BANDS, _ANY = range(2, 1 << 16), range(1, 1 << 16)

FORMATS = {
    "png": Format("PNG", (".png", ".apng"), {"uint8": _ALL, "uint16": _ALL}),
    "jpeg": Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), {"uint8": (1, 3)}),
    "tiff": Format(
        "TIFF",
        (".tif", ".tiff"),
        {"uint8": _ALL, "uint16": (1,), "int32": (1,), "float32": (1,)},
        {"uint8": _BANDS, "uint16": _BANDS, "int32": _BANDS, "float32": _BANDS, "float64": _ANY},
    ),
    "webp": Format("WebP", (".webp",), {"uint8": _ALL}),
    "bmp": Format("BMP", (".bmp",), {"uint8": (1, 3)}),
    "gif": Format("GIF", (".gif",), {"uint8": (1,)}),
    "pgm": Format("PGM", (".pgm",), {"uint8": (1,), "uint16": (1,)}),
    "ppm": Format("PPM", (".ppm",), {"uint8": (3,), "uint16": (3,)}),
    "pnm": Format("PNM", (".pnm",), {"uint8": (1, 3), "uint16": (1, 3)}),
    "pbm": Format("PBM", (".pbm",)),
    "pfm": Format("PFM", (".pfm",), {"float32": (1, 3)}),
    "pam": Format("PAM", (".pam",), {"uint8": _ALL, "uint16": _ALL}),
    "hdr": Format("Radiance HDR", (".hdr",)),
    "fits": Format("FITS", (".fits", ".fit", ".fts")),
    "tga": Format("TGA", (".tga",), {"uint8": _ALL}),
    "jp2": Format("JPEG 2000", (".jp2",), {"uint8": _ALL, "uint16": (1,)}),
    "j2k": Format("JPEG 2000", (".j2k", ".j2c"), {"uint8": _ALL, "uint16": (1,)}),
    "avif": Format("AVIF", (".avif",), {"uint8": _ALL}),
    "ico": Format("ICO", (".ico",)),
    "npy": Format(".npy", (".npy",)),
    "npz": Format(".npz", (".npz",)),
    "zarr": Format("Zarr", (".zarr",)),
    "csv": Format(".csv", (".csv",)),
    "txt": Format(".txt", (".txt",)),
}

TABLE_FORMATS = frozenset(ending.removeprefix(".") for ending in ENDINGS)
"""Text: every dtype of one channel."""

ARRAY_FORMATS = frozenset({"npy", "npz", "zarr"}) | TABLE_FORMATS
"""Formats that hold every dtype, and no meaning."""

REAL_FORMATS = ARRAY_FORMATS - {"zarr"}
"""Formats that results are written to as floats, if nothing else is said."""

ROW_FORMATS = frozenset({"png", "tiff", "npy", "zarr", "pgm", "ppm", "pnm"})
"""Formats whose rows can be written as they come, so that no picture is in memory."""
JOINED_FORMATS = frozenset({"tiff", "gif", "png", "webp"})
"""Formats that one file of several pages or frames is written in."""

LOSSY_FORMATS = frozenset({"jpeg", "webp", "avif"})
"""Formats whose files have a quality."""

FLOAT_FORMATS = ARRAY_FORMATS | {name for name, kind in FORMATS.items() if "float32" in kind.holds}
"""Formats that hold float32 pixels."""

READABLE_SUFFIXES = frozenset(
    suffix
    for name, kind in FORMATS.items()
    if name not in TABLE_FORMATS
    for suffix in kind.suffixes
)
"""Suffixes, in lower case, of the files in a folder that are taken for images."""

WRITABLE = {
    suffix: name
    for name, kind in FORMATS.items()
    if kind.holds or name in ARRAY_FORMATS
    for suffix in kind.suffixes
    if suffix not in (".apng", ".mpo")
}
"""The format that each suffix, in lower case, is written as."""

SUPPORTED = (
    "PNG, JPEG, TIFF, WebP, BMP, GIF, PNM, PFM, PAM, TGA, JPEG 2000, AVIF, ICO, Radiance HDR, "
    "FITS, Zarr, .npy or .npz"
)


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the format that a file name's suffix stands for, such as "png".

    Raises ImageError for a suffix that cannot be written.
    """
    suffix = PurePath(path).suffix.lower()
    if suffix in WRITABLE:
        return WRITABLE[suffix]
    reason = f"{suffix} cannot be written" if suffix else "has no suffix to tell the format"
    raise ImageError(f"{os.fspath(path)}: {reason}; use one of {' '.join(WRITABLE)}")


def can_hold(
    format: str, dtype: DTypeLike, channels: int, alpha: bool, *, joined: bool = False
) -> None:
    """Raise ImageError, with a way out, unless a file of this format can hold such pixels.

    format : str. As `format_of` returns it.
    dtype : dtype. Of the pixels, in memory as in the file.
    channels : int. How many there are, opacity among them.
    alpha : bool. The last channel is opacity.
    joined : bool. They are one frame of several in a file.
    """
    if format not in WRITABLE.values():
        known = ", ".join(dict.fromkeys(WRITABLE.values()))
        raise ImageError(f"{format!r} is no format that can be written; use one of {known}")
    if format in ARRAY_FORMATS:
        if format == "zarr":
            require_zarr()
        if format in TABLE_FORMATS and channels > 1:
            raise ImageError(
                f".{format} holds one channel, not {channels}; use --channels grey, or write .npy"
            )
        return
    kind, name = FORMATS[format], np.dtype(dtype).name
    if _fits(channels, alpha, kind.holds.get(name, ())):
        return
    if joined and format == "gif" and name == "uint8" and _fits(channels, alpha, _ALL):
        return  # which gives every frame colours of its own, and has no still of them
    if channels in kind.extra.get(name, ()):
        if has_tiff_extra():
            return
        raise ImageError(
            f"{describe(name, channels)} TIFF needs the tiff extra: pip install 'conv-cli[tiff]', "
            f"in a clone '.[tiff]'; or {'write PNG' if name == 'uint16' else 'write .npy'}"
        )
    raise ImageError(_refusal(kind, name, channels, alpha))


def uses_extra(format: str, dtype: np.dtype[Any], channels: int, alpha: bool) -> bool:
    """Tell whether such pixels, which the format can hold, are written by the tiff extra."""
    return not _fits(channels, alpha, FORMATS[format].holds.get(dtype.name, ()))


def has_tiff_extra() -> bool:
    """Tell whether the tiff extra is installed."""
    from importlib.util import find_spec

    return find_spec("tifffile") is not None


def require_zarr() -> None:
    """Raise ImageError if the zarr extra is missing."""
    from importlib.util import find_spec

    if find_spec("zarr") is None:
        raise ImageError(
            "Zarr needs the zarr extra: pip install 'conv-cli[zarr]', in a clone '.[zarr]'"
        )


def describe(dtype: str, channels: int) -> str:
    """Return pixels in words: "16-bit colour", "float32 grey"."""
    depth = {"uint8": "8-bit", "uint16": "16-bit"}.get(dtype, dtype)
    return f"{depth} {'grey' if channels < 3 else 'colour' if channels < 5 else 'bands'}"


def _fits(channels: int, alpha: bool, counts: tuple[int, ...]) -> bool:
    """Two and four channels are kept as such only if the last is opacity."""
    return channels in counts and alpha == (channels in (2, 4))


def _refusal(kind: Format, dtype: str, channels: int, alpha: bool) -> str:
    counts = kind.holds.get(dtype, ())
    if not counts:
        depths = [describe(each, 1).removesuffix(" grey") for each in kind.holds]
        way = {"8-bit": "--depth 8", "16-bit": "--depth 16", "float32": "--depth float32"}
        options = " or ".join(way[depth] for depth in depths if depth in way)
        mine = describe(dtype, 1).removesuffix(" grey")
        return f"{kind.title} holds {' or '.join(depths)}, not {mine}; use {options}, or write .npy"
    if alpha and channels - 1 in counts:
        return f"{kind.title} holds no opacity; write PNG, or TIFF"
    if channels - alpha == 3 and 1 in counts:
        return f"{kind.title} holds one channel; use --channels grey, or write PNG"
    if channels - alpha == 1 and 3 in counts:
        return f"{kind.title} holds colour, not {describe(dtype, 1)}; write PNG, PGM or TIFF"
    return f"{kind.title} cannot hold {channels} channels; write TIFF or .npy"
