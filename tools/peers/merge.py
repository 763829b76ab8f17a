"""One table, in Markdown, of a report of `kinora bench` and of its peers'."""

import argparse
from pathlib import Path

from report import read


def rate(row):
    """Operations per second, or bytes per second where there are few operations."""
    seconds = row["measured"]["seconds"]["median"]
    if row["flops"] > 8 * row["bytes"]:
        return f"{row['flops'] / seconds / 1e9:.4g} Gop/s"
    return f"{row['bytes'] / seconds / 1e9:.4g} GB/s"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ours", type=Path)
    parser.add_argument("peers", type=Path, nargs="+")
    args = parser.parse_args()
    ours, peers = read(args.ours, parser), [read(path, parser) for path in args.peers]
    print(f"{ours['tool']} on {ours['device']['name']}, precision {ours['options']['precision']}; beside it:\n")
    for peer in peers:
        print(f"- {peer['tool']} on {peer['device']['name']}")
    by_id = [{row["id"]: row for row in peer["rows"]} for peer in peers]
    ids = {row["id"] for row in ours["rows"]}
    # Whoever has measured the same rows gets a column.
    columns = [(peer, rows) for peer, rows in zip(peers, by_id) if rows.keys() & ids]
    heads = ["row", "kinora", *(f"{peer['tool']}, and how much faster Kinora is" for peer, _ in columns)]
    print("\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for row in ours["rows"]:
        if not row["measured"]:
            continue
        cells = [row["id"], rate(row)]
        for _, rows in columns:
            peer = rows.get(row["id"])
            if peer is None:
                cells.append("")
                continue
            ratio = peer["measured"]["seconds"]["median"] / row["measured"]["seconds"]["median"]
            cells.append(f"{rate(peer)} ({peer['computed_as']}), {ratio:.3g}")
        print("| " + " | ".join(cells) + " |")
    for peer, rows in zip(peers, by_id):
        if rows.keys() & ids:
            continue
        print(f"\n{peer['tool']}, at shapes of its own:\n\n| row | rate |\n|---|---|")
        for row in peer["rows"]:
            print(f"| {row['computed_as']} {row['id']} | {rate(row)} |")


if __name__ == "__main__":
    main()
