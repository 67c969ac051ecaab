"""Pictures that a page holds in itself."""

import base64
import io
from typing import Any

import numpy.typing as npt

from conv_cli.images import encode_image


def png_bytes(pixels: npt.NDArray[Any]) -> bytes:
    """Return pixels (H, W) or (H, W, 3), uint8 or uint16, as a PNG file."""
    stream = io.BytesIO()
    encode_image(stream, pixels, "png")
    return stream.getvalue()


def data_uri(pixels: npt.NDArray[Any]) -> str:
    """Return pixels as the address of a picture, which is the picture itself."""
    return f"data:image/png;base64,{base64.b64encode(png_bytes(pixels)).decode()}"
