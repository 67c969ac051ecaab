"""Images in and out: every depth in full, upright, and never half a picture.

The only importer of Pillow. `read_image` gives an `Image`, `write_image` and `encode_image` take
one; `probe_image` tells from the header what reading would give, and `can_hold` before any work
whether a format can hold what is to be written.
"""

from conv_cli.images.codecs import jpeg_luma, lossy_codec
from conv_cli.images.formats import (
    ARRAY_FORMATS,
    FLOAT_FORMATS,
    FORMATS,
    JOINED_FORMATS,
    LOSSY_FORMATS,
    READABLE_SUFFIXES,
    REAL_FORMATS,
    ROW_FORMATS,
    WRITABLE,
    can_hold,
    format_of,
)
from conv_cli.images.frames import FIRST, FrameChoice, Frames, open_frames, read_frames
from conv_cli.images.image import MAX_PIXELS, Image, ImageInfo
from conv_cli.images.joining import open_joined
from conv_cli.images.metadata import not_srgb
from conv_cli.images.reading import (
    file_format,
    format_of_start,
    probe_image,
    read_image,
    stream_bytes,
)
from conv_cli.images.reducing import reduced, resized
from conv_cli.images.sources import PixelRows
from conv_cli.images.windows import is_zarr, window_pixels
from conv_cli.images.writing import Sink, encode_image, open_sink, write_image
from conv_cli.images.zarr_layout import ZarrPlace

__all__ = [
    "ARRAY_FORMATS",
    "FIRST",
    "FLOAT_FORMATS",
    "FORMATS",
    "JOINED_FORMATS",
    "LOSSY_FORMATS",
    "MAX_PIXELS",
    "READABLE_SUFFIXES",
    "REAL_FORMATS",
    "ROW_FORMATS",
    "WRITABLE",
    "FrameChoice",
    "Frames",
    "Image",
    "ImageInfo",
    "PixelRows",
    "Sink",
    "ZarrPlace",
    "can_hold",
    "encode_image",
    "file_format",
    "format_of",
    "format_of_start",
    "is_zarr",
    "jpeg_luma",
    "lossy_codec",
    "not_srgb",
    "open_frames",
    "open_joined",
    "open_sink",
    "probe_image",
    "read_frames",
    "read_image",
    "reduced",
    "resized",
    "stream_bytes",
    "window_pixels",
    "write_image",
]
