"""The command: `conv-cli`, and `python -m conv_cli`."""

import gc
import os
import signal
from types import FrameType
from typing import NoReturn


def main() -> None:
    """Run the command line, and leave with its exit code."""
    # Until the command takes over, there is nothing to put away.
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    # Collecting garbage while modules are loaded finds none and takes a tenth of the start.
    # Commands turn it on again when they begin to work.
    gc.disable()
    from conv_cli.cli import main

    main.main()


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)  # as shells count


if __name__ == "__main__":
    main()
