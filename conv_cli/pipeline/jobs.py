"""Which images are read, and what each result is called."""

import glob
import os
import re
import sys
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple, overload

from conv_cli.colormaps import ColormapName
from conv_cli.errors import ConvError, ImageError
from conv_cli.images import (
    FIRST,
    FORMATS,
    JOINED_FORMATS,
    READABLE_SUFFIXES,
    WRITABLE,
    FrameChoice,
    file_format,
    format_of,
    format_of_start,
    is_zarr,
    open_frames,
)
from conv_cli.io.matrix import is_typed, parse_matrix
from conv_cli.io.tables import ENDINGS
from conv_cli.io.text import shown
from conv_cli.kernels.kernel import Kernel
from conv_cli.pipeline.feature_map import Range

STDIO = "-"
ZARR = ".zarr"
SAME = "same"
"""The format of a result that is to have its image's own."""
_DEFAULT_FORMAT = "png"
_LONGEST_TYPED = 40


class Input(NamedTuple):
    """An image to be read.

    path : str. As given, or found in a folder; "-" is stdin.
    folder : Path. Where its results go below the output folder: its place in the tree that was
        given.
    error : str or None. Why it cannot be read, or give no result, if that is known already.
    format : str or None. What its results are written as, where that is its own.
    frames : sequence of int or None. The frames that are read, counted from 1, if that was asked.
    frame_count : int. How many it has.
    """

    path: str
    folder: Path = Path()
    error: str | None = None
    format: str | None = None
    frames: Sequence[int] | None = None
    frame_count: int = 1

    def frame_name(self, number: int) -> str:
        """Return the number of a frame as it stands in names: all of a file are equally long."""
        return f"{number:0{len(str(self.frame_count))}}"

    @property
    def is_typed(self) -> bool:
        """Whether it is a matrix that was typed, and no file."""
        return is_typed(self.path)

    @property
    def stem(self) -> str:
        """Its name without suffix, for the names of its results."""
        if self.path == STDIO:
            return "stdin"
        return _typed_stem(self.path) if self.is_typed else _split(self.path)[0]

    @property
    def suffix(self) -> str:
        """Its suffix without the dot; what stdin would have, if its format is known."""
        if self.path == STDIO and self.format:
            return FORMATS[self.format].suffixes[0].removeprefix(".")
        return "" if self.is_typed else _split(self.path)[1][1:]

    @property
    def folder_name(self) -> str:
        """The name of the folder that it is in."""
        return Path(self.path).absolute().parent.name


def _split(path: str) -> tuple[str, str]:
    """Return stem and suffix of a path, as pathlib has them: in a tenth of its time, of many."""
    name = path.rstrip(os.sep).rpartition(os.sep)[2]
    dot = name.rfind(".")
    return (name[:dot], name[dot:]) if 0 < dot < len(name) - 1 else (name, "")


class Destination(NamedTuple):
    """Where results go and in which form; the options that concern files.

    ``output`` is None where results are shown or printed alone; ``single`` says that it is one file
    and no folder; ``show`` that results are to be looked at too; ``look_side`` how many rows and
    columns a picture of each has on a sheet, 0 without one.
    """

    output: str | None
    name: str = "{stem}.{kernel}{ext}"
    format: str | None = None
    depth: str | None = None
    white: float | None = None
    range: Range | None = None
    colormap: ColormapName | None = None
    compress: bool = False
    quality: int | None = None
    show: bool = False
    look_side: int = 0
    force: bool = False
    skip_existing: bool = False
    single: bool = False

    @property
    def format_name(self) -> str:
        """The format of results whose names do not tell."""
        return _DEFAULT_FORMAT if self.format in (None, SAME) else str(self.format)

    @property
    def makes_folders(self) -> bool:
        """Folders are made for results that are named here; a single file's must exist."""
        return self.output not in (STDIO, None) and not self.single


class Output(NamedTuple):
    """One map that is to be made: of a kernel, or of a layer and one of its channels or all.

    What a search finds is "hits", which have no path, "framed" or "heat": ``kind`` says which.

    ``path`` is None where it is not written. ``frame`` is the number of the frame that it is made
    of, if that was asked for; ``joined`` says that all frames go to one file.
    """

    path: str | None
    format: str
    kernel: str | None = None
    kernels: tuple[Kernel, ...] = ()
    layer: int | None = None
    channel: int | None = None
    kind: str = "map"
    frame: int | None = None
    joined: bool = False


