"""conv-cli lesson: convolution explained on one's own photograph."""

import sys
from pathlib import Path
from typing import Any

import click

from conv_cli.cli import boundary
from conv_cli.cli.command import Command
from conv_cli.cli.options import Telling, force_option, max_pixels_option, telling_options

EPILOG = """\b
Examples
  conv-cli lesson photo.jpg -o lesson.html
  conv-cli guide lesson
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("image")
@click.option(
    "-o", "--output", required=True, metavar="PAGE.html", help="The page, or - for stdout."
)
@max_pixels_option
@force_option
@telling_options
def lesson(image: str, output: str, max_pixels: int, force: bool, telling: Telling) -> int:
    """Explain convolution on your own photograph: one page to read in a browser.

    From why dense layers fail on images to layers that learn, one idea, one picture and one command
    each; every number is computed from IMAGE, of at least 64x64 pixels, grey or in colour. The page
    holds everything and needs no network.
    """
    from conv_cli.images import read_image
    from conv_cli.io.files import check_target, write_bytes
    from conv_cli.lesson.page import STEPS, lesson_page

    if output == "-":
        boundary.require_stdout(True)
    elif Path(output).suffix.lower() not in (".html", ".htm"):
        raise click.BadParameter(
            f"{output!r} does not end in .html; name it so", param_hint="--output"
        )
    else:
        check_target(output, force=force, inputs=(image,))
    bar: Any = click.progressbar(
        length=len(STEPS) + 1, label="conv-cli", file=sys.stderr, hidden=not telling.shows_bar
    )
    with bar:
        photograph = read_image(image, max_pixels=max_pixels)
        bar.update(1)
        with boundary.named(image):
            page = lesson_page(image, photograph, advance=lambda: bar.update(1))
    if output == "-":
        click.echo(page, nl=False)
        return boundary.DONE
    write_bytes(output, page.encode(), force=force)
    if not telling.quiet:
        boundary.say(f"{output}: open it in a browser")
    return boundary.DONE
