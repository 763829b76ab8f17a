"""The world of the model in the box: one coloured shape that moves across a plain background.

A clip is fixed by four attributes, `(colour, shape, direction, background)`, and some
geometry that a random generator draws.  Clips are float tensors [3, 17, 64, 64] in -1..1.
"""
import numpy as np
import torch
from PIL import Image, ImageDraw

FRAMES, SIZE = 17, 64
COLOURS = dict(red=(220, 40, 40), green=(40, 190, 70), blue=(50, 80, 230),
               yellow=(240, 220, 50), white=(245, 245, 245), black=(15, 15, 15))
SHAPES = dict(circle=["circle", "ball"], square=["square", "box"], triangle=["triangle"])
DIRECTIONS = dict(left=(-1, 0), right=(1, 0), up=(0, -1), down=(0, 1))
VERBS = ["moves", "moving", "slides", "flies"]
SUPERSAMPLE = 2
RADIUS = (12.5, 15.5)         # of the objects, in pixels

# The vocabulary in id order; the tokenizer of the model is made from it.
WORDS = ["<pad>", "</s>", "<unk>", "a", "on", "background", *VERBS, *COLOURS,
         "circle", "ball", "square", "box", "triangle", *DIRECTIONS]
TEXT_LENGTH = 12


def random_attributes(rng):
    colour, background = rng.sample(list(COLOURS), 2)
    return colour, rng.choice(list(SHAPES)), rng.choice(list(DIRECTIONS)), background


def prompt(attributes):
    """The canonical wording."""
    colour, shape, direction, background = attributes
    return f"a {colour} {shape} moves {direction} on a {background} background"


def random_prompt(attributes, rng):
    """One of the wordings that the model is trained to understand."""
    colour, shape, direction, background = attributes
    article = lambda: rng.choice(["a ", "a ", ""])
    ending = rng.choice([" background", " background", ""])
    return (f"{article()}{colour} {rng.choice(SHAPES[shape])} {rng.choice(VERBS)} {direction} "
            f"on {article()}{background}{ending}")


def tokens(text):
    """Ids and mask of a prompt, padded to TEXT_LENGTH, as `tokenizer/tokenizer.json` gives them."""
    ids = [WORDS.index(w) if w in WORDS else 2 for w in text.lower().split()][:TEXT_LENGTH - 1] + [1]
    padding = TEXT_LENGTH - len(ids)
    return ids + [0] * padding, [1] * len(ids) + [0] * padding


def outline(shape, x, y, r):
    """The polygon (or the box around a circle or square) of a shape of nominal radius `r` at (x, y)."""
    if shape in ("circle", "square"):
        return (x - r, y - r, x + r, y + r)
    return [(x, y - 1.1 * r), (x - 1.05 * r, y + .8 * r), (x + 1.05 * r, y + .8 * r)]


def draw(canvas, shape, x, y, r, fill):
    method = dict(circle=canvas.ellipse, square=canvas.rectangle, triangle=canvas.polygon)[shape]
    method(outline(shape, x, y, r), fill)


def render(attributes, rng, radius=RADIUS):
    """A true clip of these attributes."""
    colour, shape, direction, background = attributes
    dx, dy = DIRECTIONS[direction]
    r, path = rng.uniform(*radius), rng.uniform(22, 30)
    x0, y0 = rng.uniform(24, 40), rng.uniform(24, 40)
    if dx:
        x0 = 32 - dx * path / 2 + rng.uniform(-2, 2)
    if dy:
        y0 = 32 - dy * path / 2 + rng.uniform(-2, 2)
    frames, q = [], SUPERSAMPLE
    for k in range(FRAMES):
        s = path * k / (FRAMES - 1)
        image = Image.new("RGB", (SIZE * q, SIZE * q), COLOURS[background])
        draw(ImageDraw.Draw(image), shape, (x0 + dx * s) * q, (y0 + dy * s) * q, r * q, COLOURS[colour])
        frames.append(np.asarray(image.resize((SIZE, SIZE), Image.BOX), np.float32))
    return torch.from_numpy(np.stack(frames)).permute(3, 0, 1, 2) / 127.5 - 1


def sheet(clips, path, frames=(0, 4, 8, 12, 16), zoom=2):
    """Write a contact sheet: one row a clip, one column a frame."""
    rows = torch.cat([torch.cat([c[:, k] for k in frames], 2) for c in clips], 1)
    image = Image.fromarray(((rows.clamp(-1, 1) + 1) * 127.5).byte().permute(1, 2, 0).numpy())
    image.resize((image.width * zoom, image.height * zoom), Image.NEAREST).save(path)
