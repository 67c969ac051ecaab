"""python -m conv_cli."""

from conv_cli.cli.main import main

main()
