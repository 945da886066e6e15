#!/usr/bin/env bash
# version.sh: how long `wherry version` takes (goal: at most 1.5 ms), beside /bin/true.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
uname -r
"$top/build/release/bin/wherry" --root "$scratch/root" --run-root "$scratch/run" version
hyperfine -N --warmup 20 --runs 300 \
  "'$top/build/release/bin/wherry' --root $scratch/root --run-root $scratch/run version" /bin/true
