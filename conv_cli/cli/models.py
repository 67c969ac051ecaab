"""Models that commands are given."""

from typing import TYPE_CHECKING

from conv_cli.cli import boundary

if TYPE_CHECKING:
    from conv_cli.networks.network import Network


def read_network(model: str, *, quiet: bool = False) -> "Network":
    """Return the network of a MODEL, and say what a user should know of it."""
    from conv_cli.networks.network import Network

    network = Network(model)
    for note in () if quiet else network.notes:
        boundary.say(f"{model}: {note}")
    return network
