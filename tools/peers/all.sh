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

"$KINORA" bench "$@" --force --json "$ours" --html "$folder/kinora.html"
peers=()
if [ -n "${GGML:-}" ]; then
  # ggml leaves software drivers alone unless told; arithmetic in f16, which it prefers, is not always the faster.
  class=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["device"]["class"])' "$ours")
  [ "$class" != software ] || export GGML_VK_VISIBLE_DEVICES=${GGML_VK_VISIBLE_DEVICES:-0}
  python3 "$here/ggml_peer.py" "$ours" --program "$GGML" -o "$folder/ggml.json"
  GGML_VK_DISABLE_F16=1 python3 "$here/ggml_peer.py" "$ours" --program "$GGML" -o "$folder/ggml-f32.json"
  peers+=("$folder/ggml.json" "$folder/ggml-f32.json")
fi
if python3 -c 'import torch' 2> /dev/null; then
  diffusers=$(python3 -c 'import diffusers; print("--diffusers")' 2> /dev/null || true)
  python3 "$here/torch_peer.py" "$ours" $diffusers -o "$folder/torch.json"
  peers+=("$folder/torch.json")
else
  echo "python3 has no torch: left out" >&2
fi
if [ "${BURN:-1}" != 0 ]; then
  cargo run --release --manifest-path "$here/burn/Cargo.toml" -- "$ours" "$folder/burn.json"
  peers+=("$folder/burn.json")
fi
[ ${#peers[@]} -gt 0 ] || { echo "no peer was measured: set GGML, or install PyTorch" >&2; exit 1; }
python3 "$here/merge.py" "$ours" "${peers[@]}" > "$folder/table.part"
mv "$folder/table.part" "$folder/table.md"
echo "$folder/table.md"
