#!/usr/bin/env bash
# What building, testing and ./quickstart need from Debian 12, in one place.
# Usage: install_deps.sh [build|test]   (build: for ./quickstart; test: everything, for ./check; default)
# A quick no-op when all is there; `apt-get update` runs only when the lists do not know a package.
set -euo pipefail

build=(
  ca-certificates git cmake ninja-build ccache g++-12 g++ pkg-config python3
  nlohmann-json3-dev libcli11-dev libfmt-dev libspdlog-dev libsqlite3-dev libssl-dev libseccomp-dev
  libcap-dev libnl-3-dev libnl-route-3-dev libnftnl-dev libmnl-dev libarchive-dev zlib1g-dev
  libcurl4-openssl-dev libzstd-dev libisal-dev libboost1.81-dev libcrypt-dev libgtest-dev
  mmdebstrap iproute2 nftables util-linux e2fsprogs
)
test=(
  clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev valgrind strace hyperfine
  xfsprogs busybox-static qemu-system-x86 dpkg-dev shellcheck tar xz-utils zstd bzip2
)

case "${1:-test}" in
  build) wanted=("${build[@]}") ;;
  test) wanted=("${build[@]}" "${test[@]}") ;;
  *) echo "usage: $0 [build|test]" >&2; exit 2 ;;
esac

declare -A have=()
while read -r package status; do
  [ "$status" = installed ] && have[${package%%:*}]=1
done < <(dpkg-query -W -f '${binary:Package} ${db:Status-Status}\n' 2>/dev/null)
missing=()
for package in "${wanted[@]}"; do
  [ -n "${have[$package]:-}" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "all ${#wanted[@]} packages are installed"
  exit 0
fi
if [ "$(id -u)" != 0 ]; then
  echo "cannot install '${missing[*]}': not root" >&2
  exit 1
fi

echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
options=(-y -q --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3)
if ! apt-cache show "${missing[@]}" >/dev/null 2>&1; then
  apt-get update -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3
fi
# Lists may know a version that the archive no longer has: then once more with fresh ones.
apt-get install "${options[@]}" "${missing[@]}" ||
  { apt-get update -q -o Acquire::Retries=3 && apt-get install "${options[@]}" "${missing[@]}"; }