class Job(NamedTuple):
    """One image and what is to be made of it.

    source : Input
    outputs : tuple of Output. Empty where they depend on the image.
    stem : str. How the paths of its results begin then, "" if they are not written.
    """

    source: Input
    outputs: tuple[Output, ...] = ()
    stem: str = ""

    @property
    def folder(self) -> Path:
        """Where its results go, if that is one folder."""
        return Path(self.stem).parent

    def of_frame(self, number: int) -> "Job":
        """Return what is to be made of one frame alone."""
        outputs = tuple(each for each in self.outputs if each.frame == number)
        return self._replace(outputs=outputs, stem=f"{self.stem}.{self.source.frame_name(number)}")


class Jobs(Sequence[Job]):
    """The jobs of a run, each made when it is asked for, so that millions take no memory.

    sources : sequence of Input. The images, one a job.
    make : callable. Makes the job of an image; it can be pickled.
    """

    def __init__(self, sources: Sequence[Input], make: Callable[[Input], Job]) -> None:
        self.sources, self._make = sources, make

    @property
    def reads_stdin(self) -> bool:
        """Whether stdin is one of the images; a list names none."""
        named = self.sources
        named = named.first if isinstance(named, ListedInputs) else named
        return any(source.path == STDIO for source in named)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.sources)

    @overload
    def __getitem__(self, index: int) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Job]: ...
    def __getitem__(self, index: int | slice) -> Job | Sequence[Job]:
        """Return the job of an image."""
        if isinstance(index, slice):
            return Jobs(self.sources[index], self._make)
        return self._make(self.sources[index])


class ListedInputs(Sequence[Input]):
    """Images named one by one: those given, and behind them the names in a file.

    first : sequence of Input
    data : bytes. Names, one a line, or each ended by NUL; empty ones are none.

    Raises ConvError for "-", which is no file.
    """

    def __init__(self, first: Sequence[Input], data: bytes) -> None:
        end = b"\0" if b"\0" in data else b"\n"
        self.first, self._data = first, data
        self._places = array("Q")
        at = 0
        while at < len(data):
            stop = data.find(end, at)
            stop = len(data) if stop < 0 else stop
            last = stop - (end == b"\n" and data[stop - 1 : stop] == b"\r")
            if last > at:
                if data[at:last] == STDIO.encode():
                    raise ConvError("a name is -; stdin is named among IMAGES, not in a list")
                self._places.extend((at, last))
            at = stop + 1

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.first) + len(self._places) // 2

    @overload
    def __getitem__(self, index: int) -> Input: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Input]: ...
    def __getitem__(self, index: int | slice) -> Input | Sequence[Input]:
        """Return an image."""
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if index < len(self.first):
            return self.first[index]
        place = 2 * (index - len(self.first))
        first, last = self._places[place], self._places[place + 1]  # IndexError behind the last
        return Input(os.fsdecode(self._data[first:last]))


def collect_inputs(name: str, *, recursive: bool, output: str | None) -> list[Input]:
    """Return the images that a name stands for: a file, a folder, a glob, or "-" for stdin.

    A folder stands for the images in it by their suffix, sorted, ``recursive`` for those of its
    whole tree; links to folders are not followed and the output folder, if there is one, is left
    out. A name that is none of these is kept, for the attempt to read it to fail.

    Raises ConvError if a folder is the output folder, or a name is empty.
    """
    if not name:
        raise ConvError("images: a name is empty; check the variable that it comes from")
    if name == STDIO:
        return [Input(name)]
    if is_typed(name):
        try:
            parse_matrix(name)
        except ConvError as error:
            raise ConvError(f"image {shown(name)}: {error}") from None
        return [Input(name)]
    if is_folder(name):
        if output is not None and os.path.realpath(name) == os.path.realpath(output):
            raise ConvError(
                f"{output}: is the folder of the images too, and its results would be filtered by "
                "the next run; choose another output folder"
            )
        return list(_folder_inputs(Path(name), recursive, output))
    if _is_pattern(name):
        return [Input(match) for match in sorted(glob.glob(name))]  # noqa: PTH207  # absolute too
    return [Input(name)]


