#!/usr/bin/env python3
"""run.py [--full] [--only PATTERN]: what this machine's kernel cannot show, in a guest with cgroup v2.

Debian 12's own kernel 6.1, systemd, all capabilities; software emulation, so no timings are judged. One boot for
each security module; each test is a script that runs in the guest and prints "good" as its last line.
"""
import argparse
import itertools
import pathlib
import subprocess
import sys
import time

_HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE.parent))

from guest import image, machine  # noqa: E402
from guest.cases import CASES, PRELUDE  # noqa: E402
from harness import images, totals  # noqa: E402
from harness.paths import BUILD, bin_dir  # noqa: E402


def payload() -> dict[str, pathlib.Path]:
    """The release programs, an image, and the libraries that the dynamic helpers need."""
    files = {path.name: path for path in bin_dir().glob("wherry*") if path.is_file()}
    files["busybox.tar"] = images.busybox_tar()
    files["kernel_store"] = bin_dir() / "kernel_store"
    for name in ("wherry-unpack", "wherry-transfer", "wherry-registry", "kernel_store"):
        if name in files:
            files |= {f"lib/{library.name}": library for library in _libraries(files[name])}
    return files


def _libraries(program: pathlib.Path) -> list[pathlib.Path]:
    out = subprocess.run(["ldd", str(program)], check=True, capture_output=True, text=True).stdout
    return [pathlib.Path(line.split("=>")[1].split()[0]).resolve().with_name(
        line.split("=>")[0].strip()) for line in out.splitlines() if "=> /" in line]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    begin = time.monotonic()
    made = image.ensure(BUILD / "guest")
    print(f"guest image ready after {time.monotonic() - begin:.1f} s", flush=True)
    chosen = [case for case in CASES if options.only in case.name and (options.full or not case.full_only)]
    passed = 0
    for security, cases in itertools.groupby(chosen, lambda case: case.security):
        with machine.Guest(made, payload(), security) as guest:
            print(f"guest with {security} booted after {time.monotonic() - begin:.1f} s", flush=True)
            code, out = guest.run(PRELUDE, timeout=180)
            if code != 0:
                print(f"FAIL prelude: {out}")
                continue
            passed += sum(_run(guest, case) for case in cases)
    totals.finish(passed, len(chosen) - passed, 0)


def _run(guest, case) -> bool:
    begin = time.monotonic()
    try:
        code, out = guest.run(". /payload/env; set -e\n" + case.script, timeout=120)
    except TimeoutError as error:
        code, out = -1, str(error)
    good = code == 0 and out.rstrip().endswith("good")
    print(f"{'ok' if good else 'FAIL'} {case.name} ({time.monotonic() - begin:.1f} s)", flush=True)
    if not good:
        print("  " + out.strip().replace("\n", "\n  "), flush=True)
    return good


if __name__ == "__main__":
    main()
