#!/usr/bin/env python3
"""run.py [NAME...]: runs the gates (all but tidy, which is a phase of its own) and adds up."""
import importlib
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import tree  # noqa: E402
from harness import totals  # noqa: E402

GATES = ["include_layers", "no_machine_paths", "file_shape", "format", "headers_alone", "linkage", "start_cost",
         "scripts", "runtime_spec", "failpoints"]


def main() -> None:
    gate = tree.Gate()
    for name in [word for word in sys.argv[1:] if not word.startswith("--")] or GATES:
        begin = time.monotonic()
        try:
            importlib.import_module(name).check(gate)
        except Exception as error:  # a gate that cannot run has failed
            gate.fail(name, f"{type(error).__name__}: {error}")
        print(f"   {name}: {time.monotonic() - begin:.1f} s")
    totals.finish(gate.passed, gate.failed, 0)


if __name__ == "__main__":
    main()
