#!/usr/bin/env python3
"""gtests.py KIND BIN_DIR: runs every KIND_* test program of a build (KIND: unit, kernel) and adds up.

Kernel tests each run in fresh network, mount, UTS and IPC namespaces.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import peers, totals  # noqa: E402

_TIMEOUT = 300


def run_program(program: pathlib.Path, prefix: list[str]) -> tuple[int, int, int]:
    with tempfile.TemporaryDirectory() as scratch:
        report = pathlib.Path(scratch) / "report.json"
        try:
            done = subprocess.run([*prefix, str(program), "--gtest_brief=1", f"--gtest_output=json:{report}"],
                                  timeout=_TIMEOUT, stdin=subprocess.DEVNULL)
            code = done.returncode
        except subprocess.TimeoutExpired:
            code = -1
            print(f"FAIL {program.name}: not done after {_TIMEOUT} s")
        if not report.exists():
            print(f"FAIL {program.name}: ended with {code} before its report")
            return 0, 1, 0
        tests = [test for suite in json.loads(report.read_text())["testsuites"]
                 for test in suite["testsuite"]]
    failed = sum(1 for test in tests if test.get("failures"))
    skipped = sum(1 for test in tests if test["result"] == "SKIPPED" or test["status"] == "NOTRUN")
    passed = len(tests) - failed - skipped
    if code != 0 and failed == 0:  # a leak or another report of a sanitizer at the end
        print(f"FAIL {program.name}: all tests passed, but it ended with {code}")
        failed += 1
    return passed, failed, skipped


def main() -> None:
    kind, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    prefix = ["unshare", "--net", "--mount", "--uts", "--ipc", "--propagation", "private"] \
        if kind == "kernel" else []
    sums = [0, 0, 0]
    programs = sorted(folder.glob(f"{kind}_*"))
    if kind == "kernel":
        peers.tree("sid")  # they have no network to make it with
    for program in programs:
        print(f"--- {program.name}", flush=True)
        sums = [a + b for a, b in zip(sums, run_program(program, prefix))]
    if not programs:
        print(f"FAIL no program '{kind}_*' in '{folder}'")
        sums[1] += 1
    totals.finish(*sums)


if __name__ == "__main__":
    main()
