"""The values of names: their versions, and how they are kept."""

from __future__ import annotations

from casa_recompute.values.digest import Budget, Digest, digest, digest_together, groups, opaque
from casa_recompute.values.keep import Foreign, Unkeepable, Unloadable, pack, secret, unpack

__all__ = [
    "Budget",
    "Digest",
    "Foreign",
    "Unkeepable",
    "Unloadable",
    "digest",
    "digest_together",
    "groups",
    "opaque",
    "pack",
    "secret",
    "unpack",
]
