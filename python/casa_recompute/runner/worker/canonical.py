"""What a data product says, whatever bytes say it: digests for early cut-off.

Two products that hold equal data have equal digests, though CASA never writes the same bytes twice (history, log
tables, locks, uninitialised bytes, dates). Any difference in pixels, masks, visibilities, flags, weights, gains,
keywords, coordinates or beams gives another digest. In doubt two products differ: that costs a re-run, no more.
Runs inside the worker: standard library, numpy, casatools.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

_CHUNK = 32 * 2**20  # bytes of data read at a time (but at least one cell)
_HISTORIES = frozenset({"HISTORY", "logtable"})  # subtables on how the data came to be, not on what they are
_TABLE_FILE = re.compile(r"table\.(dat|lock|info|f\d+.*)")  # what casacore itself keeps in a table's directory
_MODEL = re.compile(r"FT_MODEL\d+_\d+")  # a virtual model is named by process and counter
_FLAG_LIST = "FLAG_VERSION_LIST"  # in *.flagversions: a text file that says when each version was saved
_SAVED_AT = re.compile(rb"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d")
_FITS_BLOCK, _FITS_CARD = 2880, 80
_FITS_IGNORED = frozenset({"DATE", "DATE-MAP", "HISTORY", "COMMENT", "ORIGIN", "CREATOR", "CHECKSUM", "DATASUM", ""})
# What tclean notes about the machine it ran on: keywords of an image's miscinfo, cards of its FITS file.
_MACHINE = frozenset({"memavail", "memreq", "mpiprocs", "chnchnks"})
_PNG_IGNORED = frozenset({b"tEXt", b"zTXt", b"iTXt", b"tIME"})


def canonical_digest(path: str) -> str:
    """The digest (hex) of the data at `path`: a CASA table, FITS, PNG or any other file, or a directory of them.

    Never raises for what it finds: what does not parse counts by its bytes, what cannot be read equals nothing.
    Leaves no table open.
    """
    return _digest(os.path.abspath(path), _Names(os.path.abspath(path))).hex()


class _Names:
    """Strings as they would read whatever the product's directory and its virtual models are called."""

    def __init__(self, root: str) -> None:
        self._roots = sorted({root, os.path.realpath(root)}, key=len, reverse=True)
        self.models: dict[str, str] = {}

    def plain(self, text: str) -> str:
        for root in self._roots:
            text = re.sub(re.escape(root) + r"(?=/|$)", "{product}", text)
        return _MODEL.sub(lambda found: self.models.get(found[0], found[0]), text)


class _Hash:
    """A hash of a sequence of tagged values, unambiguous about where each ends."""

    def __init__(self, kind: str) -> None:
        self._hash = hashlib.blake2b(digest_size=32)
        self.text(kind)

    def text(self, value: str) -> None:
        self.raw(value.encode("utf-8", "surrogateescape"))

    def raw(self, value: bytes) -> None:
        self._hash.update(struct.pack("<Q", len(value)))
        self._hash.update(value)

    def stream(self, value: Any) -> None:
        """Part of a longer run of bytes, whose length is told otherwise."""
        self._hash.update(value)

    def value(self, value: Any, names: _Names) -> None:
        """Plain data as casatools returns them."""
        if isinstance(value, dict):
            self.text(f"dict {len(value)}")
            for key in sorted(value, key=str):
                self.text(names.plain(str(key)))
                self.value(value[key], names)
        elif isinstance(value, np.ndarray) and value.dtype.kind not in "OUS":
            self.array(value)
        elif isinstance(value, (list, tuple, np.ndarray)):
            self.text(f"list {np.shape(value) if isinstance(value, np.ndarray) else len(value)}")
            for item in value.ravel(order="F").tolist() if isinstance(value, np.ndarray) else value:
                self.value(item, names)
        elif isinstance(value, str):
            self.text("str " + names.plain(value))
        elif isinstance(value, (bool, int, float, complex, np.generic)):
            self.array(np.asarray(value))
        else:
            self.text(repr(value))

    def array(self, values: np.ndarray[Any, Any]) -> None:
        """Numbers: type, shape, bytes; all NaNs are alike."""
        self.text(f"{values.dtype.str} {values.shape}")
        flat = values.T if values.flags.f_contiguous else np.ascontiguousarray(values.T)
        if flat.dtype.kind in "fc":
            parts = flat.reshape(-1).view(flat.real.dtype)
            missing = np.isnan(parts)
            if missing.any():
                flat = np.where(missing, parts.dtype.type(np.nan), parts)
        self._hash.update(np.ascontiguousarray(flat).data.cast("B") if flat.size else b"")

    def digest(self) -> bytes:
        return self._hash.digest()


