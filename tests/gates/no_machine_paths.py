"""No path of a developer's machine, no package mirror, and no unfinished work in what git tracks."""
import re
import subprocess

import tree

# Written in pieces, so that this file does not find itself.
_MACHINE = re.compile(r"(^|[^a-z.])/(" + "wo" "rk|fa" "rm" + r")/|deb\.deb" r"ian\.org|registry\.np" "mjs")
_UNFINISHED = re.compile(r"\b(TO" "DO|FIX" "ME|XX" "X|not imple" "mented|unimple" r"mented)\b")


def check(gate: tree.Gate) -> None:
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=tree.TOP, check=True,
                            capture_output=True, text=True).stdout
    machine, unfinished = [], []
    for name in filter(None, listed.split("\0")):
        path = tree.TOP / name
        if path.suffix == ".lock" or not path.is_file():
            continue
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue  # a binary seed of a fuzz target
        for number, line in enumerate(lines, 1):
            if _MACHINE.search(line):
                machine.append(f"{name}:{number}: {line.strip()[:100]}")
            if path.suffix in (".cc", ".h", ".py", ".sh") and _UNFINISHED.search(line):
                unfinished.append(f"{name}:{number}: {line.strip()[:100]}")
    gate.report("no_machine_paths", machine)
    gate.report("nothing_unfinished", unfinished)
