"""Every error that bad input can cause, under one root.

Each carries one message and nothing else, so that it crosses processes whole. The message names
the value at fault and says what to do; ``cli/boundary.py`` alone turns it into an exit code.
"""


class ConvError(ValueError):
    """Root of all errors that conv-cli raises on purpose; a ValueError for callers in Python."""


class KernelError(ConvError):
    """A kernel that cannot be read or used: unknown name, ragged rows, no number."""


class ImageError(ConvError):
    """An image file that cannot be read or written, or pixels that its format cannot hold."""


class ModelError(ConvError):
    """A network model that is malformed."""


class FitError(ConvError):
    """A pair of images that no kernel can be fitted to."""


class PatternError(ConvError):
    """A pattern that cannot be searched for: without detail, or larger than the image."""


class ProgramError(ConvError):
    """A program that cannot be run, fails, or leaves no picture."""
