#!/usr/bin/env bash
# Mesa's compilers for AMD and Intel on a machine without their cards.
#
# usage: mesa.sh FOLDER
#
# Unpacks Debian's packages beside the system's (nothing is installed, no root is needed) and builds, from the same
# release's source, the stand-in for an Intel kernel driver. Needs the Debian mirror that apt is set up with, gcc, g++,
# pkg-config, python3-venv, the headers of expat and zlib, a Vulkan loader; 0.6 GB while it builds, 40 MB after.
# A folder that is ready is left as it is.
#
# FOLDER/radeon.json, FOLDER/intel.json   the drivers, as the Vulkan loader wants them named
# FOLDER/lib                              the drivers' libraries, for LD_LIBRARY_PATH
# FOLDER/libintel_noop_drm_shim.so        the stand-in, for LD_PRELOAD
# FOLDER/version                          of the packages; it is there when all else is
set -euo pipefail

folder=$(mkdir -p "${1:?usage: mesa.sh FOLDER}" && cd "$1" && pwd)
[ ! -e "$folder/version" ] || exit 0
suite=bookworm-backports # the last Mesa series with a switch for AMD's chips (RADV_FORCE_FAMILY)

stop() { echo "error: $1" >&2; exit 1; }
[ "$(uname -sm)" = "Linux x86_64" ] || stop "this needs Linux on x86-64"
for program in apt-get dpkg-deb gcc g++ pkg-config python3 tar; do
  command -v "$program" >/dev/null || stop "this needs $program"
done
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/*$' | sort -u | head -1 || true)
[ -n "$mirror" ] || stop "apt knows no Debian mirror; unpack Mesa 25.0 by hand and name its folder (--mesa)"

work=$folder/work
rm -rf "$work"
mkdir -p "$work"/apt/{lists/partial,cache/archives/partial,packages} "$work/root"
trap 'rm -rf "$work"' EXIT

# An apt of its own: this machine's lists and sources stay as they are.
key=/usr/share/keyrings/debian-archive-keyring.gpg
{
  echo "deb [signed-by=$key] $mirror $suite main"
  echo "deb [signed-by=$key] $mirror bookworm main"
  echo "deb-src [signed-by=$key] $mirror trixie main" # the same Mesa; the source of backports is not kept
} > "$work/apt/sources.list"
options=(-qq -o "Dir::State::lists=$work/apt/lists" -o "Dir::Cache=$work/apt/cache"
  -o "Dir::Etc::sourcelist=$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o Dir::Etc::preferencesparts=/dev/null -o APT::Sandbox::User=root)
apt-get "${options[@]}" update
unpack() { # FOLDER PACKAGE…
  local into=$1
  shift
  (cd "$work/apt/packages" && rm -f ./*.deb && apt-get "${options[@]}" download "$@")
  for package in "$work"/apt/packages/*.deb; do dpkg-deb -x "$package" "$into"; done
}

echo "Mesa: unpacking the drivers"
backports=(mesa-vulkan-drivers libdrm2 libdrm-amdgpu1 libdrm-intel1)
unpack "$work/root" "${backports[@]/%//$suite}"
version=$(dpkg-deb -f "$work"/apt/packages/mesa-vulkan-drivers_*.deb Version)
libraries=$work/root/usr/lib/x86_64-linux-gnu

echo "Mesa: building the stand-in for an Intel kernel driver (some minutes)"
unpack "$work/tools" libdrm-dev/$suite bison/bookworm flex/bookworm m4/bookworm
(cd "$work" && apt-get "${options[@]}" source --download-only mesa/trixie && tar xf mesa_*.orig.tar.xz)
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install meson ninja mako pyyaml packaging setuptools
tools=$work/tools/usr
export PATH=$work/venv/bin:$tools/bin:$PATH M4=$tools/bin/m4 BISON_PKGDATADIR=$tools/share/bison
export PKG_CONFIG_PATH=$tools/lib/x86_64-linux-gnu/pkgconfig
# The headers' package describes itself as installed; its libraries come from the drivers' folder.
sed -i "s|^prefix=.*|prefix=$tools|" "$PKG_CONFIG_PATH"/*.pc
cp -a "$libraries"/libdrm*.so.* "$tools/lib/x86_64-linux-gnu/"
off=(glx egl gbm gles1 gles2 llvm valgrind libunwind lmsensors zstd xmlconfig shared-glapi)
disabled=("${off[@]/#/-D}")
disabled=("${disabled[@]/%/=disabled}")
log=$folder/build.log
meson setup "$work/build" "$work"/mesa-*/ --wrap-mode=nodownload -Dbuildtype=release -Dtools=drm-shim,intel \
  -Dgallium-drivers= -Dvulkan-drivers= -Dplatforms= -Dvideo-codecs= -Dopengl=false "${disabled[@]}" > "$log" 2>&1 \
  || stop "meson: see $log"
shim=src/intel/tools/libintel_noop_drm_shim.so
ninja -C "$work/build" -j2 $shim >> "$log" 2>&1 || stop "ninja: see $log"

rm -rf "$folder/lib" && mkdir "$folder/lib"
cp -a "$libraries"/libdrm*.so.* "$libraries"/libvulkan_{radeon,intel}.so "$folder/lib/"
cp "$work/build/$shim" "$folder/"
missing=$(LD_LIBRARY_PATH=$folder/lib ldd "$folder"/lib/libvulkan_*.so | awk '/not found/ { print $1 }' | sort -u)
[ -z "$missing" ] || stop "the drivers need $(echo $missing): \`apt-get install mesa-vulkan-drivers libvulkan1\` brings them"
for driver in radeon intel; do
  printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "1.3.0"}}\n' \
    "$folder/lib/libvulkan_$driver.so" > "$folder/$driver.json"
done
rm -f "$log"
echo "$version" > "$folder/version"
echo "Mesa: ready"
