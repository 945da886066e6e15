"""Instructions until a command is done, counted by callgrind, against a recorded ceiling with 10 % slack.

`python3 tests/gates/start_cost.py --record` writes the counts of this build to start_cost.json: a change that
raises them shows in the diff.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import tree
from harness.paths import bin_dir

_FILE = pathlib.Path(__file__).with_suffix(".json")
_SLACK = 1.10
COMMANDS = ["version", "--help"]


def check(gate: tree.Gate) -> None:
    recorded = json.loads(_FILE.read_text()) if _FILE.exists() else {}
    for command in COMMANDS:
        name = f"wherry {command}"
        count = _count(command)
        ceiling = recorded.get(name)
        if ceiling is None:
            gate.fail(f"start_cost {name}", f"{count} instructions, no ceiling recorded (see --record)")
        elif count > ceiling * _SLACK:
            gate.fail(f"start_cost {name}", f"{count} instructions, recorded {ceiling}, 10 % more allowed")
        else:
            gate.ok(f"start_cost {name} ({count} instructions, recorded {ceiling})")


def _count(command: str) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={scratch}/out", str(bin_dir() / "wherry"),
             "--root", f"{scratch}/root", "--run-root", f"{scratch}/run", command],
            capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or found is None:
        raise RuntimeError(f"'wherry {command}' under callgrind: {done.returncode}: {done.stderr[-500:]}")
    return int(found[1])


if __name__ == "__main__":
    if sys.argv[1:] != ["--record"]:
        sys.exit("usage: start_cost.py --record")
    _FILE.write_text(json.dumps({f"wherry {command}": _count(command) for command in COMMANDS}, indent=2) +
                     "\n")
