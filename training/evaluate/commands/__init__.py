"""The command lines of `python -m training.evaluate`, one a file: `add_to(commands)` adds a
parser that knows its function."""
