"""--sheet: one picture of all that a run looks at, written when it is done."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from conv_cli.cli import boundary
from conv_cli.errors import ImageError

if TYPE_CHECKING:
    from conv_cli.cli.options import BatchOptions
    from conv_cli.pipeline.looks import Look
    from conv_cli.pipeline.run import Result
    from conv_cli.report.sheet import Group, Sheet

F = TypeVar("F", bound=Callable[..., Any])
_ENDINGS = (".png", ".jpg", ".jpeg", ".html")
_MOST_IMAGES = 100


class SheetType(click.ParamType):
    """The name of a sheet, which tells what it is."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it."""
        if Path(value).suffix.lower() not in _ENDINGS:
            raise click.BadParameter(
                f"{value}: is no sheet; give a picture, as sheet.png or sheet.jpg, or a page, as "
                "sheet.html"
            )
        return str(value)


def sheet_option(what: str) -> Callable[[F], F]:
    """Return the option, whose help says what is on the sheet."""
    return click.option(
        "--sheet",
        type=SheetType(),
        metavar="FILE",
        help=f"{what}, each with its name and range, side by side in one .png or .jpg, or in an "
        ".html page that shows every value.",
    )


class SheetFile:
    """A sheet that grows with the results of a run.

    path : str. Of the file.
    images : int. How many there are; more than 100 are refused.
    maps : int. Of each, as far as that is known before.
    """

    def __init__(self, path: str, batch: "BatchOptions", images: int, maps: int) -> None:
        from conv_cli.report.sheet import MOST_CELLS, look_side

        count = images * (maps + 1)
        if images > _MOST_IMAGES or count > MOST_CELLS:
            raise click.BadParameter(
                f"{images:,} images and their maps are too many to look at; give at most "
                f"{_MOST_IMAGES} images and {MOST_CELLS:,} pictures at a time",
                param_hint="--sheet",
            )
        self.path = path
        self.look_side = look_side(count, path)
        self.failed = False
        self._batch, self._images = batch, images
        self._looks: dict[str, list[Look]] = {}
        self._totals: dict[tuple[str, int | None], int] = {}
        self._skipped = self._count = self._seen = 0

    @property
    def is_looked_at(self) -> bool:
        """Whether results are to bring their pictures: not if it is kept by --skip-existing."""
        return not (self._batch.skip_existing and os.path.lexists(self.path))

    @property
    def is_wanted(self) -> bool:
        """Whether it is to be made."""
        return self.is_looked_at and not (self.failed or self._batch.dry_run)

    def check(self, inputs: Iterable[str], outputs: Iterable[str]) -> None:
        """Say what speaks against the file, before any work is done for it.

        Raises BadParameter if a map is to have its name.
        """
        from conv_cli.io.files import check_target

        own = os.path.realpath(self.path)
        if any(os.path.realpath(output) == own for output in outputs):
            raise click.BadParameter(
                f"{self.path}: is the name of a map too; choose another", param_hint="--sheet"
            )
        if not self.is_looked_at:
            return
        try:
            check_target(self.path, force=self._batch.force, inputs=inputs)
        except ImageError as error:
            self.failed = True
            boundary.say(f"Error: {error}")
            return
        if self._batch.dry_run and not self._batch.as_json:
            click.echo(boundary.escaped(f"{self.path}  a sheet"))

    def add(self, result: "Result") -> None:
        """Take what is looked at of a map."""
        self._skipped += result.skipped
        if not result.looks:
            return
        from conv_cli.report.sheet import MOST_CELLS

        new = result.looks[result.image in self._looks :]
        self._seen += len(new)
        room = MOST_CELLS - self._count
        self._count += len(new[:room])
        self._looks.setdefault(result.image, []).extend(new[:room])
        maps = (result.shape or (1,))[0] if result.channel is None else 1
        key = result.image, result.layer
        self._totals[key] = self._totals.get(key, 0) + maps

    def write(self, title: str = "") -> None:
        """Write what there is, or say why that cannot be done."""
        if not self._looks:
            return
        sheet = self._sheet(title)
        try:
            write_sheet(self.path, sheet, force=self._batch.force)
        except ImageError as error:
            self.failed = True
            boundary.say(f"Error: {error}")

    @property
    def notes(self) -> Iterable[str]:
        """What a person has to know of it."""
        if self._seen > self._count:
            yield f"{self.path}: shows the first {self._count:,} of {self._seen:,} pictures"
        if self._skipped and self._looks:
            yield f"{self.path}: lacks the {self._skipped:,} results that were there already"
        if not self._looks and self._skipped and self.is_wanted:
            yield f"{self.path}: not made, as all results were there already; use --force"

    def _sheet(self, title: str) -> "Sheet":
        from conv_cli.report.sheet import Group, Sheet

        shown = {image: looks for image, looks in self._looks.items() if looks}
        names = _short_names(list(shown))
        groups: list[Group] = []
        for image, looks in shown.items():
            name = names[image]
            if looks[-1].layer is None:
                groups.append(Group(name if self._images > 1 else "", tuple(looks)))
            else:
                groups += self._layers(image, name, looks)
        single = next(iter(names.values()))
        title = title or (single if self._images == 1 else f"{self._images} images")
        return Sheet(title, tuple(groups))

    def _layers(self, image: str, name: str, looks: "Sequence[Look]") -> "list[Group]":
        """Return the maps of an image by their layers, the image itself first."""
        from conv_cli.report.sheet import Group

        groups = [Group(name if self._images > 1 else "", (looks[0],))]
        for layer in sorted({look.layer for look in looks if look.layer is not None}):
            own = tuple(look for look in looks if look.layer == layer)
            total = self._totals[image, layer]
            count = f"{len(own)} of {total} maps" if total > len(own) else f"{total} maps"
            lead = f"{name}, " if self._images > 1 else ""
            groups.append(Group(f"{lead}layer {layer}: {count}", own))
        return groups


def write_sheet(path: str, sheet: "Sheet", *, force: bool) -> None:
    """Write a sheet as its name says. Raises ImageError if the file cannot be made."""
    sheet = sheet.fitting(path)
    if path.lower().endswith(".html"):
        from conv_cli.io.files import write_bytes
        from conv_cli.report.sheet_page import sheet_page

        write_bytes(path, sheet_page(sheet).encode("utf-8", "replace"), force=force)
    else:
        from conv_cli.images import write_image
        from conv_cli.report.sheet_picture import sheet_picture

        write_image(path, sheet_picture(sheet), force=force)


def _short_names(paths: list[str]) -> dict[str, str]:
    """Return images by name alone where that tells them apart, with control characters escaped."""
    names = [Path(path).name or path for path in paths]
    unique = len(set(names)) == len(names)
    return {
        path: boundary.escaped(name if unique else path)
        for path, name in zip(paths, names, strict=True)
    }
