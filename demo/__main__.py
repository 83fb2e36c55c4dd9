"""Entry point of `python -m demo`."""

from demo.app import main

if __name__ == "__main__":
    raise SystemExit(main())
