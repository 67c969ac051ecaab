"""What commands of other tools really do: each is probed, and what is proposed tried on a photograph.

    python tests/benchmarks/probe_tools.py [WORD ...]

prints the table of the guide ``probe``, of the commands that hold a word, where their tool is
installed; and for each linear one by how much `apply`, as it is proposed, differs on a photograph.
"""

import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from skimage import data

from conv_cli.images import read_image, write_image
from conv_cli.probing.probe import probe
from conv_cli.probing.running import Command

PILLOW = (
    "import sys; from PIL import Image, ImageFilter as F; "
    "Image.open(sys.argv[1]).filter({}).save(sys.argv[2])"
)
GMIC = "gmic {in} %s -o {out}"
COMMANDS = [
    "convert {in} -blur 0x2 {out}",
    "convert {in} -gaussian-blur 0x1 {out}",
    "convert {in} -sharpen 0x1 {out}",
    "convert {in} -unsharp 0x2+1+0 {out}",
    "convert {in} -morphology Convolve '3x3: -1,0,1 -2,0,2 -1,0,1' {out}",
    "convert {in} -negate {out}",
    "convert {in} -resize 50% {out}",
    "convert {in} -statistic Median 3x3 {out}",
    "convert {in} -emboss 1 {out}",
    "convert {in} -normalize {out}",
    "gm convert {in} -blur 0x2 {out}",
    "gm convert {in} -sharpen 0x1 {out}",
    "gm convert {in} -convolve 1,2,1,2,4,2,1,2,1 {out}",
    "gm convert {in} -median 1 {out}",
    "vips gaussblur {in} {out} 2",
    "vips sharpen {in} {out}",
    "vips invert {in} {out}",
    "gmic {in} blur 2 -o {out}",
    "gmic {in} sharpen 50 -o {out}",
    "gmic {in} boxfilter 5 -o {out}",
    "ffmpeg -i {in} -vf format=gbrp,gblur=2 {out}",
    "ffmpeg -i {in} -vf format=gbrp,convolution='1 2 1 2 4 2 1 2 1:1 2 1 2 4 2 1 2 1:1 2 1 2 4 2 1 2 1' {out}",
    "ffmpeg -i {in} -vf unsharp {out}",
    "ffmpeg -i {in} -vf hue=s=0.5 {out}",
    "ffmpeg -i {in} -vf format=gbrp,avgblur=2 {out}",
    *(f"{shlex.quote(sys.executable)} -c {shlex.quote(PILLOW.format(name))} {{in}} {{out}}"
      for name in ("F.SMOOTH", "F.EMBOSS", "F.BoxBlur(2)", "F.GaussianBlur(2)", "F.MedianFilter(3)")),
]  # fmt: skip


def is_installed(command):
    return shutil.which(shlex.split(command)[0]) is not None


def told(command):
    """Return what is found of a command, and by how much `apply` differs on a photograph."""
    words = shlex.split(command)
    found = probe(Command(words))
    return found, None if found.apply is None else on_photograph(words, found)


def on_photograph(words, found):
    """Return the largest and mean difference between a tool and `apply` on a photograph."""
    import json

    with tempfile.TemporaryDirectory() as folder:
        photo, theirs, ours = (Path(folder) / f"{name}.png" for name in ("in", "theirs", "ours"))
        write_image(photo, np.ascontiguousarray(data.astronaut()[:300, :400]))
        (Path(folder) / "kernel.json").write_text(json.dumps(found.as_file()))
        names = {"{in}": str(photo), "{out}": str(theirs)}
        run(
            [
                word.replace("{in}", names["{in}"]).replace("{out}", names["{out}"])
                for word in words
            ],
            folder,
        )
        apply = [str(ours) if word == "{out}" else str(photo) if word == "{in}" else word
                 for word in shlex.split(found.apply.command)[1:]]  # fmt: skip
        run([sys.executable, "-m", "conv_cli", *apply], folder)
        one, other = (np.atleast_3d(read_image(p).pixels).astype(float) for p in (theirs, ours))
        rows, columns = (min(a, b) for a, b in zip(one.shape[:2], other.shape[:2], strict=True))
        off = np.abs(one[:rows, :columns] - other[:rows, :columns])
        return off.max(), off.mean()


def run(words, folder):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def row(command, found, off):
    """Return a row of the table, short enough for the guide."""
    words = [w for w in shlex.split(command) if w not in ("{in}", "{out}", "-i", "-o", "-vf")]
    shown = " ".join(words).replace("format=gbrp,", "")
    if "F." in shown:
        shown = "Pillow " + shown.split("filter(F.")[1].split(").save")[0]
    shown = shown.replace("1 2 1 2 4 2 1 2 1:", "").replace(" ".join("121242121"), "1 2 1 …")
    shown = shown.replace("'3x3: -1,0,1 -2,0,2 -1,0,1'", "sobel").replace(
        "3x3: -1,0,1 -2,0,2 -1,0,1", "…"
    )
    if found.fit is None:
        return f"| `{shown}` | {found.linear} | | | | |"
    size = "x".join(map(str, found.fit.size))
    mixed = " mixed" if found.channels == "mixed" else ""
    weighted = ", weighs" if found.weighted else ""
    largest = "" if off is None else f"{off[0]:.0f}"
    return (
        f"| `{shown}` | {found.fit.match or size}{mixed} | {found.border or '?'} | "
        f"{found.way or ''} | {found.opacity}{weighted} | {largest} |"
    )


def main():
    chosen = [c for c in COMMANDS if not sys.argv[1:] or any(w in c for w in sys.argv[1:])]
    print("| command | kernel | border | rounding | opacity | off |\n|---|---|---|---|---|---|")
    for command in chosen:
        if is_installed(command):
            print(row(command, *told(command)), flush=True)


if __name__ == "__main__":
    main()
