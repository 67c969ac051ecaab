"""The command group, and the entry point."""

import os

import click

from conv_cli.cli import boundary
from conv_cli.cli.apply import apply


@click.group(
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="conv-cli", prog_name="conv-cli")
def cli() -> None:
    """Filter images with any kernel: cross-correlation, exact and fast.

    Start with:

    \b
      conv-cli apply photo.jpg -k sobel-x -o edges.png
      conv-cli apply --help
    """


cli.add_command(apply)


def main() -> None:
    """Run the command line and leave with its exit code."""
    # Strips run on threads of their own; BLAS starting more of them for each would only get in
    # the way. It has to be said before NumPy is imported.
    for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    boundary.run(lambda: cli.main(prog_name="conv-cli", standalone_mode=False))
