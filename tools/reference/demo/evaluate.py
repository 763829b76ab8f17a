#!/usr/bin/env python3
"""Judge the model in the box over random prompts.

    python evaluate.py FOLDER [--n 24] [--steps 20] [--guidance 2] [--seed 1000] [--sheet PNG]

Several values after --steps or --guidance try every combination on the same prompts and noise.
"""
import argparse
import itertools
import json
import random
import time

import torch

import clips
import judge
from model import Model


def evaluate(model, n, seed, batch=20, **settings):
    rng = random.Random(seed)
    wanted = [clips.random_attributes(rng) for _ in range(n)]
    prompts = [clips.random_prompt(a, rng) for a in wanted]
    found, measures, videos = [], [], []
    for i in range(0, n, batch):
        videos += model.render(prompts[i:i + batch], seed=seed + i, **settings)
    for video in videos:
        description, measure = judge.describe(video.numpy())
        found.append(description)
        measures.append(measure)
    mean = {k: round(sum(m[k] for m in measures) / n, 3) for k in measures[0]}
    return dict(n=n, right=judge.score(found, wanted), mean=mean, shapes=judge.confusion(found, wanted)), videos


if __name__ == "__main__":
    torch.set_num_threads(2)
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--n", type=int, default=24)
    p.add_argument("--seed", type=int, default=1000)
    p.add_argument("--steps", type=int, nargs="+", default=[20])
    p.add_argument("--guidance", type=float, nargs="+", default=[2.0])
    p.add_argument("--sheet", help="write the first 8 clips as a contact sheet")
    a = p.parse_args()
    model = Model(a.folder)
    for steps, guidance in itertools.product(a.steps, a.guidance):
        start = time.time()
        result, videos = evaluate(model, a.n, a.seed, steps=steps, guidance=guidance)
        print(json.dumps(dict(steps=steps, guidance=guidance, seconds=round(time.time() - start), **result)), flush=True)
    if a.sheet:
        clips.sheet(videos[:8], a.sheet)
