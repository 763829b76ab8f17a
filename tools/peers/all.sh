#!/usr/bin/env bash
# Kinora and its peers at the same shapes, one after the other, and one table of all: FOLDER/table.md.
# usage: tools/peers/all.sh FOLDER [ARGUMENTS OF kinora bench …]      `--quick` where there is no GPU
#   GGML=…/ggml-peer     ggml, built as README.md says; left out where not set
#   KINORA=…/kinora      the command to measure instead of a release build of this clone
#   BURN=0               leaves burn out, whose build takes long
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mkdir -p "${1:?usage: all.sh FOLDER [ARGUMENTS OF kinora bench …]}" && cd "$1" && pwd)
shift
ours=$folder/kinora.json

# What is built is built before anything is timed.
if [ -z "${KINORA:-}" ]; then
  cargo build --release --manifest-path "$here/../../Cargo.toml" -p kinora
  KINORA=$here/../../target/release/kinora
fi
[ "${BURN:-1}" = 0 ] || cargo build --release --manifest-path "$here/burn/Cargo.toml"

# A row that is wrong is no reason to leave the others alone; the report says so.
rm -f "$ours"
"$KINORA" bench "$@" --force --json "$ours" --html "$folder/kinora.html" || [ -e "$ours" ]
peers=()
# Runs a command that writes a report to a file of this name, which stands behind it.
peer() {
  if "${@:2}" "$folder/$1"; then
    peers+=("$folder/$1")
  else
    echo "left out, for it failed: $1" >&2
  fi
}
if [ -n "${GGML:-}" ]; then
  # ggml leaves software drivers alone unless told; arithmetic in f16, which it prefers, is not always the faster.
  class=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["device"]["class"])' "$ours")
  [ "$class" != software ] || export GGML_VK_VISIBLE_DEVICES=${GGML_VK_VISIBLE_DEVICES:-0}
  ggml=(python3 "$here/ggml_peer.py" "$ours" --program "$GGML" -o)
  peer ggml.json "${ggml[@]}"
  peer ggml-f32.json env GGML_VK_DISABLE_F16=1 "${ggml[@]}"
fi
if python3 -c 'import torch' 2> /dev/null; then
  diffusers=$(python3 -c 'import diffusers; print("--diffusers")' 2> /dev/null || true)
  peer torch.json python3 "$here/torch_peer.py" "$ours" $diffusers -o
else
  echo "python3 has no torch: left out" >&2
fi
[ "${BURN:-1}" = 0 ] || peer burn.json cargo run --release --manifest-path "$here/burn/Cargo.toml" -- "$ours"
[ ${#peers[@]} -gt 0 ] || { echo "no peer was measured: set GGML, or install PyTorch" >&2; exit 1; }
python3 "$here/merge.py" "$ours" "${peers[@]}" > "$folder/table.part"
mv "$folder/table.part" "$folder/table.md"
echo "$folder/table.md"
