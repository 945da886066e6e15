#!/usr/bin/env python3
"""run.py [--only PATTERN] [--full] [--seed N] [--list]: the functional tests, in a private machine.

--only PATTERN   tests whose id (file.Class.test) contains PATTERN; repeatable
--full           also the tests that ./check leaves to ./check --full (class attribute `full_only`), and whole
                 fault loops instead of a seeded sample (WHERRY_TEST_FULL=1)
                 Programs with sanitizers leave out those that run them in another root (`in_another_root`).
--seed N         the seed of samples (default: from the last commit; printed)
"""
import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

_HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE.parent))
sys.path.insert(0, str(_HERE))

from harness import peers, sandbox, totals  # noqa: E402
from harness.paths import TOP, bin_dir, sanitized  # noqa: E402


class _Overdue(Exception):
    """A test that hangs fails, with the place where it waits, and the others run all the same."""


def _overdue(*_):
    raise _Overdue("the test is not done in its time; it waits here")


class _Report(unittest.TextTestResult):
    """One line a test, with its time; failures in full at the end."""

    seconds = 420  # for one test; the longest makes an application out of a distribution's packages

    def startTest(self, test):
        self._begin = time.monotonic()
        # Again and again: what ends a `with` may wait as well.
        signal.setitimer(signal.ITIMER_REAL, self.seconds, 20)
        unittest.TestResult.startTest(self, test)

    def stopTest(self, test):
        signal.setitimer(signal.ITIMER_REAL, 0)
        unittest.TestResult.stopTest(self, test)

    def _line(self, word, test):
        self.stream.writeln(f"{word} {test.id()} ({time.monotonic() - self._begin:.2f} s)")
        self.stream.flush()

    def addSuccess(self, test):
        unittest.TestResult.addSuccess(self, test)
        self._line("ok", test)

    def addFailure(self, test, err):
        unittest.TestResult.addFailure(self, test, err)
        self._line("FAIL", test)

    def addError(self, test, err):
        unittest.TestResult.addError(self, test, err)
        self._begin = getattr(self, "_begin", time.monotonic())
        self._line("FAIL", test)

    def addSkip(self, test, reason):
        unittest.TestResult.addSkip(self, test, reason)
        self._line("skip", test)


def _tests(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from _tests(item)
        else:
            yield item


def _seed(given: int | None) -> int:
    if given is not None:
        return given
    head = subprocess.run(["git", "rev-parse", "--short=8", "HEAD"], cwd=TOP, capture_output=True, text=True)
    return int(head.stdout.strip() or "1", 16)


def _chosen(options) -> list[unittest.TestCase]:
    os.environ["WHERRY_TEST_SEED"] = str(_seed(options.seed))
    if options.full:
        os.environ["WHERRY_TEST_FULL"] = "1"
    loader = unittest.TestLoader()
    found = list(_tests(loader.discover(str(_HERE), pattern="*_test.py", top_level_dir=str(_HERE))))
    # Programs with sanitizers need libraries that no other root has.
    return [test for test in found
            if (options.full or options.only or not getattr(test, "full_only", False))
            and not (sanitized() and getattr(test, "in_another_root", False))
            and (not options.only or any(word in test.id() for word in options.only))]


def _inside(options) -> None:
    chosen = _chosen(options)
    if options.list:
        print("\n".join(test.id() for test in chosen))
        return
    print(f"seed {os.environ['WHERRY_TEST_SEED']}, programs in {bin_dir()}", flush=True)
    signal.signal(signal.SIGALRM, _overdue)
    if options.full:
        _Report.seconds = 3600
    result = unittest.TextTestRunner(stream=sys.stdout, resultclass=_Report, verbosity=0).run(
        unittest.TestSuite(chosen))
    # A subtest belongs to its test; a class that could not be set up has run no test.
    failed = {getattr(test, "test_case", test) for test, _ in result.failures + result.errors}
    ran = sum(1 for test in failed if isinstance(test, unittest.TestCase))
    totals.finish(result.testsRun - ran - len(result.skipped), len(failed), len(result.skipped))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list or "WHERRY_TEST_DISK" in os.environ:
        _inside(options)
    else:
        # Made outside, where the package archive can be reached.
        if any(getattr(test, "needs_peers", False) for test in _chosen(options)):
            peers.tree()
        sys.exit(sandbox.enter([sys.executable, str(_HERE / "run.py"), *sys.argv[1:]]))


if __name__ == "__main__":
    main()
