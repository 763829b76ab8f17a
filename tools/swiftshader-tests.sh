#!/usr/bin/env bash
# Runs tests on a driver with subgroups of 4, no 16-bit storage and no GPU: SwiftShader, as Debian's chromium brings it.
# It is unpacked beside the system (0.1 GB; needs apt).
# usage: tools/swiftshader-tests.sh FOLDER [ARGUMENTS OF cargo …]      tests of kernels, plans and runs by default
set -euo pipefail
folder=$(mkdir -p "${1:?usage: swiftshader-tests.sh FOLDER [ARGUMENTS OF cargo …]}" && cd "$1" && pwd)
shift
driver=$folder/usr/lib/chromium

if [ ! -e "$driver/vk_swiftshader_icd.json" ]; then
  (cd "$folder" && apt-get download -q chromium-common) || {
    echo "apt offers no chromium-common: this needs Debian, after apt-get update" >&2
    exit 1
  }
  dpkg-deb --fsys-tarfile "$folder"/chromium-common_*.deb | tar -x -C "$folder" ./usr/lib/chromium/libvk_swiftshader.so \
    ./usr/lib/chromium/vk_swiftshader_icd.json
  rm "$folder"/chromium-common_*.deb
fi
exec "$(dirname "$0")/driver-tests.sh" "$driver/vk_swiftshader_icd.json" "$@"
