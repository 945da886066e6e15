#!/usr/bin/env python3
"""enter.py COMMAND...: runs a command in a private machine (harness/sandbox.py); its exit code."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import sandbox  # noqa: E402

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: enter.py COMMAND [ARGUMENT...]")
    sys.exit(sandbox.enter(sys.argv[1:]))
