"""The copy-on-write store: keeps the files of versions, once each, and gives them back.

A store knows files, not products: what files a version consists of is its manifest, which the ledger keeps.
"""

from __future__ import annotations

from casa_recompute.store.base import Capture, CowStore, StoreError, Usage
from casa_recompute.store.detect import open_store, view_store
from casa_recompute.store.files import CopyStore, ReflinkStore, clone
from casa_recompute.store.zfs import ZfsStore

__all__ = [
    "Capture",
    "CopyStore",
    "CowStore",
    "ReflinkStore",
    "StoreError",
    "Usage",
    "ZfsStore",
    "clone",
    "open_store",
    "view_store",
]
