"""Whether a package of an extra is installed, told without importing it."""

from __future__ import annotations

from importlib.util import find_spec


def is_installed(package: str) -> bool:
    """Whether it can be imported; a mere folder of its name, such as the ./wandb that W&B makes, is none."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None
