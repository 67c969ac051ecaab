"""EXIF, colour profiles and resolution: what is carried from one file to the next."""

import math
import struct
from typing import Any

from PIL import ExifTags
from PIL import Image as PilImage

EXIF_HEAD = b"Exif\0\0"
ORIENTATION = int(ExifTags.Base.Orientation)
_SHORT = 3

# Of the tags of a TIFF file those that describe the picture, and not how its pixels are stored.
_DESCRIPTIVE = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.HostComputer,
    ExifTags.Base.Copyright,
)
_GROUPS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)


def reset_orientation(exif: bytes) -> tuple[int, bytes]:
    """Return the orientation, 1 to 8, that an EXIF block tells, and the block with it set to 1.

    The head that some formats put before the block is taken off. All else stays byte for byte as
    it is, as maker notes break when a block is built anew.
    """
    block = bytearray(exif.removeprefix(EXIF_HEAD))
    order = {b"II": "<", b"MM": ">"}.get(bytes(block[:2]))
    if order is None:
        return 1, bytes(block)
    try:
        start = struct.unpack_from(f"{order}I", block, 4)[0]
        count = struct.unpack_from(f"{order}H", block, start)[0]
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", block, at)
            if (tag, kind) == (ORIENTATION, _SHORT):
                struct.pack_into(f"{order}H", block, at + 8, 1)
                return (value if 1 <= value <= 8 else 1), bytes(block)
    except struct.error:
        pass  # the block is cut short: what it holds is kept, and it tells no orientation
    return 1, bytes(block)


def descriptive(tags: PilImage.Exif) -> bytes | None:
    """Return an EXIF block of the tags that describe a picture, None if there are none.

    For TIFF, where these stand among those that say how the pixels are stored.
    """
    kept = PilImage.Exif()
    for tag in _DESCRIPTIVE:
        if tag in tags:
            kept[tag] = tags[tag]
    for group in _GROUPS:
        if group in tags and (values := tags.get_ifd(group)):
            kept[group] = values
    return kept.tobytes().removeprefix(EXIF_HEAD) if len(kept) else None


def profile_fits(icc: bytes, channels: int) -> bool:
    """Tell whether a colour profile is one for pixels of so many channels."""
    return icc[36:40] == b"acsp" and icc[16:20] == (b"GRAY" if channels < 3 else b"RGB ")


def usable_dpi(value: Any) -> tuple[float, float] | None:
    """Return dots per inch, across and down, if they are two positive numbers."""
    try:
        across, down = (float(each) for each in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    sane = all(math.isfinite(each) and 0 < each < 1e6 for each in (across, down))
    return (across, down) if sane else None
