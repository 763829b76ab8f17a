"""What all peers share: reading a report of `kinora bench`, and writing one of a peer."""

import json
import re
import statistics

SCHEMA = 1


def read(path, parser):
    """The report at `path`; else ends the program with what is wrong."""
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        parser.error(f"{path} is no report: {error}")
    if report.get("schema") != SCHEMA:
        parser.error(f"{path} has schema {report.get('schema')}; this script reads {SCHEMA}")
    return report


def write(path, tool, device, rows):
    """Writes a peer's report under a temporary name, and gives it its own when it is whole."""
    result = {"schema": SCHEMA, "tool": tool, "device": {"name": device}, "rows": rows}
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(result, indent=2))
    partial.rename(path)


def answer(row, computed_as, seconds):
    """A peer's row beside Kinora's `row`."""
    common = {name: row[name] for name in ("id", "kind", "flops", "bytes")}
    return common | {"computed_as": computed_as, "measured": {"seconds": seconds}}


def spread(samples):
    """Samples, in seconds, as reports have them."""
    quartiles = samples * 3 if len(samples) == 1 else statistics.quantiles(samples, n=4, method="inclusive")
    low, median, high = quartiles
    return {
        "median": median,
        "min": min(samples),
        "max": max(samples),
        "lower_quartile": low,
        "upper_quartile": high,
        "samples": len(samples),
    }


def numbers(shape):
    """`m=8 n=16` -> {'m': 8, 'n': 16}"""
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", shape)}
