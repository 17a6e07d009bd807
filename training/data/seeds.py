"""Seeds for what is drawn per epoch and per batch, so that any batch can be drawn again without those before it."""

import hashlib

import torch


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed that depends on all of ``parts`` and is the same on every machine and in every process.

    PyTorch's CPU generator keeps the low 32 bits of its seed only, so neighbouring (seed, epoch, batch) are hashed
    apart instead of added up.
    """
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator_of(*parts: int | str) -> torch.Generator:
    """A CPU generator of its own for ``parts``; the global generators are never read or moved."""
    return torch.Generator().manual_seed(seed_of(*parts))
