#!/usr/bin/env bash
# Runs tests on a driver with cooperative matrices of 8x8x8 and no GPU: Mesa's lavapipe 26 from Debian's backports.
# It is unpacked beside the system (0.3 GB; needs apt) and run through its own C library.
# usage: tools/matrix-tests.sh FOLDER [ARGUMENTS OF cargo …]      the tests of kernels, and of the choice of attention, by default
set -euo pipefail
folder=$(mkdir -p "${1:?usage: matrix-tests.sh FOLDER [ARGUMENTS OF cargo …]}" && cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- test -p kinora-runtime --test main -- kernels:: tuning::attention --nocapture
libraries=$folder/mesa/usr/lib/x86_64-linux-gnu

if [ ! -e "$folder/lavapipe.json" ]; then
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -v security | sort -u | head -1 || true)
  [ -n "$mirror" ] || { echo "no apt mirror is configured: this needs Debian or its like" >&2; exit 1; }
  key=/usr/share/keyrings/debian-archive-keyring.gpg
  mkdir -p "$folder"/apt/{lists/partial,cache/archives/partial} "$folder/mesa"
  for suite in trixie trixie-backports; do
    echo "deb [signed-by=$key] $mirror $suite main"
  done > "$folder/apt/sources.list"
  : > "$folder/apt/status"
  options=(-o "Dir::State::lists=$folder/apt/lists" -o "Dir::State::status=$folder/apt/status"
    -o "Dir::Cache=$folder/apt/cache" -o "Dir::Etc::sourcelist=$folder/apt/sources.list"
    -o Dir::Etc::sourceparts=/dev/null -o Debug::NoLocking=true)
  apt-get "${options[@]}" update -qq
  apt-get "${options[@]}" install -qq --yes --download-only --no-install-recommends \
    -t trixie-backports mesa-vulkan-drivers libvulkan1
  for package in "$folder"/apt/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$folder/mesa"
  done
  rm -r "$folder/apt"
  printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "1.4.0"}}\n' \
    "$libraries/libvulkan_lvp.so" > "$folder/lavapipe.json"
fi

# The driver needs a newer C library than the system may have.
printf '#!/bin/sh\nexec "%s" --library-path "%s:/usr/lib/x86_64-linux-gnu" "$@"\n' \
  "$libraries/ld-linux-x86-64.so.2" "$libraries" > "$folder/run"
chmod +x "$folder/run"
export KINORA_TIER=matrix CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER=$folder/run
exec "$(dirname "$0")/driver-tests.sh" "$folder/lavapipe.json" "$@"
