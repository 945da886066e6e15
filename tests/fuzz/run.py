#!/usr/bin/env python3
"""run.py [--full] [NAME...]: each fuzz target over its seed corpus, then a short seeded run (--full: 10 minutes).

The short run always begins with the same seed: what it finds is this change's, not chance. A target without
seeds is a failure. What a long run finds new stays below build/fuzz/corpus.
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

_HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE.parent))

from harness import totals  # noqa: E402
from harness.paths import BUILD  # noqa: E402

_SHORT_SECONDS, _LONG_SECONDS = 3, 600


def run_target(source: pathlib.Path, limits: list[str]) -> str:
    """Why it failed; empty when it did not."""
    floor, name = source.parent.name, source.name.removesuffix("_fuzz.cc")
    program = BUILD / "fuzz" / "bin" / f"fuzz_{floor}_{name}"
    seeds = source.parent / name
    if not seeds.is_dir() or not any(seeds.iterdir()):
        return f"no seeds in '{seeds}'"
    work = BUILD / "fuzz" / "corpus" / f"{floor}_{name}"
    work.mkdir(parents=True, exist_ok=True)
    common = ["-rss_limit_mb=2048", "-timeout=20", f"-artifact_prefix={work.parent}/crash-{name}-"]
    for arguments in (["-runs=0", str(seeds)],
                      [*limits, "-max_len=65536", str(work), str(seeds)]):
        done = subprocess.run([str(program), *common, *arguments], capture_output=True, text=True,
                              errors="replace", stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            return f"ended with {done.returncode}\n" + done.stderr[-3000:]
    return ""


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "--full"]
    full = "--full" in sys.argv
    limits = [f"-max_total_time={_LONG_SECONDS}"] if full else [f"-max_total_time={_SHORT_SECONDS}", "-seed=1"]
    sources = sorted(source for source in _HERE.glob("*/*_fuzz.cc")
                     if not words or any(word in source.name for word in words))
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for source, wrong in zip(sources, pool.map(lambda item: run_target(item, limits), sources)):
            label = f"{source.parent.name}/{source.name.removesuffix('_fuzz.cc')}"
            print(f"FAIL {label}: {wrong}" if wrong else f"ok {label}", flush=True)
            failed += bool(wrong)
    totals.finish(len(sources) - failed, failed, 0)


if __name__ == "__main__":
    main()
