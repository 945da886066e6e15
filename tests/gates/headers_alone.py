"""Each header compiles alone: it includes what it uses."""
import concurrent.futures
import os
import subprocess

import tree

_FLAGS = ["-std=c++23", "-fsyntax-only", "-D_GNU_SOURCE", "-DFMT_HEADER_ONLY=1", "-DWHERRY_VERSION=\"gate\"",
          "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"]


def check(gate: tree.Gate) -> None:
    cache = tree.PassedCache("headers", *_FLAGS)
    work = [(header, key) for header in tree.headers() if not cache.has(key := cache.key(header))]
    wrong = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (header, key), error in zip(work, pool.map(lambda item: _compile(item[0]), work)):
            if error:
                wrong.append(f"{header.relative_to(tree.TOP)}: {error}")
            else:
                cache.add(key)
    gate.report("headers_alone", wrong)


def _compile(header) -> str:
    text = f'#include "{header.relative_to(tree.SRC)}"\n'
    done = subprocess.run(["g++", *_FLAGS, "-iquote", str(tree.SRC), "-x", "c++", "-"], input=text, text=True,
                          capture_output=True)
    lines = [line for line in done.stderr.splitlines() if "error" in line]
    return "" if done.returncode == 0 else (lines or done.stderr.splitlines() or ["failed"])[0]