def with_own_formats(inputs: Iterable[Input], stdin: BinaryIO) -> Iterator[Input]:
    """Yield the images with the formats that their results have, if that is each one's own.

    The content tells, and the name what the content leaves open. An image whose format cannot be
    written gives no result. Of stdin, which is not read, what it holds already is looked at.
    """
    for source in inputs:
        if source.path == STDIO:
            peek = getattr(stdin, "peek", None)  # which a stand-in for a closed one lacks
            found = format_of_start(peek(1)) if peek else None
        else:
            found = file_format(source.path)
        named = WRITABLE.get(Path(source.path).suffix.lower())
        if found in (None, "pnm", named):
            found = named or found
        if found is None or found in WRITABLE.values():
            yield source._replace(format=found)
        else:
            title = FORMATS[found].title if found in FORMATS else found
            yield source._replace(
                error=f"{title} is not written, so --format same cannot be; give another --format"
            )


def with_frames(
    inputs: Iterable[Input], choice: FrameChoice, piped: bytes, max_pixels: int
) -> Iterator[Input]:
    """Yield the images with the numbers of the frames that are meant.

    piped : bytes. What stdin has given. An image without such a frame gives no result.
    """
    for source in inputs:
        if source.error is not None:
            yield source
            continue
        try:
            stream = BytesIO(piped) if source.path == STDIO else source.path
            with open_frames(stream, choice, max_pixels=max_pixels) as frames:
                chosen, count = frames.chosen(choice), frames.count
        except ConvError as error:
            yield source._replace(error=str(error))
        else:
            yield source._replace(frames=chosen, frame_count=count)


def has_several_files(inputs: Sequence[Input], to: Destination) -> bool:
    """Tell whether the frames of a single image go to files of their own, as their names say."""
    if not to.single or to.output in (None, STDIO):
        return False
    if "{frame" in to.name and not is_image_name(str(to.output)):
        return True
    source = inputs[0]
    several = source.frames is not None and len(source.frames) > 1
    return several and not _is_joined(source, _located(source, "", 1, to)[1], to)


def _is_joined(source: Input, format: str, to: Destination) -> bool:
    """Tell whether the frames of an image go to one file: they do where it can hold them.

    Not where names tell them apart.
    """
    if source.frames is None or to.output is None or format not in JOINED_FORMATS:
        return False
    apart = to.makes_folders and "{frame" in to.name
    # A GIF of one frame has colours as those of several have.
    return not apart and (len(source.frames) > 1 or format == "gif")


def _typed_stem(text: str) -> str:
    """Return a typed matrix as part of a file name; a long one by a digest."""
    import hashlib

    name = file_name_part(text)
    digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    return name if len(name) <= _LONGEST_TYPED else f"matrix-{digest}"


def _is_pattern(name: str) -> bool:
    """Tell whether a name is a glob that the shell has left as it is; brackets alone are a name."""
    return ("*" in name or "?" in name) and not os.path.lexists(name)


def _folder_inputs(root: Path, recursive: bool, output: str | None) -> Iterator[Input]:
    written = None if output is None else os.path.realpath(output)
    unread: list[OSError] = []
    for folder, folders, files in os.walk(root, onerror=unread.append):
        arrays = [f for f in folders if f.lower().endswith(ZARR) and is_zarr(Path(folder, f))]
        folders[:] = sorted(
            f
            for f in set(folders) - set(arrays)
            if recursive and os.path.realpath(Path(folder, f)) != written
        )
        place = Path(folder).relative_to(root)
        for file in sorted([*files, *arrays]):
            if os.path.splitext(file)[1].lower() in READABLE_SUFFIXES:  # noqa: PTH122  # of many
                yield Input(str(Path(folder, file)), place)
    for error in unread:
        reason = f"{error.strerror}, so what is in this folder is not known; check its permissions"
        yield Input(str(error.filename), Path(error.filename).relative_to(root), reason)


