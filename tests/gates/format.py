"""clang-format-19 changes nothing."""
import concurrent.futures
import os
import re
import subprocess

import tree

_BATCH = 20


def check(gate: tree.Gate) -> None:
    files = [str(path.relative_to(tree.TOP)) for path in tree.sources()]
    batches = [files[start:start + _BATCH] for start in range(0, len(files), _BATCH)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = sorted(name for names in pool.map(_unformatted, batches) for name in names)
    gate.report("format", [f"run clang-format-19 -i {name}" for name in wrong])


def _unformatted(files: list[str]) -> set[str]:
    done = subprocess.run(["clang-format-19", "--dry-run", "-Werror", *files], capture_output=True, text=True,
                          cwd=tree.TOP)
    found = set(re.findall(r"^(.*?):\d+:\d+: error", done.stderr, re.M))
    return found or ({done.stderr[-300:]} if done.returncode != 0 else set())
