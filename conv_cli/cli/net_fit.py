"""conv-cli net fit: layers that learn from pairs of images."""

import gc
import json
import time
from typing import TYPE_CHECKING

import click

from conv_cli.cli import boundary
from conv_cli.cli.command import Command
from conv_cli.cli.kinds import Choice, IntRange, NumberType
from conv_cli.cli.models import read_network
from conv_cli.cli.options import as_json_option, force_option, max_pixels_option, quiet_option

if TYPE_CHECKING:
    from conv_cli.networks.training import Method

EPILOG = """\b
Layers that are to learn are given by their sizes:
  {"layers": [
    {"conv": {"in_channels": 1, "out_channels": 2, "kernel_size": 3}},
    {"square": {}},
    {"conv": {"in_channels": 2, "out_channels": 1, "kernel_size": 1}},
    {"sqrt": {}}
  ]}

\b
Examples
  Learn what turns one image into another:
    conv-cli net fit model.json photo.png edges.png -o trained.npz
  From two pairs, for longer, and with another start:
    conv-cli net fit model.json a.png A.png b.png B.png -o trained.json \\
      --epochs 100 --seed 7
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("model")
@click.argument("pairs", nargs=-1, required=True, metavar="INPUT TARGET...")
@click.option(
    "-o", "--output", required=True, metavar="MODEL", help="The trained model, .npz or .json."
)
@click.option(
    "--epochs",
    type=IntRange(1, 100_000),
    default=40,
    show_default=True,
    help="How long to train at most: rounds of 50 steps. It ends where the loss is 0.",
)
@click.option(
    "--lr",
    type=NumberType(above=0, example="0.03"),
    metavar="RATE",
    help="Size of the first steps; they shrink to a hundredth.  [default: 0.03, gd 0.1]",
)
@click.option(
    "--seed",
    type=IntRange(0),
    default=0,
    show_default=True,
    help="Of the first weights, the patches, and the pixels held out.",
)
@click.option(
    "--batch",
    type=IntRange(1, 4096),
    default=16,
    show_default=True,
    help="Patches of 32x32 output pixels that a step learns from.",
)
@click.option(
    "--method",
    type=Choice(["adam", "gd"]),
    default="adam",
    show_default=True,
    help="Adam, or plain gradient descent.",
)
@max_pixels_option
@force_option
@as_json_option
@quiet_option
def fit(
    model: str,
    pairs: tuple[str, ...],
    output: str,
    epochs: int,
    lr: float | None,
    seed: int,
    batch: int,
    method: "Method",
    max_pixels: int,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Train the layers of a MODEL that have no weights, to turn each INPUT into its TARGET.

    The loss of each epoch goes to stderr: the squared error by the variance of the target, so 1 for
    always giving the mean. R² is of a fifth of the pixels, which are held out.
    """
    from conv_cli.networks.training import train
    from conv_cli.pipeline.pairs import read_pairs

    if len(pairs) % 2:
        raise click.BadParameter(
            f"{len(pairs)} images make no pairs; give INPUT TARGET, and so on",
            param_hint="INPUT TARGET",
        )
    network = read_network(model, quiet=quiet)
    with boundary.inputs_first(pairs):
        _check_output(output, (model, *network.files, *pairs), force)
    boundary.require_stdout(as_json)
    gc.enable()
    started = time.perf_counter()
    examples = read_pairs(network, pairs, max_pixels=max_pixels)
    with boundary.named(model):
        learned = train(
            network,
            examples,
            epochs=epochs, rate=lr, seed=seed, batch=batch, method=method,
            tell=None if quiet else _tell,
        )  # fmt: skip
    learned.network.save(output, force=force)
    seconds = time.perf_counter() - started
    if as_json:
        record = {
            "model": model, "output": output, "r2": learned.r2, "rmse": learned.rmse,
            "losses": learned.losses, "epochs": len(learned.losses), "method": method, "seed": seed,
            "pairs": len(pairs) // 2, "pixels": learned.pixels, "seconds": round(seconds, 3),
        }  # fmt: skip
        click.echo(json.dumps(record))
    if not quiet:
        r2 = "undefined, the target is even there" if learned.r2 is None else f"{learned.r2:.5f}"
        done = len(learned.losses)
        if done < epochs:
            boundary.say(f"the loss is 0 but for rounding; ends after {done} of {epochs} epochs")
        boundary.say(
            f"{output}: R² {r2}, RMSE {learned.rmse:.4g} on the pixels held out, after "
            f"{seconds:.1f} s"
        )
    return boundary.DONE


def _check_output(output: str, inputs: tuple[str, ...], force: bool) -> None:
    """Refuse an output that could not be written, before the time is spent."""
    from conv_cli.io.files import check_target
    from conv_cli.networks.model_files import check_ending

    check_ending(output)
    check_target(output, force=force, inputs=inputs)


def _tell(epoch: int, loss: float) -> None:
    boundary.say(f"epoch {epoch}: loss {loss:.4g}")
