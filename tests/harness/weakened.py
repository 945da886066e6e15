#!/usr/bin/env python3
"""weakened.py [--weaken=NAME]... [--list]: every defence is needed by a test.

Builds programs without their defences (cmake --preset weak), runs each test of an attack against the release, where it
must pass, then against programs that leave out what its mark names (harness/attacks.py), where it must fail by what it
sees of the attack, not by an accident. --weaken=NAME: only the tests that need this defence.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

_TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_TESTS))

from harness import totals  # noqa: E402
from harness.paths import BUILD, TOP  # noqa: E402

_FUNCTIONAL = _TESTS / "functional"
_PAGE = TOP / "docs/design/attacks.md"
_PROGRAMS = ["wherry", "wherry-monitor", "wherry-unpack", "wherry-transfer", "wherry-oci"]
_TIMEOUT = 300


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def add(self, name: str, wrong: str = "") -> None:
        print(f"FAIL {name}: {wrong}" if wrong else f"ok {name}", flush=True)
        self.failed += bool(wrong)
        self.passed += not wrong


def known_names() -> list[str]:
    return re.findall(r'^  X\(k\w+, "([a-z-]+)"\)', (TOP / "src/base/weaken.h").read_text(), re.M)


def marked_tests() -> dict[str, tuple[str, ...]]:
    """The id of each marked test: the defences without which it must fail."""
    sys.path.insert(0, str(_FUNCTIONAL))
    marked = {}

    def look(suite):
        for item in suite:
            if isinstance(item, unittest.TestSuite):
                look(item)
            elif names := getattr(getattr(item, item._testMethodName, None), "weakened_by", None):
                marked[item.id()] = names

    look(unittest.TestLoader().discover(str(_FUNCTIONAL), pattern="*_test.py", top_level_dir=str(_FUNCTIONAL)))
    return marked


def build() -> None:
    for preset in ("release", "weak"):
        subprocess.run(["cmake", "--preset", preset], cwd=TOP, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        subprocess.run(["ninja", "-C", str(BUILD / preset), *_PROGRAMS], check=True, stdout=subprocess.DEVNULL)


def run_tests(tests: list[str], folder: pathlib.Path, weaken: str = "") -> str:
    """What the tests have written."""
    environment = {**os.environ, "WHERRY_BIN_DIR": str(folder)}
    environment.pop("WHERRY_WEAKEN", None)
    if weaken:
        environment["WHERRY_WEAKEN"] = weaken
    words = [sys.executable, str(_FUNCTIONAL / "run.py"), *(f"--only={test}" for test in tests)]
    # As a group of its own, which a timeout ends whole: the sandbox goes with its first process.
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", env=environment)
    try:
        return process.communicate(timeout=_TIMEOUT)[0]
    except subprocess.TimeoutExpired:
        process.terminate()
        return process.communicate()[0] + f"\nnot done after {_TIMEOUT} s\n"


def verdict_of_weakened(test: str, output: str) -> str:
    """Empty where the test has failed by its own assertion; else what happened."""
    if re.search(rf"^ok {re.escape(test)} ", output, re.M):
        return "the attack does not work without the defence: it passed"
    blocks = re.split(r"^={70}$", output, flags=re.M)
    own = [block for block in blocks if re.match(rf"\s*(FAIL|ERROR): .*\({re.escape(test)}\)", block)]
    if any(re.search(r"^harness\.attacks\.Breached\b", block, re.M) for block in own):
        return ""
    return "it failed by accident, not by what it saw of the attack:\n" + "\n".join(own or [output[-2000:]])


def check_words(report: Report, marked: dict[str, tuple[str, ...]]) -> None:
    """Names in the header, marks of tests and rows of the page are the same."""
    names, page = known_names(), _PAGE.read_text()
    used = {name for mark in marked.values() for name in mark}
    for name in names:
        wrong = "no test needs it" if name not in used else f"not in {_PAGE.name}" if f"`{name}`" not in page else ""
        report.add(f"the name {name}", wrong)
    for test, mark in marked.items():
        unknown = [name for name in mark if name not in names]
        method = test.rpartition(".")[2]
        wrong = f"unknown {unknown}" if unknown else f"not in {_PAGE.name}" if method not in page else ""
        if wrong:
            report.add(f"the mark of {test}", wrong)


def check_build(report: Report) -> None:
    """A weakened program says so, a release does not listen, and no unknown name is built."""
    settings = {"PATH": os.environ["PATH"], "WHERRY_WEAKEN": "seal"}
    for folder, said in (("release", False), ("weak", True)):
        for words in (("wherry-oci", "--version"), ("wherry", "version")):
            out = subprocess.run([str(BUILD / folder / "bin" / words[0]), *words[1:]], check=True, env=settings,
                                 capture_output=True, text=True).stdout
            report.add(f"{folder} {' '.join(words)}", "" if ("weakened: seal\n" in out) == said else out)
    for program in _PROGRAMS[:2] + _PROGRAMS[-1:]:
        report.add(f"the word is in the weakened {program}", "" if b"WHERRY_WEAKEN\0" in
                   (BUILD / "weak" / "bin" / program).read_bytes() else "so the gate looks for something else")
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(["cmake", "-S", str(TOP), "-B", scratch, "-G", "Ninja", "-DWHERRY_WEAKEN=seal,nope"],
                              capture_output=True, text=True)
    report.add("an unknown name is not built",
               "" if done.returncode != 0 and "unknown defence 'nope'" in " ".join(done.stderr.split()) else done.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weaken", action="append", default=[], metavar="NAME")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    marked = marked_tests()
    if options.list:
        print("\n".join(f"{','.join(names):24} {test}" for test, names in marked.items()))
        return
    report = Report()
    if not options.weaken:
        check_words(report, marked)
    if unknown := [name for name in options.weaken if name not in known_names()]:
        sys.exit(f"weakened.py: unknown defence '{unknown[0]}'; known are: {', '.join(known_names())}")
    build()
    if not options.weaken:
        check_build(report)
    chosen = {test: names for test, names in marked.items() if not options.weaken or set(names) & set(options.weaken)}
    output = run_tests(list(chosen), BUILD / "release" / "bin")
    for test in chosen:
        passed = re.search(rf"^ok {re.escape(test)} ", output, re.M)
        report.add(f"release {test}", "" if passed else f"it must pass:\n{output[-3000:]}")
    groups = {}
    for test, names in chosen.items():
        groups.setdefault(names, []).append(test)
    for names, tests in groups.items():
        output = run_tests(tests, BUILD / "weak" / "bin", ",".join(names))
        for test in tests:
            report.add(f"without {'+'.join(names)} {test}", verdict_of_weakened(test, output))
    totals.finish(report.passed, report.failed, 0)


if __name__ == "__main__":
    main()
