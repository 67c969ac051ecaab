"""Image filters by cross-correlation: the public names, each loaded when it is first used.

``conv-cli --help`` imports this package, and must not wait for NumPy and Pillow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conv_cli.filtering import filter_image
    from conv_cli.fitting.fit import fit_kernel
    from conv_cli.fitting.result import Fit
    from conv_cli.images import Image, read_image, write_image
    from conv_cli.kernels.kernel import Kernel
    from conv_cli.kernels.spec import load_kernel, load_kernels
    from conv_cli.layers import Conv2D, conv2d, corr2d
    from conv_cli.networks.network import Network

_HOMES = {
    "Conv2D": "conv_cli.layers",
    "Fit": "conv_cli.fitting.result",
    "Image": "conv_cli.images",
    "Kernel": "conv_cli.kernels.kernel",
    "Network": "conv_cli.networks.network",
    "conv2d": "conv_cli.layers",
    "corr2d": "conv_cli.layers",
    "filter_image": "conv_cli.filtering",
    "fit_kernel": "conv_cli.fitting.fit",
    "load_kernel": "conv_cli.kernels.spec",
    "load_kernels": "conv_cli.kernels.spec",
    "read_image": "conv_cli.images",
    "write_image": "conv_cli.images",
}

__all__ = [
    "Conv2D",
    "Fit",
    "Image",
    "Kernel",
    "Network",
    "conv2d",
    "corr2d",
    "filter_image",
    "fit_kernel",
    "load_kernel",
    "load_kernels",
    "read_image",
    "write_image",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("conv-cli")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__, "__version__"]
