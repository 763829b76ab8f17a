"""Import single modules of the original Wan repositories from a (bare) git directory, without their dependencies.

The manifests and two solver cases come from those classes themselves; nothing of them is kept in this repository.
"""
import importlib.util
import os
import subprocess
import sys
import tempfile
import types

import torch

STUBS = ["easydict", "einops", "flash_attn", "regex"]       # imported there, never called when a class is only built


def load(git, *paths):
    """The modules at `paths` (such as wan/modules/model.py) at the repository's HEAD, as one dict by file stem."""
    root = tempfile.mkdtemp()
    package = "original_" + os.path.basename(root)
    sys.modules[package] = types.ModuleType(package)
    for name in STUBS:
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].rearrange = sys.modules[name].EasyDict = None
    for stem, attribute in (("attention", "flash_attention"), ("tokenizers", "HuggingfaceTokenizer")):
        module = sys.modules[f"{package}.{stem}"] = types.ModuleType(stem)
        setattr(module, attribute, None)
    torch.cuda.current_device = lambda: 0       # a default argument in t5.py
    out = {}
    for path in paths:
        stem = os.path.basename(path)[:-3]
        file = os.path.join(root, stem + ".py")
        with open(file, "wb") as f:
            f.write(subprocess.run(["git", "--git-dir", git, "show", f"HEAD:{path}"], check=True, capture_output=True).stdout)
        spec = importlib.util.spec_from_file_location(f"{package}.{stem}", file)
        out[stem] = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(out[stem])
    return out


def head(git):
    return subprocess.run(["git", "--git-dir", git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()[:7]