def is_single(output: str | None, names: Sequence[str], maps: int) -> bool:
    """Tell whether an output is one file: one image by name, one map, and no folder's name."""
    if output is None:
        return False
    one = len(names) == 1 and maps == 1 and not is_folder(names[0])
    return one and not _is_pattern(names[0]) and not _is_folder(output)


def is_folder(name: str) -> bool:
    """Tell whether a name is that of a folder of images: a Zarr is one image."""
    return Path(name).is_dir() and not is_zarr(name)


def _is_folder(output: str) -> bool:
    return output.endswith(("/", os.sep)) or is_folder(output)


def is_image_name(output: str) -> bool:
    """Tell whether an output is named like an image, and is no folder."""
    suffixes = READABLE_SUFFIXES | WRITABLE.keys()
    return Path(output).suffix.lower() in suffixes and not _is_folder(output)


def filter_jobs(
    inputs: Sequence[Input], maps: Sequence[tuple[str, tuple[Kernel, ...]]], to: Destination
) -> Jobs:
    """Return what is to be made of each image by named kernels, with the path of every result.

    Raises ConvError if the name template is wrong, a format cannot be written, or two results share
    a name.
    """
    if to.output == STDIO and (len(inputs) != 1 or len(maps) != 1):
        raise ConvError(
            f"-o -: takes one image and one map, not {len(inputs)} and {len(maps)}; give an output "
            "folder, or --combine the maps"
        )
    if to.makes_folders:
        counts = (
            [1] if isinstance(inputs, ListedInputs) else [len(s.frames or FIRST) for s in inputs]
        )
        way = ", or --combine the maps of a single image"
        if max(counts) > 1:
            way = ", with --name '{stem}.{frame}.{kernel}{ext}'"
        results = max(sum(counts), len(inputs)) * len(maps)
        _require_folder(to, results, way)
    jobs = Jobs(inputs, partial(_filter_job, maps=tuple(maps), to=to))
    if to.output is not None:
        _refuse_collisions(
            lambda: (
                (str(output.path), source, _detail(output, source))
                for source in inputs
                for index, (name, _) in enumerate(maps, 1)
                for output in _frame_outputs(source, name, (), index, to)
            )
        )
    return jobs


def _filter_job(
    source: Input, *, maps: Sequence[tuple[str, tuple[Kernel, ...]]], to: Destination
) -> Job:
    """Return what kernels make of an image."""
    outputs = (
        output
        for index, (name, kernels) in enumerate(maps, 1)
        for output in _frame_outputs(source, name, kernels, index, to)
    )
    return Job(source, tuple(outputs))


def _frame_outputs(
    source: Input, name: str, kernels: tuple[Kernel, ...], index: int, to: Destination
) -> Iterator[Output]:
    """Yield the maps that a kernel makes of the frames of an image, or the one file of them all."""
    path, format = _located(source, name, index, to)
    if source.frames is None:
        yield Output(path, format, name, kernels)
    elif _is_joined(source, format, to):
        yield Output(path, format, name, kernels, joined=True)
    else:
        for frame in source.frames:
            path, format = _located(source, name, index, to, frame)
            yield Output(path, format, name, kernels, frame=frame)


def _detail(output: Output, source: Input) -> str:
    """Return what tells a result from others of the same image."""
    several = output.frame is not None and source.frame_count > 1
    return f" with {output.kernel}" + (f", frame {output.frame}" if several else "")


def network_jobs(inputs: Sequence[Input], to: Destination) -> Jobs:
    """Return what is to be made of each image by a network: how the paths of its maps begin.

    Raises ConvError if the output is no folder, or two images would give maps of the same names.
    """
    if to.output is None:
        return Jobs(inputs, Job)
    if to.output == STDIO:
        raise ConvError("-o -: maps are several files; give the name of a folder")
    _require_folder(to, 1, "")
    jobs = Jobs(inputs, partial(_network_job, output=str(to.output)))
    _refuse_collisions(lambda: ((job.stem, job.source, "") for job in jobs))
    return jobs


def _network_job(source: Input, *, output: str) -> Job:
    return Job(source, stem=str(Path(output, source.folder, source.stem)))


