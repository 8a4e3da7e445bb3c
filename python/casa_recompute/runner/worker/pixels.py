"""How two images differ, and pictures of that: from a bounded part of their planes, evenly spread.

Uses the standard library, numpy and casatools only.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import math
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flags import NO_LOCK

CELLS = 200_000_000  # pixels of an image that are read at most
_PLANE = 16_000_000  # pixels of a plane that are read at most
_SIDE = 320  # pixels of a picture's longer side
_HEAT = ((0, 0, 4), (50, 10, 94), (120, 28, 109), (187, 55, 84), (237, 105, 37), (252, 180, 30), (252, 255, 190))
_SIGNED = ((18, 72, 158), (120, 165, 214), (246, 246, 246), (226, 140, 112), (160, 22, 34))


@dataclass
class Image:
    """An image that is open."""

    shape: list[int]
    axes: list[str]
    """Kinds of its axes: direction, stokes, spectral ..."""
    unit: str
    read: Any
    """First and last pixel, and steps -> values, not-a-number where they are masked."""

    def plane(self, place: Sequence[int], step: int) -> Any:
        """The plane of the first two axes at a place along the others."""
        import numpy as np

        first = [0, 0, *place][: len(self.shape)]
        last = [*(n - 1 for n in self.shape[:2]), *place][: len(self.shape)]
        values = self.read(first, last, [step, step, *(1 for _ in place)][: len(self.shape)])
        values = np.abs(values) if np.iscomplexobj(values) else np.asarray(values, dtype=float)
        return values.reshape([math.ceil(n / step) for n in (*self.shape, 1)[:2]])


@contextlib.contextmanager
def opened(path: str) -> Iterator[Image]:
    """An image of CASA's own, or in a FITS file."""
    if os.path.isdir(path):
        with _table_image(path) as image:
            yield image
        return
    from casatools import image as image_tool

    tool = image_tool()
    try:
        tool.open(path)
        coordinates = tool.coordsys()

        def read(first: list[int], last: list[int], steps: list[int]) -> Any:
            import numpy as np

            values = tool.getchunk(first, last, steps, dropdeg=False)
            good = tool.getchunk(first, last, steps, dropdeg=False, getmask=True)
            return np.where(good, values, np.nan)

        kinds = [str(kind).lower() for kind in coordinates.axiscoordinatetypes()]
        coordinates.done()
        yield Image([int(n) for n in tool.shape()], kinds, str(tool.brightnessunit()), read)
    finally:
        tool.done()


@contextlib.contextmanager
def _table_image(path: str) -> Iterator[Image]:
    """Read as a table: the image tool would open it for writing, too."""
    import numpy as np
    from casatools import table

    with contextlib.ExitStack() as tools:

        def open_table(place: str) -> Any:
            tool = table()
            tools.callback(tool.close)
            tool.open(place, lockoptions=NO_LOCK, nomodify=True)
            return tool

        tool = open_table(path)
        words = tool.getkeywords()
        shape = [int(n) for n in tool.getcolshapestring("map")[0].strip("[]").split(",")]
        name = os.path.basename(str(words.get("Image_defaultmask", "")))
        mask = open_table(f"{path}/{name}") if name and os.path.isfile(f"{path}/{name}/table.dat") else None

        def read(first: list[int], last: list[int], steps: list[int]) -> Any:
            values = tool.getcellslice("map", 0, first, last, steps)
            if mask is None:
                return values
            good = mask.getcellslice("PagedArray", 0, first, last, steps)
            return np.where(np.reshape(good, np.shape(values)), values, np.nan)

        yield Image(shape, _axes(words.get("coords", {}), len(shape)), str(words.get("units", "")), read)


def _axes(coordinates: dict[str, Any], count: int) -> list[str]:
    kinds = [""] * count
    for name in coordinates:
        kind, number = name.rstrip("0123456789"), name[len(name.rstrip("0123456789")) :]
        if number and f"pixelmap{number}" in coordinates and isinstance(coordinates[name], dict):
            for axis in coordinates[f"pixelmap{number}"]:
                if 0 <= axis < count:
                    kinds[axis] = kind
    return kinds


class _Statistics:
    """Of the pixels that are not masked."""

    def __init__(self) -> None:
        self.count, self.sum, self.squares = 0, 0.0, 0.0
        self.least, self.most = math.inf, -math.inf

    def add(self, values: Any) -> None:
        import numpy as np

        good = values[np.isfinite(values)]
        if good.size:
            self.count += good.size
            self.sum += float(good.sum())
            self.squares += float((good * good).sum())
            self.least, self.most = min(self.least, float(good.min())), max(self.most, float(good.max()))

    def told(self) -> dict[str, Any]:
        if not self.count:
            return {"minimum": None, "maximum": None, "mean": None, "rms": None}
        return {
            "minimum": self.least,
            "maximum": self.most,
            "mean": self.sum / self.count,
            "rms": math.sqrt(max(0.0, self.squares / self.count)),
        }


