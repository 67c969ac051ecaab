"""The table "yours, ours" of the guide: both columns are run as they stand there."""

import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from command import COMMAND, ENVIRONMENT, ROOT
from conv_cli import read_image
from test_kernels_tools import magick, require

GUIDE = (ROOT / "conv_cli/guides/coming-from.md").read_text(encoding="utf-8")
TOOLS = {
    "cv2": "opencv",
    "convert": "imagemagick",
    "vips": "vips",
    "ndimage": "scipy",
    "signal": "scipy",
}
"""The first word of a command, and whose it is."""

SAME = r"Same (?:pixels|values)(?P<halves> but at halves)?\b|Same to (?P<within>\S+) of a level\b"
NEAR = 0.003
"""How near to a half, in levels, 16 bits of ImageMagick or a float32 cannot tell the side."""


def table():
    """Return (yours, ours, what differs) of each row."""
    lines = GUIDE.split("| yours | ours | what differs |\n|---|---|---|\n")[1].splitlines()
    rows = lines[: next(i for i, line in enumerate(lines) if not line)]
    return [re.fullmatch(r"\| `([^`]+)` \| `([^`]+)` \| (.+) \|", row).groups() for row in rows]


def tool_of(yours):
    return TOOLS[re.match(r"\w+", yours)[0]]


ROWS = table()
rows = pytest.mark.parametrize(("yours", "ours", "differs"), ROWS, ids=[row[0] for row in ROWS])


def block(language):
    (body,) = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return body


def run(command, folder):
    """Type a command into a shell that knows conv-cli, and ImageMagick as convert."""
    programs = {"conv-cli": shlex.join(COMMAND), "convert": f"command {magick()}"}
    known = "\n".join(f'{name}() {{ {program} "$@"; }}' for name, program in programs.items())
    done = subprocess.run(
        ["bash", "-euc", f"{known}\n{command}"], cwd=folder, env=ENVIRONMENT, timeout=60,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stderr}"


def values(path):
    """Return the values of a picture or an array, shape (rows, columns), float64."""
    array = np.load(path) if path.suffix == ".npy" else np.asarray(read_image(path))
    return array.reshape(array.shape[:2]).astype(float)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The folder in which the commands are typed, with the files that the guide makes there."""
    folder = tmp_path_factory.mktemp("coming")
    (folder / "sample_images").symlink_to(ROOT / "sample_images")
    run(block("sh"), folder)
    return folder


@functools.cache
def made_by_theirs(yours, folder):
    """Run the left column; return the values that it makes."""
    require(tool_of(yours))
    if tool_of(yours) not in ("opencv", "scipy"):
        made = folder / re.search(r"\bout\.(png|pgm)\b", yours)[0]
        made.unlink(missing_ok=True)
        run(yours, folder)
        return values(made)
    require("opencv")
    code = f'{block("python")}\nnp.save("theirs.npy", {yours})'
    run(shlex.join([sys.executable, "-c", code]), folder)
    return values(folder / "theirs.npy")


def made_by_ours(ours, folder, name=None):
    """Run the middle column, into a file of another name if one is given; return its values."""
    command, written = re.fullmatch(r"(conv-cli apply in\.png .+) -o (out\.\w+)", ours).groups()
    name = name or f"ours{Path(written).suffix}"
    run(f"{command} -o {name} --force", folder)
    return values(folder / name)


def count_wrong(yours, ours, differs, folder):
    """Return how many pixels differ by more than the row says; all of them in another shape."""
    theirs, mine = made_by_theirs(yours, folder), made_by_ours(ours, folder)
    assert np.ptp(theirs) > 100  # there is something to see
    if theirs.shape != mine.shape:
        return mine.size
    said = re.match(SAME, differs)
    allowed = float(said["within"] or 0)
    if said["halves"]:
        real = made_by_ours(ours, folder, "real.npy")
        allowed = np.abs(real - np.floor(real) - 0.5) < NEAR  # one level there, none elsewhere
    return np.count_nonzero(np.abs(theirs - mine) > allowed)


def test_there_are_twelve_rows_three_of_each_tool():
    tools = [tool_of(yours) for yours, _, _ in ROWS]
    assert tools == [tool for tool in dict.fromkeys(TOOLS.values()) for _ in range(3)]


@rows
def test_both_commands_make_the_same_picture(prepared, yours, ours, differs):
    assert count_wrong(yours, ours, differs, prepared) == 0


PARTS = [
    " --border reflect", " --border symmetric", " --convolve", " --normalize sum",
    " --padding valid", r",size=\d+", ' 0(?=[;"])|; 0 0 0',
]  # fmt: skip
"""What is in our commands because of the other tool; the last are the zeros that move an origin."""
WITHOUT = [
    pytest.param(yours, re.sub(part, "", ours), differs, id=f"{yours} without {part}")
    for yours, ours, differs in ROWS
    for part in PARTS
    if re.search(part, ours)
]


@pytest.mark.parametrize(("yours", "shorter", "differs"), WITHOUT)
@pytest.mark.one_in(4)
def test_every_part_of_our_command_is_needed(prepared, yours, shorter, differs):
    assert count_wrong(yours, shorter, differs, prepared) > 100