def layer_output(job: Job, layer: int, channel: int | None, format: str) -> Output:
    """Return the map of a layer, of one channel or, without, of all in one array."""
    number = "" if channel is None else f".{channel}"
    path = f"{job.stem}.{layer}{number}.{format}" if job.stem else None
    return Output(path, format, layer=layer, channel=channel)


def find_jobs(
    inputs: Sequence[Input], framed: Destination | None, heat: Destination | None
) -> Jobs:
    """Return what is to be made of each image by a search: its hits, and the pictures asked for.

    Raises ConvError if a folder is needed and none is given, a format cannot be written, or two
    results share a name.
    """
    pictures = [(kind, to) for kind, to in (("framed", framed), ("heat", heat)) if to]
    for _, to in pictures:
        if to.output == STDIO and len(inputs) != 1:
            raise ConvError(f"-o -: takes one image, not {len(inputs)}; give an output folder")
        if to.makes_folders:
            _require_folder(to, len(inputs), "")
    jobs = Jobs(inputs, partial(_find_job, pictures=pictures))
    _refuse_collisions(
        lambda: (
            (output.path, job.source, "") for job in jobs for output in job.outputs if output.path
        )
    )
    return jobs


def _find_job(source: Input, *, pictures: Sequence[tuple[str, Destination]]) -> Job:
    """Return what a search makes of an image."""
    outputs = [
        Output(*_located(source, kind, 1, to._replace(name="{stem}.{kernel}{ext}")), kind=kind)
        for kind, to in pictures
    ]
    kept = outputs and all(
        to.skip_existing and os.path.lexists(str(output.path))
        for output, (_, to) in zip(outputs, pictures, strict=True)
    )
    # Nothing is searched for the hits alone if the files that show them are there.
    hits = [] if kept else [Output(None, "", kind="hits")]
    return Job(source, (*hits, *outputs))


def _require_folder(to: Destination, count: int, otherwise: str) -> None:
    """Raise ConvError if the output cannot be the folder of so many images' results."""
    assert to.output is not None
    folder = Path(to.output)
    if os.path.lexists(folder) and not folder.is_dir():
        raise ConvError(
            f"{to.output}: is a file, and these results need a folder; choose another name"
            + otherwise
        )
    if is_image_name(to.output):
        what = "is a file's name"
        if count > 1:
            what = f"is the name of one image, and here are {count} to be written"
        raise ConvError(f"{folder}: {what}; give a folder, as {folder.stem}/{otherwise}")


def _located(
    source: Input, kernel: str, index: int, to: Destination, frame: int = 1
) -> tuple[str | None, str]:
    """Return the path of a result, and its format."""
    if to.output is None:
        return None, to.format or ("npy" if is_table(source.path) else _DEFAULT_FORMAT)
    if to.output == STDIO:
        if to.format == ZARR[1:]:
            raise ConvError("-o -: a Zarr is a folder; give its name, as -o out.zarr")
        path = STDIO
    elif to.single:
        path = to.output
    else:
        path = _joined(to.output, source.folder, _file_name(source, kernel, index, to, frame))
    if to.format == SAME:
        return path, source.format or _DEFAULT_FORMAT
    if to.format or path == STDIO or (not to.single and to.name.endswith("{ext}")):
        return path, to.format_name  # which is the suffix too
    suffix = _split(path)[1].lower()
    if not suffix or suffix in WRITABLE:
        return path, WRITABLE.get(suffix, to.format_name)
    try:
        return path, format_of(path)
    except ImageError as error:
        # A name that was typed is a mistake in the command, not a file that failed.
        raise ConvError(str(error)) from None


def is_table(name: str) -> bool:
    """Tell whether an image is a table of numbers: typed, or a file named like one."""
    return is_typed(name) or Path(name).suffix.lower() in ENDINGS