def _digest(path: str, names: _Names) -> bytes:
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return _directory(path, names)
        if stat.S_ISREG(mode):
            return _file(path)
        return _marked(f"special {stat.S_IFMT(mode)}")
    except FileNotFoundError:
        return _marked("absent")
    except OSError:
        return os.urandom(32)  # who knows what it says


def _marked(kind: str) -> bytes:
    return _Hash(kind).digest()


def _directory(path: str, names: _Names) -> bytes:
    if os.path.exists(os.path.join(path, "table.dat")):
        try:
            return _table(path, names)
        except (RuntimeError, ValueError, TypeError):  # casatools' ways to say that this is no healthy table
            return _tree("broken table", path, names, os.listdir(path))
    return _tree("directory", path, names, os.listdir(path))


def _tree(kind: str, path: str, names: _Names, entries: list[str]) -> bytes:
    """Named entries of a directory, each with its digest. Virtual models are named by what they hold."""
    found = []
    for entry in entries:
        digest = _digest(os.path.join(path, entry), names)
        if _MODEL.fullmatch(entry):
            names.models[entry] = "FT_MODEL " + digest.hex()
        found.append((names.plain(entry), digest))
    result = _Hash(kind)
    for name, digest in sorted(found):
        result.text(name)
        result.raw(digest)
    return result.digest()


# ------------------------------------------------------------------------------------------------- CASA tables


def _table(path: str, names: _Names) -> bytes:
    entries = [name for name in os.listdir(path) if name not in _HISTORIES and not _TABLE_FILE.fullmatch(name)]
    inside = _tree("inside", path, names, entries)  # subtables first: the cells name the models among them
    result = _Hash("table")
    result.raw(inside)
    with _opened(path) as table:
        rows = table.nrows()
        info = table.info()
        result.text(f"{rows} {info.get('type')} {info.get('subType')}")
        keywords = table.getkeywords()
        kept = {key: keywords[key] for key in keywords if key not in _HISTORIES}
        if isinstance(kept.get("miscinfo"), dict):
            kept["miscinfo"] = {key: kept["miscinfo"][key] for key in kept["miscinfo"] if key not in _MACHINE}
        result.value(kept, names)
        for column in sorted(table.colnames()):
            description = table.getcoldesc(column)
            result.text(f"column {column} {description['valueType']} {description.get('ndim')}")
            result.value(table.getcolkeywords(column), names)
            _column(result, table, column, rows, description["valueType"] == "record", names)
    return result.digest()


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    """The table, without waiting for or taking a lock; closed, and so out of casacore's cache, afterwards."""
    from casatools import table as make_table

    table = make_table()
    try:
        if not table.open(path, lockoptions={"option": "usernoread"}):
            raise RuntimeError(f"{path} does not open as a table")
        yield table
    finally:
        table.close()


