"""Subcommands of `python -m training.evaluate`, one a module with `add_parser(subparsers)`."""
