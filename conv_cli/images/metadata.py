"""EXIF, colour profiles and resolution: what is carried from one file to the next."""

import math
import re
import struct
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags
from PIL import Image as PilImage

from conv_cli.images.image import Image

EXIF_HEAD = b"Exif\0\0"
ORIENTATION = int(ExifTags.Base.Orientation)
UNFIT_PROFILE = ("the colour profile is dropped: it does not fit the pixels",)
_SHORT = 3
_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|>)\s*)([1-8])""")
_TRIAL = np.array(
    [[[level] * 3 for level in (32, 64, 128, 192, 255)] + [[200, 40, 40], [40, 200, 40]]], np.uint8
)
_SAME_LEVELS = 3

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

    0 is returned where it tells none. The head that some formats put before the block is taken
    off. All else stays byte for byte as it is, as maker notes break when a block is built anew.
    """
    block = bytearray(exif.removeprefix(EXIF_HEAD))
    order = {b"II": "<", b"MM": ">"}.get(bytes(block[:2]))
    if order is None:
        return 0, bytes(block)
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
    return 0, bytes(block)


def reset_xmp_orientation(xmp: bytes) -> tuple[int, bytes]:
    """Return the orientation that XMP tells, 0 for none, and the same XMP with it set to 1."""
    found = _XMP_ORIENTATION.search(xmp)
    return int(found[2]) if found else 0, _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def not_srgb(image: Image) -> str | None:
    """Say why the values of an image are not those of sRGB: "its profile is '…'"; None if they are.

    A profile is judged by what it makes of greys and colours, to 3 levels of 255, as names of
    profiles of sRGB differ.
    """
    if image.icc is None or image.not_srgb is not None:
        return image.not_srgb
    from PIL import ImageCms

    mode = "RGB" if image.channels > 2 else "L"
    trial = _TRIAL if mode == "RGB" else _TRIAL[:, :5, :1].repeat(3, axis=2)
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(image.icc))
        name = ImageCms.getProfileDescription(profile).strip()
        picture = PilImage.fromarray(trial if mode == "RGB" else trial[..., 0])
        shown = ImageCms.profileToProfile(
            picture, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return "its profile cannot be read"
    off = np.abs(np.asarray(shown).astype(int) - trial).max()
    return f"its profile is '{name}'" if off > _SAME_LEVELS else None


def descriptions(tags: PilImage.Exif) -> dict[int, str]:
    """Return the texts among the tags that describe a picture."""
    found = {int(tag): tags.get(tag) for tag in _DESCRIPTIVE}
    return {tag: text for tag, text in found.items() if isinstance(text, str)}


def groups(tags: PilImage.Exif) -> dict[int, dict[int, Any]]:
    """Return the tags of how, when and where a picture was taken, by the tag of their group."""
    found = {int(group): dict(tags.get_ifd(group)) for group in _GROUPS}
    for values in found.values():
        values.pop(int(ExifTags.IFD.Interop), None)  # an address in the old file
    return {group: values for group, values in found.items() if values}


def describing_exif(tags: PilImage.Exif) -> bytes | None:
    """Return an EXIF block of the tags that describe a picture, None if there are none.

    For TIFF, where these stand among those that say how the pixels are stored.
    """
    kept = PilImage.Exif()
    kept.update({**descriptions(tags), **groups(tags)})
    return kept.tobytes().removeprefix(EXIF_HEAD) if len(kept) else None


def as_stored(upright: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return a view of upright pixels, (H, W) or (H, W, C), as a file of an orientation has them.

    What is written to it lands where it belongs.
    """
    if orientation in (5, 7):
        upright = upright.swapaxes(0, 1)
    if orientation in (6, 8):
        return np.rot90(upright, 7 - orientation)
    if orientation in (2, 3, 7):
        upright = upright[:, ::-1]
    return upright[::-1] if orientation in (3, 4, 7) else upright


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
