"""Kernels: what they are, the built-in ones, and how they are named, read and written."""

from conv_cli.kernels.catalogue import CATALOGUE
from conv_cli.kernels.family import Family, FamilySet, Parameter
from conv_cli.kernels.formats import dump_kernel
from conv_cli.kernels.kernel import MAX_WEIGHTS, Kernel, Normalization
from conv_cli.kernels.spec import load_kernel, load_kernels

__all__ = [
    "CATALOGUE",
    "MAX_WEIGHTS",
    "Family",
    "FamilySet",
    "Kernel",
    "Normalization",
    "Parameter",
    "dump_kernel",
    "load_kernel",
    "load_kernels",
]
