"""Reads what ggml's `test-backend-ops perf` prints into the form of the other peers."""

import argparse
import re
from pathlib import Path

from report import spread, write

# e.g. `  MUL_MAT(type_a=q4_K,type_b=f32,m=4096,n=512,k=14336,bs=[1,1],...):   12 runs - 90123.45 us/run -
#  60.13 GFLOP/run - 667.20 GFLOPS`
LINE = re.compile(r"^\s*(\w+)\((.*)\):\s+(\d+) runs\s+-\s+([\d.]+) us/run\s+-\s+([\d.]+) (\w+)/run")
BACKEND = re.compile(r"^Backend \d+/\d+: (.*)$")
DEVICE = re.compile(r"^\s*Device description: (.*)$")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# FLOP counts are decimal, sizes of memory binary.
SCALES = {"kFLOP": 1e3, "MFLOP": 1e6, "GFLOP": 1e9, "TFLOP": 1e12, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


def parse(text):
    """Rows, and the name of the device that they were measured on."""
    rows, device, backend = [], "", ""
    for line in COLOURS.sub("", text).splitlines():
        if found := BACKEND.match(line):
            backend = found[1].strip()
        elif found := DEVICE.match(line):
            device = found[1].strip()
        elif found := LINE.match(line):
            op, arguments, runs, microseconds, work, unit = found.groups()
            seconds = float(microseconds) * 1e-6
            amount = float(work) * SCALES.get(unit, 1)
            flops, size = (amount, 0) if unit.endswith("FLOP") else (0, amount)
            rows.append(
                {
                    "id": f"{op} {arguments}",
                    "kind": op,
                    "flops": flops,
                    "bytes": size,
                    "computed_as": backend,
                    # One mean of many runs is all that ggml prints.
                    "measured": {"seconds": spread([seconds]) | {"samples": int(runs)}},
                }
            )
    return rows, device or backend


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path, help="output of `test-backend-ops perf`")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    rows, device = parse(args.log.read_text(errors="replace"))
    if not rows:
        parser.error(f"{args.log} has no line of a measurement; was it written by `test-backend-ops perf`?")
    write(args.output, "ggml test-backend-ops", device, rows)


if __name__ == "__main__":
    main()
