#!/usr/bin/env bash
# Runs cargo with one Vulkan driver instead of those that the system has; tests fail where it gives no device.
# usage: tools/driver-tests.sh MANIFEST [ARGUMENTS OF cargo …]      tests of kernels, plans and runs by default
set -euo pipefail
manifest=$(realpath "${1:?usage: driver-tests.sh MANIFEST [ARGUMENTS OF cargo …]}")
shift
[ $# -gt 0 ] || set -- test -p kinora-runtime
export VK_DRIVER_FILES=$manifest VK_ICD_FILENAMES=$manifest KINORA_REQUIRE_GPU=1
exec cargo "$@"
