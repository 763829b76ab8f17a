#!/usr/bin/env python3
"""What does a clip show?  A judge that sees pixels only, never the prompt.

    python judge.py [N]      judge N true clips (300 by default) and print how often it is right

- background: the palette colour nearest to most pixels;
- object: every pixel that is nearer to another palette colour; its colour is the commonest of those;
- direction: the way that the object's centre goes between the first and the last frames;
- shape: of a circle, a square and a triangle with the object's area and centre, the one
  that overlaps the object best (intersection over union, mean over all frames).
"""
import random
import sys

import numpy as np
from PIL import Image, ImageDraw

import clips

NAMES = list(clips.COLOURS)
PALETTE = np.array(list(clips.COLOURS.values()), np.float32)
ATTRIBUTES = ["colour", "shape", "direction", "background"]
# Area and height of the centroid (below the nominal centre) of each shape of radius 1.
AREA = dict(circle=np.pi, square=4.0, triangle=0.5 * 2.1 * 1.9)
CENTROID = dict(circle=0.0, square=0.0, triangle=(-1.1 + 0.8 + 0.8) / 3)


def template(shape, x, y, area):
    """The mask of a shape with this centroid and area."""
    r, q = np.sqrt(area / AREA[shape]), 4
    image = Image.new("L", (clips.SIZE * q, clips.SIZE * q))
    clips.draw(ImageDraw.Draw(image), shape, x * q, (y - CENTROID[shape] * r) * q, r * q, 255)
    return np.asarray(image.resize((clips.SIZE, clips.SIZE), Image.BOX)) >= 128


def shape_scores(mask):
    """Overlap of one frame's object with each shape, or None where there is next to no object."""
    ys, xs = np.nonzero(mask)
    if len(ys) < 20:
        return None
    x, y = xs.mean() + .5, ys.mean() + .5
    found = {s: template(s, x, y, len(ys)) for s in clips.SHAPES}
    return [(mask & t).sum() / (mask | t).sum() for t in found.values()]


def describe(clip):
    """(colour, shape, direction, background) of a clip [3, T, H, W] in -1..1, and a dict of measures."""
    pixels = (np.asarray(clip, np.float32).transpose(1, 2, 3, 0) + 1) * 127.5
    nearest = ((pixels[..., None, :] - PALETTE) ** 2).sum(-1).argmin(-1)
    counts = np.bincount(nearest.ravel(), minlength=len(NAMES))
    background = counts.argmax()
    counts[background] = 0
    colour = counts.argmax()
    object_ = nearest != background

    scores = [s for s in map(shape_scores, object_) if s is not None]
    overlap = np.mean(scores, 0) if scores else np.zeros(len(clips.SHAPES))
    centres = [np.argwhere(m).mean(0) if m.any() else None for m in object_]
    seen = [c for c in centres if c is not None]
    dy, dx = seen[-1] - seen[0] if len(seen) > 1 else (0.0, 0.0)
    direction = ("left" if dx < 0 else "right") if abs(dx) > abs(dy) else ("up" if dy < 0 else "down")
    measures = dict(moved=float(np.hypot(dx, dy)), overlap=float(overlap.max()),
                    purity=float(counts[colour] / max(1, counts.sum())))
    return (NAMES[colour], list(clips.SHAPES)[int(overlap.argmax())], direction, NAMES[background]), measures


def score(found, wanted):
    """How many of `found` agree with `wanted`, by attribute."""
    return {name: sum(f[k] == w[k] for f, w in zip(found, wanted)) for k, name in enumerate(ATTRIBUTES)}


def confusion(found, wanted):
    """Wanted shape -> found shape -> count."""
    table = {w: {f: 0 for f in clips.SHAPES} for w in clips.SHAPES}
    for f, w in zip(found, wanted):
        table[w[1]][f[1]] += 1
    return table


if __name__ == "__main__":
    n, rng = int(sys.argv[1]) if len(sys.argv) > 1 else 300, random.Random(7)
    wanted = [clips.random_attributes(rng) for _ in range(n)]
    found = [describe(clips.render(a, rng))[0] for a in wanted]
    print(f"judge on {n} true clips, right:", score(found, wanted))
    assert all(v >= 0.98 * n for v in score(found, wanted).values())
