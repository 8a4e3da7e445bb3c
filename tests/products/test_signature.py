"""Signatures notice whatever was changed, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from casa_recompute.products import Tree, hard_links, scan, signature


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A product with directories, links, an empty directory, locks, and a name that is no UTF-8."""
    root = tmp_path / "p"
    (root / "a" / "deep").mkdir(parents=True)
    (root / "a-b").mkdir()  # sorts before "a/..." but after "a"
    (root / "empty").mkdir()
    (root / "only").mkdir()
    for name in ("f", "a/f", "a/deep/f", "a-b/f", "table.lock", "a/table.lock", "a/not-table.lock"):
        (root / name).write_text(name)
    os.link(root / "f", root / "a" / "twin")
    os.symlink("a/f", root / "link")
    (Path(os.fsdecode(os.fsencode(root) + b"/\xff"))).touch()
    return root


def test_stamps_are_what_the_file_system_says(product: Path) -> None:
    tree = scan(product)
    found = {os.path.relpath(path, product) for path in product.rglob("*")} | {""}
    assert set(tree) == found and len(tree) == len(found)
    for name, stamp in tree.items():
        info = os.lstat(product / name)
        assert (stamp.mode, stamp.inode) == (info.st_mode & 0o7777, info.st_ino)
        times = (stamp.size, stamp.mtime_ns, stamp.ctime_ns)
        assert times == ((0, 0, 0) if stamp.kind == "d" else (info.st_size, info.st_mtime_ns, info.st_ctime_ns))
    kinds = {name: tree[name].kind for name in ("", "a", "link", "f", "a/table.lock")}
    assert kinds == {"": "d", "a": "d", "link": "l", "f": "f", "a/table.lock": "f"}
    assert hard_links(tree) == {"f": "a/twin"}


def test_a_tree_put_together_otherwise_has_the_same_signature(product: Path) -> None:
    tree = scan(product)
    again = Tree(dict(reversed(tree.rows.items())))
    assert again == tree and signature(again) == signature(tree)


def test_a_product_may_be_one_file_or_nothing(product: Path) -> None:
    assert not scan(product / "nothing") and not scan(product / "f" / "nothing")
    tree = scan(product / "f")
    assert list(tree) == [""] and tree and tree[""].size == 1
    assert signature(tree) == signature(Tree(tree.rows)) != signature(scan(product / "a" / "f"))


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a" / "deep" / "f").write_text("other"),
        lambda root: os.utime(root / "f", ns=(0, 0)),
        lambda root: os.utime(root / "f", ns=(-5, -(10**18))),
        lambda root: (root / "a" / "f").chmod(0o400),
        lambda root: (root / "a").chmod(0o500),
        lambda root: (root / "a" / "f").rename(root / "a" / "g"),
        lambda root: (root / "a" / "f").rename(root / "a-b" / "g"),
        lambda root: (root / "a-b" / "f").unlink(),
        lambda root: (root / "empty").rmdir(),
        lambda root: (root / "empty" / "new").touch(),
        lambda root: (root / "a" / "not-table.lock").write_text("other"),
        lambda root: ((root / "link").unlink(), os.symlink("f", root / "link")),
        lambda root: (shutil.copy2(root / "f", root / "new"), os.replace(root / "new", root / "f")),
    ],
)
def test_every_change_is_noticed(product: Path, change: Callable[[Path], object]) -> None:
    before = signature(scan(product))
    assert signature(scan(product)) == before
    change(product)
    assert signature(scan(product)) != before


def test_locks_say_nothing(product: Path) -> None:
    before = signature(scan(product))
    (product / "a" / "table.lock").write_text("somebody reads")
    (product / "table.lock").unlink()
    (product / "only" / "table.lock").touch()
    assert signature(scan(product)) == before
    assert "only/table.lock" in scan(product)
