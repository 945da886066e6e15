#!/usr/bin/env python3
"""fsck_quick.py [ROUNDS]: `wherry fsck --quick` of a store of 20 images on one Debian base."""
import statistics
import sys

import common

_IMAGES = 20


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    w = common.Wherry()
    common.print_versions(w)
    w.ok("import", common.images.debian_tar(), "debian:bench", timeout=300)
    for number in range(_IMAGES):
        w.ok("build", "-t", f"of:{number}", "-", timeout=300,
             input=f"FROM debian:bench\nRUN mkdir /app && cp -r /etc /app && echo {number} > /app/number\n")
    said = w.ok("fsck", "--quick").splitlines()[-1]
    for flags in (["--quick"], []):
        spent = [common.milliseconds(w.command("fsck", *flags), w.environment()) for _ in range(rounds)]
        print(f"fsck {' '.join(flags):8} median {statistics.median(spent):7.1f} ms   min {min(spent):7.1f} ms")
    print(said)
    w.close()


if __name__ == "__main__":
    common.in_sandbox(main, debian=True)
