"""Equal data have equal digests, though CASA's bytes never repeat; any real change gives another digest."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[[str, Path], str]

CHAIN = """
import casadata, os
from casatasks import *
importuvfits(fitsfile=casadata.datapath + '/demo/NGC5921.fits', vis='n.ms')
flagdata(vis='n.ms', autocorr=True, mode='manual')
setjy(vis='n.ms', field='0', usescratch=False)
bandpass(vis='n.ms', caltable='n.bcal', field='0', solint='inf')
gaincal(vis='n.ms', caltable='n.gcal', field='0,1', solint='inf', gaintable=['n.bcal'])
split(vis='n.ms', outputvis='cal.ms', field='0', datacolumn='data')
setjy(vis='cal.ms', usescratch=True)
tclean(vis='n.ms', imagename='im', field='2', spw='0:20~22', imsize=64, cell='30arcsec', niter=5, pbmask=0.2)
exportfits(imagename='im.image', fitsimage='im.fits')
plotants(vis='n.ms', figfile='ants.png')
"""
DIGESTS = """
import json, os
from canonical import canonical_digest
from casatools import table
print(json.dumps({name: canonical_digest(name) for name in sorted(os.listdir('.'))}))
assert len(table().showcache(verbose=False)) == 0
"""
EDITS = {
    "flag": ("n.ms", "v = tb.getcell('FLAG', row); v[cell(v)] ^= True; tb.putcell('FLAG', row, v)"),
    "visibility": ("n.ms", "v = tb.getcell('DATA', row); v[cell(v)] += 1e-5 * abs(v).max() + 1e-6; "
        "tb.putcell('DATA', row, v)",
    ),
    "gain": ("n.gcal", "v = tb.getcell('CPARAM', row); v[cell(v)] *= 1.0001; tb.putcell('CPARAM', row, v)"),
    "pixel": ("im.image", "v = tb.getcell('map', row); v[cell(v)] += abs(v).max() * 1e-4; tb.putcell('map', row, v)"),
    "mask bit": ("im.image/mask0", "v = tb.getcell('PagedArray', row); v[cell(v)] ^= True; "
        "tb.putcell('PagedArray', row, v)"),
    "keyword": ("n.gcal", "tb.putkeyword('PolBasis', 'x' + str(draw(1000000)))"),
    "subtable": ("n.ms/ANTENNA", "v = tb.getcell('POSITION', row); v[cell(v)] += 1; tb.putcell('POSITION', row, v)"),
    "coordinate": ("im.image", "k = tb.getkeyword('coords'); k['direction0']['crval'][0] += 1e-9 * (1 + draw(99)); "
        "tb.putkeyword('coords', k)"),
    "beam or unit": ("im.image", "k = tb.getkeyword('imageinfo'); k['objectname'] = 'X%d' % draw(10**6); "
        "tb.putkeyword('imageinfo', k)"),
}  # fmt: skip
CHANGES = """
import json
from casatools import table
from canonical import canonical_digest
from hypothesis import given, settings, strategies as st
edits = json.loads(open('edits.json').read())
for what, (path, edit) in edits.items():
    product = path.split('/')[0]
    before = canonical_digest(product)
    seen = []

    @settings(max_examples=4, deadline=None, database=None, derandomize=True)
    @given(st.data())
    def changed(data):
        def draw(n):
            return data.draw(st.integers(0, n - 1))
        def cell(v):
            return tuple(draw(n) for n in v.shape)
        tb = table(); tb.open(path, nomodify=False)
        names = {'tb': tb, 'row': draw(tb.nrows()), 'cell': cell, 'draw': draw}
        try:
            exec(edit, names)
        finally:
            tb.close()
        after = canonical_digest(product)
        assert after != (seen[-1] if seen else before), (what, 'not noticed')
        seen.append(after)
    changed()
