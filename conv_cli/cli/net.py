"""conv-cli net: networks of layers, applied, described and trained."""

import click

from conv_cli.cli.command import Group
from conv_cli.cli.net_apply import apply
from conv_cli.cli.net_audit import audit
from conv_cli.cli.net_fit import fit
from conv_cli.cli.net_info import info

EPILOG = """\b
A MODEL is one line, a .json file, what net fit has written, or an .onnx file:
  "sobel-x sobel-y | square | sum | sqrt"
  {"layers": [{"conv": {"kernel": ["sobel-x", "sobel-y"]}},
              {"square": {}},
              {"conv": {"weight": [[[[1]], [[1]]]]}},
              {"sqrt": {}}]}

\b
Of a line, every step between two | is a layer:
  sobel-x [1 -1]         kernels side by side, as -k of apply takes them;
                         in brackets or quotes where they hold spaces
  relu abs square sqrt   a function of every pixel; also sigmoid and tanh
  maxpool:2 avgpool:3,2  the largest or the mean of windows: size, stride
  sum                    the maps added up; the model then takes grey
Kernels of a line keep the size of the image: padding same, border edge.

\b
Examples
  The maps of every layer, as pictures:
    conv-cli net apply edges.json photo.jpg --range stretch -o maps/
  What each layer gives, costs and sees:
    conv-cli net info edges.json --input 1x480x640
  Whether the maps shift as the image does:
    conv-cli net audit edges.json photo.jpg --shift 0,1
  Learn the layers that have no weights:
    conv-cli net fit model.json photo.png edges.png -o trained.npz
"""


@click.group(cls=Group, epilog=EPILOG)
def net() -> None:
    """Networks of layers: their maps, what they see, whether they shift, and what they learn."""


for command in (apply, info, audit, fit):
    net.add_command(command)