def _column(result: _Hash, table: Any, column: str, rows: int, records: bool, names: _Names) -> None:
    """All cells, in pieces of bounded size."""
    if records:
        for row in range(rows):
            _cell(result, table, column, row, names)
        return
    varying = table.isvarcol(column)
    row = 0
    while row < rows:
        if varying and not table.iscelldefined(column, row):
            end = row + 1
            while end < rows and not table.iscelldefined(column, end):
                end += 1
            result.text(f"undefined {row} {end}")
        else:
            size = max(np.asarray(table.getcell(column, row)).nbytes, 1)
            end = min(rows, row + max(_CHUNK // size, 1))
            if varying:
                end = _alike(table, column, row, end)
            result.text(f"cells {row} {end}")
            result.value(table.getcol(column, row, end - row), names)
        row = end


def _alike(table: Any, column: str, start: int, end: int) -> int:
    """The end of the run of cells from `start` that are defined and have one shape (`getcol` wants that)."""
    end = next((row for row in range(start + 1, end) if not table.iscelldefined(column, row)), end)
    shapes = table.getcolshapestring(column, start, end - start)
    return next((start + at for at, shape in enumerate(shapes) if shape != shapes[0]), end)


def _cell(result: _Hash, table: Any, column: str, row: int, names: _Names) -> None:
    if table.iscelldefined(column, row):
        result.value(table.getcell(column, row), names)
    else:
        result.text("undefined")


# ------------------------------------------------------------------------------------------------- files


def _file(path: str) -> bytes:
    with open(path, "rb") as stream:
        start = stream.read(9)
        stream.seek(0)
        if os.path.basename(path) == _FLAG_LIST:
            result = _Hash("flag versions")
            result.raw(_SAVED_AT.sub(b"", stream.read()))
            return result.digest()
        try:
            if start.startswith(b"SIMPLE  ="):
                return _fits(stream)
            if start.startswith(b"\x89PNG\r\n\x1a\n"):
                return _png(stream)
        except (ValueError, struct.error, zlib.error):  # not what it claims to be: its bytes count
            stream.seek(0)
        result = _Hash("bytes")
        while piece := stream.read(_CHUNK):
            result.stream(piece)
        return result.digest()


def _fits(stream: BinaryIO) -> bytes:
    """Header cards but for dates and history, and the data, of all units."""
    result = _Hash("FITS")
    while block := stream.read(_FITS_BLOCK):
        cards: dict[str, str] = {}
        ended = False
        while not ended:
            if len(block) < _FITS_BLOCK:
                raise ValueError("the header is cut short")
            for at in range(0, _FITS_BLOCK, _FITS_CARD):
                card = block[at : at + _FITS_CARD].decode("latin-1")
                keyword = card[:8].rstrip()
                if keyword == "END":
                    ended = True
                    break
                if keyword not in _FITS_IGNORED and keyword.lower() not in _MACHINE:
                    result.text(card)
                    cards[keyword] = card[10:].partition("/")[0].strip()
            if not ended:
                block = stream.read(_FITS_BLOCK)
        left = _fits_size(cards)
        result.text(f"data {left}")
        left = -(-left // _FITS_BLOCK) * _FITS_BLOCK
        while left:
            piece = stream.read(min(left, _CHUNK))
            if not piece:
                raise ValueError("the data are cut short")
            result.stream(piece)
            left -= len(piece)
    return result.digest()


def _fits_size(cards: dict[str, str]) -> int:
    """Bytes of data after a header (FITS standard, equations 1, 2 and 4), padding not counted."""
    axes = [int(cards[f"NAXIS{number}"]) for number in range(1, int(cards.get("NAXIS", "0")) + 1)]
    if not axes:
        return 0
    if axes[0] == 0 and cards.get("GROUPS") == "T":
        axes = axes[1:]
    count = 1
    for axis in axes:
        count *= axis
    return abs(int(cards["BITPIX"])) // 8 * int(cards.get("GCOUNT", "1")) * (int(cards.get("PCOUNT", "0")) + count)


def _png(stream: BinaryIO) -> bytes:
    """The picture without its texts and times, however it is compressed."""
    result = _Hash("PNG")
    pixels, unpack = hashlib.blake2b(), zlib.decompressobj()
    stream.read(8)
    while head := stream.read(8):
        size, kind = struct.unpack(">I4s", head)
        data = stream.read(size)
        if len(data) != size or len(stream.read(4)) != 4:
            raise ValueError("a chunk is cut short")
        if kind == b"IDAT":
            pixels.update(unpack.decompress(data))
        elif kind not in _PNG_IGNORED:
            result.raw(kind)
            result.raw(data)
    if not unpack.eof:
        raise ValueError("the pixels are cut short")
    result.raw(pixels.digest())
    return result.digest()
