"""Python that does with OpenCV, SciPy or PyTorch what a kernel does here.

Each reads ``image`` and leaves ``result``, of the same shape, in 32-bit floats that are neither
limited nor rounded. Beyond the border lies its nearest pixel, as with ``--border edge``.
"""

from typing import Any

from conv_cli.io.tables import format_number
from conv_cli.kernels.kernel import Kernel
from conv_cli.kernels.learned import ChannelKernel

_OPENCV = """\
# {name}
# image: (H, W) or (H, W, C), of any depth that OpenCV filters.
import cv2
import numpy as np

weights = np.array({weights})
result = cv2.filter2D(
    np.asarray(image, np.float32),
    cv2.CV_32F,
    weights,
    anchor=({column}, {row}),
    delta={bias},
    borderType=cv2.BORDER_REPLICATE,
)
"""

_SCIPY = """\
# {name}
# image: (H, W) or (H, W, C).
import numpy as np
from scipy import ndimage

weights = np.array({weights})
pixels = np.asarray(image, np.float32)
channels = pixels.ndim - 2
result = {bias} + ndimage.correlate(
    pixels,
    weights.reshape(weights.shape + (1,) * channels),
    mode="nearest",
    origin=({down}, {right}) + (0,) * channels,
)
"""

_PYTORCH = """\
# {name}
# image: a tensor (H, W), (C, H, W) or (N, C, H, W), or an array (H, W) or (H, W, C).
import torch
import torch.nn.functional as F

weight = torch.tensor({weights}, dtype=torch.float32)
pixels = torch.as_tensor(image).to(torch.float32)
channels_last = pixels.ndim == 3 and not torch.is_tensor(image)
if channels_last:
    pixels = pixels.movedim(-1, 0)
planes = pixels.reshape(-1, 1, *pixels.shape[-2:])
padded = F.pad(planes, ({left}, {after}, {above}, {below}), mode="replicate")
result = {bias} + F.conv2d(padded, weight[None, None]).reshape(pixels.shape)
if channels_last:
    result = result.movedim(0, -1)
"""

_OPENCV_CHANNELS = """\
# {name}
# image: (H, W, {inputs}), of any depth that OpenCV filters; its channels in the kernels' order,
# which is red, green, blue for colours: cv2.imread has them as blue, green, red.
import cv2
import numpy as np

weights = np.array({weights})
biases = {bias}
pixels = np.asarray(image, np.float32).reshape(*image.shape[:2], {inputs})
filtered = [
    [
        cv2.filter2D(
            np.ascontiguousarray(pixels[..., source]),
            cv2.CV_32F,
            weights[{index}],
            anchor=({column}, {row}),
            borderType=cv2.BORDER_REPLICATE,
        )
        for source in {sources}
    ]
    for channel in range({results})
]
result = np.stack([sum(parts) + bias for parts, bias in zip(filtered, biases)], axis=-1)
"""

_SCIPY_CHANNELS = """\
# {name}
# image: (H, W, {inputs}), its channels in the kernels' order.
import numpy as np
from scipy import ndimage

weights = np.array({weights})
biases = {bias}
pixels = np.asarray(image, np.float32).reshape(*image.shape[:2], {inputs})
filtered = [
    [
        ndimage.correlate(
            pixels[..., source], weights[{index}], mode="nearest", origin=({down}, {right})
        )
        for source in {sources}
    ]
    for channel in range({results})
]
result = np.stack([sum(parts) + bias for parts, bias in zip(filtered, biases)], axis=-1)
"""

_PYTORCH_CHANNELS = """\
# {name}
# image: a tensor ({inputs}, H, W) or (N, {inputs}, H, W), or an array (H, W, {inputs}); its
# channels in the kernels' order.
import torch
import torch.nn.functional as F

weight = torch.tensor({weights}, dtype=torch.float32)
bias = torch.tensor({bias}, dtype=torch.float32)
pixels = torch.as_tensor(image).to(torch.float32)
channels_last = not torch.is_tensor(image)
if channels_last:
    pixels = pixels.reshape(*pixels.shape[:2], {inputs}).movedim(-1, 0)
planes = pixels.reshape(-1, {inputs}, *pixels.shape[-2:])
padded = F.pad(planes, ({left}, {after}, {above}, {below}), mode="replicate")
result = F.conv2d(padded, {weight}, bias{groups})
result = result.reshape(*pixels.shape[:-3], {results}, *pixels.shape[-2:])
if channels_last:
    result = result.movedim(0, -1)
"""


def write_opencv(kernel: Kernel) -> str:
    """Return code for ``cv2.filter2D``, whose anchor is the origin as (column, row)."""
    return _filled(_OPENCV_CHANNELS if isinstance(kernel, ChannelKernel) else _OPENCV, kernel)


def write_scipy(kernel: Kernel) -> str:
    """Return code for ``scipy.ndimage.correlate``, whose origin counts from size//2."""
    return _filled(_SCIPY_CHANNELS if isinstance(kernel, ChannelKernel) else _SCIPY, kernel)


def write_pytorch(kernel: Kernel) -> str:
    """Return code for ``conv2d``, padded so that the origin lies on the pixel."""
    return _filled(_PYTORCH_CHANNELS if isinstance(kernel, ChannelKernel) else _PYTORCH, kernel)


def _filled(template: str, kernel: Kernel) -> str:
    (rows, columns), (row, column) = kernel.shape, kernel.origin
    return template.format(
        name=" ".join(kernel.name.split()),
        weights=_literal(kernel.weights.tolist()),
        bias=repr(list(kernel.biases) if isinstance(kernel, ChannelKernel) else kernel.bias),
        row=row,
        column=column,
        down=row - rows // 2,
        right=column - columns // 2,
        left=column,
        after=columns - 1 - column,
        above=row,
        below=rows - 1 - row,
        **_channels(kernel),
    )


def _channels(kernel: Kernel) -> dict[str, Any]:
    """Return what code for several channels says of them."""
    if not isinstance(kernel, ChannelKernel):
        return {}
    mixes = kernel.mixes
    return {
        "inputs": kernel.inputs,
        "results": kernel.results,
        "sources": f"range({kernel.inputs})" if mixes else "[channel]",
        "index": "channel, source" if mixes else "channel",
        "weight": "weight" if mixes else "weight[:, None]",
        "groups": "" if mixes else f", groups={kernel.inputs}",
    }


def _literal(nested: list[Any], indent: str = "") -> str:
    """Return weights as a list of rows, one a line, or of such lists."""
    if isinstance(nested[0], float):
        return f"[{', '.join(map(_float, nested))}]"
    inner = f"{indent}    "
    parts = (f"{inner}{_literal(each, inner)}," for each in nested)
    return "\n".join(["[", *parts, f"{indent}]"])


def _float(value: float) -> str:
    """Return the literal of a float: with a point even where it is whole."""
    text = format_number(value)
    return text if set(text) & set(".e") else f"{text}.0"