def _file_name(source: Input, kernel: str, index: int, to: Destination, frame: int) -> str:
    try:
        name = to.name.format_map(_Fields(source, kernel, index, to, frame))
    except (KeyError, IndexError, ValueError, AttributeError):
        raise ConvError(
            f"--name {to.name!r}: is no template; use {{stem}}, {{suffix}}, {{dir}}, {{kernel}}, "
            "{ext}, {index} and {frame}"
        ) from None
    if os.sep not in name and name not in ("", ".", ".."):
        return name
    path = Path(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or name.endswith("/"):
        raise ConvError(f"--name {to.name!r}: gives {name!r}, which is no file below the output")
    return name


class _Fields(dict[str, str | int]):
    """What a template of names may hold, made when it is asked for."""

    def __init__(self, source: Input, kernel: str, index: int, to: Destination, frame: int) -> None:
        super().__init__(index=index)
        self._frame = frame
        self._source, self._kernel, self._to = source, kernel, to

    def __missing__(self, field: str) -> str:
        """Return the value of a field; KeyError for one that is not known."""
        source = self._source
        if field == "stem":
            return source.stem
        if field == "kernel":
            return file_name_part(self._kernel)
        if field == "ext":
            return _extension(source, self._to)
        if field == "suffix":
            return source.suffix
        if field == "dir":
            return source.folder_name
        if field == "frame":
            return source.frame_name(self._frame)
        raise KeyError(field)


def _joined(output: str, folder: Path, name: str) -> str:
    """Return the path of a file in a folder below the output."""
    if os.sep in name:
        return str(Path(output, folder, name))
    place = _folder(output, folder)
    return f"{place}{name}"


@lru_cache(maxsize=256)
def _folder(output: str, folder: Path) -> str:
    """Return what stands before the names of files in a folder below the output."""
    place = str(Path(output, folder))
    return "" if place == "." else place if place.endswith(os.sep) else place + os.sep


def _extension(source: Input, to: Destination) -> str:
    """Return the suffix of a result: of its format, or as its image has it."""
    if to.format != SAME:
        return f".{to.format_name}"
    return f".{source.suffix}" if source.suffix else ""


@lru_cache(maxsize=256)
def file_name_part(name: str) -> str:
    """Return a kernel's name as part of a file name: no separators, colons, spaces or controls."""
    return re.sub(r"[^\w.,=+-]+", "_", name.replace(":", "-")).strip("_") or "kernel"


Claim = tuple[str, Input, str]
"""A path, the image that it is made of, and what else tells it from others."""


def _refuse_collisions(claims: Callable[[], Iterable[Claim]]) -> None:
    """Raise if two results would share a name, also where a file system folds case.

    claims : callable. Yields what is claimed, as often as it is called.

    Of each name a hash is remembered alone, as there may be millions.
    """
    seen: set[int] = set()
    for number, (path, source, detail) in enumerate(claims()):
        key = hash(_key(path))
        if key not in seen:
            seen.add(key)
            continue
        place, first, other = _claimed_first(path, claims())
        if place == number:
            continue  # another name has that hash
        way = _way_apart(first, source) if detail else "use separate output folders"
        if ", frame " in detail and first.path == source.path:
            way = (
                "name them with their frame, as with --name '{stem}.{frame}.{kernel}{ext}', or "
                "write one file of all, as --format tif, gif, png or webp"
            )
        raise ConvError(
            f"{path}: would be made twice, of {first.path}{other} and of {source.path}{detail}; "
            f"{way}"
        )


def _claimed_first(path: str, claims: Iterable[Claim]) -> tuple[int, Input, str]:
    """Return who claims a name first: the number of the claim, the image, and the detail."""
    key = _key(path)
    return next(
        (number, source, detail)
        for number, (other, source, detail) in enumerate(claims)
        if _key(other) == key
    )


def _key(path: str) -> str:
    return _folded(os.path.normpath(path))


def _way_apart(one: Input, other: Input) -> str:
    """Return what tells the results of two images, or of one image under two kernels, apart."""
    if one.path == other.path:
        return "number them, as with --name '{stem}.{kernel}.{index}{ext}'"
    if one.suffix != other.suffix:
        return "name them with their suffix, as with --name '{stem}.{suffix}.{kernel}{ext}'"
    if one.folder_name != other.folder_name:
        return "name them with their folder, as with --name '{dir}-{stem}.{kernel}{ext}'"
    return "use separate output folders"


def _folded(name: str) -> str:
    """Return what names have in common that some file system takes for one.

    Capitals are folded wherever a disk may come from; ways to write an accent on macOS alone.
    """
    if sys.platform == "darwin":
        name = unicodedata.normalize("NFD", name)
    return name.casefold()
