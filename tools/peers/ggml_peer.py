"""Times ggml at the shapes of a report of `kinora bench`, through the program of the folder `ggml`."""

import argparse
import os
import subprocess
from pathlib import Path

from report import answer, numbers, read, spread, write

# Largest normalised mean square error against ggml's own processor; what its own tests allow.
TOLERANCE = 5e-4


def line(row):
    """A row as the program reads it."""
    s = numbers(row["shape"])
    if row["kind"] == "gemm":
        return f"gemm {row['format']} {s['m']} {s['n']} {s['k']}"
    return f"attention {s['heads']} {s['q']} {s['k']} {s['d']}"


def ask(program, shape):
    """The spread of a shape's seconds, or None; and a word on it."""
    print(shape, file=program.stdin, flush=True)
    words = program.stdout.readline().split()
    if not words:
        program.wait()
        return None, f"the program ended with status {program.returncode}"
    if len(words) == 1:
        return None, words[0]
    error, *samples = map(float, words)
    if error > TOLERANCE:
        return None, f"wrong: error {error:.1e}"
    seconds = spread(samples)
    return seconds, f"{seconds['median']:.3g} s, error {error:.1e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="JSON of `kinora bench`")
    parser.add_argument("--program", type=Path, required=True, help="ggml-peer, as README.md says how to build it")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    report = read(args.report, parser)
    rows = [row for row in report["rows"] if row["kind"] in ("gemm", "attention")]
    # A shape is timed once, whatever models have it.
    known = dict.fromkeys(line(row) for row in rows)
    seconds = 0.3 if report["options"]["quick"] else 2.0
    settings = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("GGML_VK_DISABLE")]
    with subprocess.Popen([args.program, str(seconds)], stdin=-1, stdout=-1, text=True) as program:
        version, _, device = program.stdout.readline().rstrip("\n").partition("\t")
        for shape in known if version else ():
            known[shape], said = ask(program, shape)
            print(f"{shape}: {said}", flush=True)
            if program.poll() is not None:
                break
        program.stdin.close()
    if not version:
        parser.error(f"{args.program} has found nothing to measure")
    computed = lambda row: row["format"] if row["kind"] == "gemm" else "f16 keys and values"
    answers = [answer(row, computed(row), known[line(row)]) for row in rows if known[line(row)]]
    write(args.output, " ".join([f"ggml {version}", *settings]), device, answers)


if __name__ == "__main__":
    main()
