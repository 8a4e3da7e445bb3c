"""Data products: what state is this path in?

A data product is a file or directory tree that tasks exchange (MeasurementSet, caltable, image, FITS, plot).
Its *signature* (names, sizes, times, inodes) tells cheaply whether it is as it was last seen; its *manifest* says
of what files one of its versions consists.
"""

from __future__ import annotations

from casa_recompute.products.manifest import ABSENT, Manifest, ManifestEntry
from casa_recompute.products.paths import around, is_directory, matches, product_path
from casa_recompute.products.signature import Stamp, Tree, digest_files, hard_links, scan, scan_directory, signature

__all__ = [
    "ABSENT",
    "Manifest",
    "ManifestEntry",
    "Stamp",
    "Tree",
    "around",
    "digest_files",
    "hard_links",
    "is_directory",
    "matches",
    "product_path",
    "scan",
    "scan_directory",
    "signature",
]
