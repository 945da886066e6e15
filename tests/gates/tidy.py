#!/usr/bin/env python3
"""tidy.py [--full] [FILE...]: clang-tidy-19 with the checks of .clang-tidy; every warning is an error.

Without --full: the files that changed against main (else against the last commit), for at most four minutes.
What has passed once is not looked at again until it, a header it includes, or .clang-tidy changes.
"""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import tree  # noqa: E402
from harness import totals  # noqa: E402
from harness.paths import BUILD  # noqa: E402

_DATABASE = BUILD / "release"
_SECONDS = 240
_MANY = 10 ** 9


def _git(*args) -> list[str]:
    done = subprocess.run(["git", *args], cwd=tree.TOP, capture_output=True, text=True)
    return done.stdout.splitlines() if done.returncode == 0 else []


def _changed() -> set[str]:
    base = _git("merge-base", "HEAD", "origin/main")
    if not base or base == _git("rev-parse", "HEAD"):
        base = _git("rev-parse", "HEAD~1")
    return set(_git("diff", "--name-only", *base) + _git("ls-files", "-o", "--exclude-standard"))


def _chosen(full: bool) -> list[pathlib.Path]:
    """Sources of programs in the compilation database."""
    entries = json.loads((_DATABASE / "compile_commands.json").read_text())
    files = sorted({pathlib.Path(entry["file"]).resolve() for entry in entries
                    if pathlib.Path(entry["file"]).resolve().is_relative_to(tree.SRC)})
    changed = _changed()
    return files if full else [path for path in files if str(path.relative_to(tree.TOP)) in changed]


def _tidy(path: pathlib.Path) -> str:
    done = subprocess.run(["clang-tidy-19", "--quiet", "-p", str(_DATABASE), str(path),
                           "--extra-arg=-Wno-unknown-warning-option"],
                          capture_output=True, text=True, cwd=tree.TOP)
    if done.returncode == 0:
        return ""
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "error:" in line]
    return "\n  ".join(line.replace(f"{tree.TOP}/", "") for line in lines[:20]) or done.stderr[-500:]


def main() -> None:
    words = sys.argv[1:]
    full = "--full" in words
    named = [pathlib.Path(word).resolve() for word in words if not word.startswith("--")]
    cache = tree.PassedCache("tidy", (tree.TOP / ".clang-tidy").read_text())
    deadline = time.monotonic() + (_MANY if full or named else _SECONDS)
    gate, remembered, left = tree.Gate(), 0, 0
    work = []
    for path in named or _chosen(full):
        if cache.has(key := cache.key(path)) and not named:
            remembered += 1
        else:
            work.append((path, key))

    def one(item):
        return None if time.monotonic() > deadline else _tidy(item[0])

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (path, key), wrong in zip(work, pool.map(one, work)):
            name = f"tidy {path.relative_to(tree.TOP)}"
            if wrong is None:
                left += 1
            elif wrong:
                gate.fail(name, wrong)
            else:
                cache.add(key)
                gate.ok(name)
    print(f"   {remembered} unchanged since they passed, {left} left for another run")
    if not work and not remembered:
        print("ok no source of a program has changed")
        totals.finish(1, 0, 0)
    totals.finish(gate.passed + remembered, gate.failed, 0)


if __name__ == "__main__":
    main()