print('done')
"""


@pytest.fixture(scope="session")
def chains(tmp_path_factory: pytest.TempPathFactory, run_casa: Run) -> tuple[Path, dict[str, str], dict[str, str]]:
    """The chain run twice at one path, and the digests of each: (the second run's directory, first, second)."""
    place = tmp_path_factory.mktemp("chain") / "work"
    digests = []
    for _ in range(2):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        run_casa(CHAIN, place)
        digests.append(json.loads(run_casa(DIGESTS, place)))
    return place, digests[0], digests[1]


def test_two_runs_of_a_chain_are_equal(chains: tuple[Path, dict[str, str], dict[str, str]]) -> None:
    _, first, second = chains
    assert len(first) >= 12
    assert {name for name in first if first[name] != second.get(name)} == set()


def test_another_directory_is_equal_too(
    chains: tuple[Path, dict[str, str], dict[str, str]], run_casa: Run, tmp_path: Path
) -> None:
    _, first, _ = chains
    run_casa(CHAIN, tmp_path)
    elsewhere = json.loads(run_casa(DIGESTS, tmp_path))
    assert {name for name in first if first[name] != elsewhere.get(name)} == set()


def test_every_real_change_is_noticed(
    chains: tuple[Path, dict[str, str], dict[str, str]], run_casa: Run, tmp_path: Path
) -> None:
    place = tmp_path / "copy"
    shutil.copytree(chains[0], place)
    (place / "edits.json").write_text(json.dumps(EDITS))
    assert run_casa(CHANGES, place).strip().endswith("done")


def test_the_content_of_a_virtual_model_counts(
    chains: tuple[Path, dict[str, str], dict[str, str]], run_casa: Run, tmp_path: Path
) -> None:
    place = tmp_path / "copy"
    shutil.copytree(chains[0], place, ignore=lambda _, names: [n for n in names if n.endswith((".image", ".psf"))])
    code = (
        "from casatasks import *; from canonical import canonical_digest as d\n"
        "a = d('n.ms'); delmod(vis='n.ms', scr=False); b = d('n.ms')\n"
        "setjy(vis='n.ms', field='0', usescratch=False, standard='manual', fluxdensity=[3,0,0,0]); c = d('n.ms')\n"
        "setjy(vis='n.ms', field='0', usescratch=False, standard='manual', fluxdensity=[4,0,0,0]); e = d('n.ms')\n"
        "assert len({a, b, c, e}) == 4, (a, b, c, e)"
    )
    run_casa(code, place)


def digest_of(path: Path, run_casa: Run) -> str:
    return run_casa(
        f"from canonical import canonical_digest; print(canonical_digest({str(path)!r}))", path.parent
    ).strip()


@pytest.fixture
def digest(run_casa: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], str]:
    return lambda path: digest_of(path, run_casa)


def test_fits_dates_and_history_do_not_count_but_cards_and_data_do(
    tmp_path: Path, digest: Callable[[Path], str]
) -> None:
    import numpy as np
    from astropy.io import fits

    def write(name: str, **cards: str) -> str:
        hdu = fits.PrimaryHDU(np.arange(6000, dtype=">f4") + float(cards.pop("add", "0")))
        for key, value in cards.items():
            hdu.header[key] = value
        table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(7))])
        fits.HDUList([hdu, table]).writeto(tmp_path / name)
        return digest(tmp_path / name)

    plain = write("a.fits", DATE="2026-01-01", BUNIT="Jy")
    assert plain == write("b.fits", DATE="2027-01-01", HISTORY="something", ORIGIN="CASA 6", BUNIT="Jy")
    assert plain != write("c.fits", DATE="2026-01-01", BUNIT="K")
    assert plain != write("d.fits", DATE="2026-01-01", BUNIT="Jy", add="1")


def png(text: bytes, level: int, grey: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes([grey]) * 8 for _ in range(8))
    head = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", head),
            chunk(b"tEXt", text),
            chunk(b"IDAT", zlib.compress(rows, level)),
            chunk(b"IEND", b""),
        ]
    )


def test_png_texts_and_compression_do_not_count_but_pixels_do(tmp_path: Path, digest: Callable[[Path], str]) -> None:
    for name, content in {
        "a": png(b"Date\0now", 9, 7), "b": png(b"Date\0then", 1, 7), "c": png(b"Date\0now", 9, 8),
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "a") != digest(tmp_path / "c")


def test_any_tree_has_a_digest(tmp_path: Path, digest: Callable[[Path], str]) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "table.dat").write_bytes(b"not a table")
    (tree / "short.fits").write_bytes(b"SIMPLE  =  T")
    (tree / "short.png").write_bytes(b"\x89PNG\r\n\x1a\n123")
    (tree / "sub" / "text").write_text("a")
    os.symlink("nowhere", tree / "dangling")
    os.mkfifo(tree / "fifo")
    first = digest(tree)
    assert first == digest(tree)
    (tree / "table.dat").write_bytes(b"not a tablE")
    assert first != digest(tree)
    (tree / "table.dat").write_bytes(b"not a table")
    (tree / "sub" / "text").rename(tree / "sub" / "other")
    assert first != digest(tree)
    assert digest(tmp_path / "absent")
