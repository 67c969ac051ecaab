"""Time conv-cli against every other tool that is installed.

    python tests/benchmarks/run.py            all tables, on the terminal
    python tests/benchmarks/run.py core       one of core, layers, commands, scale, fits
    python tests/benchmarks/run.py --write    all tables, into the guide to speed

Ours and theirs run in turn, with as many threads; a figure is the median of several runs, and a
ratio, ours by theirs, the median of the ratios of each turn: below 1 is ahead.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import re
import tempfile
from pathlib import Path
from textwrap import fill

import tables
from fits import fits
from machine import machine

GUIDE = Path(__file__).parents[2] / "conv_cli" / "guides" / "speed.md"
MARKS = "<!-- benchmarks -->", "<!-- end of benchmarks -->"
TABLES = {
    "core": tables.core,
    "layers": tables.layers,
    "commands": tables.commands,
    "scale": tables.scale,
    "fits": fits,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("table", nargs="?", choices=TABLES)
    parser.add_argument("--write", action="store_true", help="put the tables into the guide")
    options = parser.parse_args()
    chosen = [options.table] if options.table else list(TABLES)
    parts = [fill(f"Measured by `python tests/benchmarks/run.py` on: {machine()}.", 80)]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in chosen:
            parts.append(TABLES[name]())
            print(parts[-1], flush=True)
    if options.write:
        text = GUIDE.read_text(encoding="utf-8")
        pattern = re.escape(MARKS[0]) + ".*?" + re.escape(MARKS[1])
        body = "\n\n".join([MARKS[0], *parts, MARKS[1]])
        GUIDE.write_text(re.sub(pattern, lambda _: body, text, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
