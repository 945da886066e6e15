#!/usr/bin/env python3
"""diff_images.py [ROUNDS]: `wherry diff` of two images of 10,000 files, of which 300 differ, from metadata alone."""
import io
import os
import pathlib
import statistics
import sys
import tarfile

import common

_FILES = 10_000


def tree(path: pathlib.Path, changed: range) -> pathlib.Path:
    with tarfile.open(path, "w") as tar:
        for number in range(_FILES):
            data = f"file {number}{' of the second' if number in changed else ''}\n".encode()
            member = tarfile.TarInfo(f"d{number // 100}/f{number}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    scratch = pathlib.Path(os.environ["WHERRY_TEST_DISK"])
    w = common.Wherry()
    common.print_versions(w)
    w.ok("import", tree(scratch / "a.tar", range(0)), "a:1")
    w.ok("import", tree(scratch / "b.tar", range(0, _FILES, 33)), "b:1")
    lines = len(w.ok("diff", "a:1", "b:1").splitlines())
    spent = [common.milliseconds(w.command("diff", "a:1", "b:1"), w.environment()) for _ in range(rounds)]
    print(f"diff of {_FILES} files, {lines} lines   median {statistics.median(spent):.1f} ms   min {min(spent):.1f} ms")
    w.close()


if __name__ == "__main__":
    common.in_sandbox(main)