def compare(before: str, after: str, limit: int = CELLS) -> dict[str, Any]:
    """Statistics of two images and of their difference, and pictures of the plane in which they differ most."""
    import numpy as np

    with opened(before) as one, opened(after) as other:
        images = (one, other)
        alike = one.shape == other.shape
        statistics = (_Statistics(), _Statistics())
        difference, differing = _Statistics(), 0
        largest, at, planes = 0.0, [0] * len(one.shape), 0
        widths = [math.prod(image.shape[:2]) for image in images]
        step = max(1, math.ceil(math.sqrt(max(widths) / _PLANE)))
        shown = [[n // 2 for n in image.shape[2:]] for image in images]
        places = [list(itertools.product(*map(range, image.shape[2:]))) for image in images]
        every = [max(1, math.ceil(len(p) * w / step**2 / limit)) for p, w in zip(places, widths, strict=True)]
        if alike:
            for place in places[0][:: every[0]]:
                pair = [image.plane(place, step) for image in images]
                for known, plane in zip(statistics, pair, strict=True):
                    known.add(plane)
                gone = np.where(np.isnan(pair[0]) & np.isnan(pair[1]), 0.0, pair[1] - pair[0])
                difference.add(gone)
                differing += int((gone != 0).sum())  # masked in one of both: not-a-number, which differs
                worst = np.abs(np.nan_to_num(gone))
                if planes == 0 or worst.max() > abs(largest):
                    where = np.unravel_index(int(worst.argmax()), worst.shape)
                    if worst.max() > 0:
                        largest, shown = float(np.nan_to_num(gone)[where]), [list(place)] * 2
                        at = [*(int(n) * step for n in where), *place][: len(one.shape)]
                planes += 1
            read = planes / max(1, len(places[0])) / step**2
        else:
            for image, known, all_places, each in zip(images, statistics, places, every, strict=True):
                for place in all_places[::each]:
                    known.add(image.plane(place, step))
            read = 1 / max(every) / step**2
        told: dict[str, Any] = {
            "unit": other.unit or one.unit,
            "axes": other.axes,
            "shapes": [image.shape for image in images],
            "read": min(1.0, read),
            "before": statistics[0].told(),
            "after": statistics[1].told(),
            "difference": None,
        }
        if alike:
            whole = max(1, planes * math.ceil(one.shape[0] / step) * math.ceil((*one.shape, 1)[1] / step))
            told["difference"] = difference.told() | {"largest": largest, "at": at, "differing": differing / whole}
        told["pictures"] = _pictures([image.plane(p, step) for image, p in zip(images, shown, strict=True)], alike)
        told["pictures"]["places"] = shown
        return told


def _pictures(planes: list[Any], alike: bool) -> dict[str, Any]:
    import numpy as np

    small = [_reduced(plane) for plane in planes]
    seen = np.concatenate([plane[np.isfinite(plane)] for plane in small])
    low, high = (float(n) for n in np.percentile(seen, (0.5, 99.7))) if seen.size else (0.0, 0.0)
    found = {
        "range": [low, high],
        "before": _png(small[0], low, high, _HEAT),
        "after": _png(small[1], low, high, _HEAT),
    }
    if not alike:
        return found | {"difference": None, "difference_range": None}
    gone = _reduced(planes[1] - planes[0], extreme=True)
    good = gone[np.isfinite(gone)]
    most = float(np.abs(good).max()) if good.size else 0.0
    return found | {"difference": _png(gone, -most, most, _SIGNED), "difference_range": [-most, most]}


def _reduced(plane: Any, extreme: bool = False) -> Any:
    """A plane as large as a picture: the mean of what becomes one pixel, or the value that is farthest from 0."""
    import warnings

    import numpy as np

    by = max(1, math.ceil(max(plane.shape) / _SIDE))
    if by == 1:
        return plane
    sizes = [math.ceil(n / by) for n in plane.shape]
    padded = np.full([n * by for n in sizes], np.nan)
    padded[: plane.shape[0], : plane.shape[1]] = plane
    blocks = padded.reshape(sizes[0], by, sizes[1], by).transpose(0, 2, 1, 3).reshape(*sizes, by * by)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # blocks of nothing but masked pixels
        if not extreme:
            return np.nanmean(blocks, axis=2)
        least, most = np.nanmin(blocks, axis=2), np.nanmax(blocks, axis=2)
        return np.where(-least > most, least, most)


def _png(plane: Any, low: float, high: float, anchors: Sequence[Sequence[int]]) -> str:
    """A plane as a picture, the second axis upwards; masked pixels are transparent."""
    import numpy as np

    at = np.linspace(0, len(anchors) - 1, 255)
    colours = [np.interp(at, range(len(anchors)), [anchor[n] for anchor in anchors]) for n in range(3)]
    palette = np.vstack([[0, 0, 0], np.array(colours).T.round()]).astype(np.uint8)
    scaled = (plane - low) / (high - low) if high > low else np.full_like(plane, 0.5)
    with np.errstate(invalid="ignore"):
        levels = np.where(np.isfinite(plane), 1 + np.clip(scaled, 0, 1) * 254, 0).round().astype(np.uint8)
    rows = levels.T[::-1]
    lines = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 8, 3, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"PLTE", palette.tobytes()) + chunk(b"tRNS", b"\0")
    file += chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return f"data:image/png;base64,{base64.b64encode(file).decode()}"
