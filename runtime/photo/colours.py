"""Colours that a file describes without an ICC profile, and equivalent ICC profiles.

Pillow cannot make a profile from given primaries, so the few tags of a matrix profile are written here
(ICC.1:2022, sections 8.3 and 10).
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

XY = tuple[float, float]

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_TABLE = 4096
"""Entries of a tone curve that ICC has no formula for."""
_WHITE_NITS = 203.0
"""Diffuse white of HDR images (ITU-R BT.2408)."""
_KNEE = 0.6
"""Share of diffuse white up to which an HDR image is shown unchanged; brighter light is compressed."""
_BT709, _SRGB, _PQ, _HLG = 1, 13, 16, 18
_UNSPECIFIED = 2

_D65: XY = (0.3127, 0.3290)
_C: XY = (0.310, 0.316)
# ITU-T H.273, table 2: red, green, blue, white.
_PRIMARIES: dict[int, tuple[XY, XY, XY, XY]] = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    4: ((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), _C),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
_ADOBE_RGB: tuple[XY, XY, XY, XY] = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65)


@dataclass(frozen=True)
class Colours:
    """The meaning of RGB or grey samples."""

    primaries: tuple[XY, XY, XY, XY]
    """CIE x and y of red, green, blue and white."""
    curves: tuple[bytes, ...]
    """ICC tone curves, from samples to light: one for all channels, or three."""
    cicp: bytes | None = None
    """For HDR: primaries, transfer, matrix and range (H.273), for readers that support them."""


def of_codes(primaries: int, transfer: int, *, full_range: bool = True) -> Colours | None:
    """Return the colours for H.273 code points, as used by PNG's cICP and HEIF's nclx.

    None means sRGB, or codes that describe no RGB image. Unspecified codes are taken as sRGB's.
    """
    xy = _PRIMARIES.get(1 if primaries == _UNSPECIFIED else primaries)
    transfer = _SRGB if transfer == _UNSPECIFIED else transfer
    is_srgb = xy == _PRIMARIES[1] and transfer == _SRGB and full_range
    if xy is None or is_srgb or not (transfer in _TABLES or transfer in _FORMULAS):
        return None
    if transfer in _TABLES or not full_range:
        light = _TABLES.get(transfer) or _by_formula(_FORMULAS[transfer])
        low, high = (0.0, 1.0) if full_range else (16 / 255, 235 / 255)
        curve = _table(lambda v: light(np.clip((v - low) / (high - low), 0, 1)))
    else:
        curve = _parametric(*_FORMULAS[transfer])
    is_hdr = transfer in (_PQ, _HLG)
    return Colours(xy, (curve,), bytes([primaries, transfer, 0, full_range]) if is_hdr else None)


def of_gamma(gamma: float, primaries: tuple[XY, XY, XY, XY] | None = None) -> Colours | None:
    """Return colours whose light is sample^gamma; with sRGB's primaries unless others are given."""
    return Colours(primaries or _PRIMARIES[1], (_parametric(gamma),)) if 0.1 <= gamma <= 10 else None


def of_primaries(primaries: tuple[XY, XY, XY, XY]) -> Colours:
    """Return colours with the given primaries and sRGB's tone curve."""
    return Colours(primaries, (_parametric(*_FORMULAS[_SRGB]),))


def srgb() -> Colours:
    """Return sRGB, for files whose profile does not apply."""
    return of_primaries(_PRIMARIES[1])


def of_tables(tables: Sequence[NDArray[Any]], primaries: tuple[XY, XY, XY, XY] | None) -> Colours:
    """Return colours whose tone curves are one or three tables of values from 0 to 65535."""
    steps = np.linspace(0, 1, _TABLE)
    curves = []
    for table in tables:
        places = np.linspace(0, 1, len(table))
        curves.append(_sampled(np.interp(steps, places, np.asarray(table, float) / 65535)))
    return Colours(primaries or _PRIMARIES[1], tuple(curves))


def adobe_rgb() -> Colours:
    """Return the colours of Adobe RGB (1998), which cameras name in EXIF (DCF 2.0, R03)."""
    return Colours(_ADOBE_RGB, (_parametric(563 / 256),))


def of_grey_profile(icc: bytes) -> Colours | None:
    """Return colours with a grey ICC profile's tone curve and sRGB's primaries; None if it has no curve."""
    (count,) = struct.unpack_from(">I", icc, 128)
    for i in range(min(count, 100)):
        name, start, size = struct.unpack_from(">4sII", icc, 132 + 12 * i)
        if name == b"kTRC" and 0 < size <= len(icc) - start:
            return Colours(_PRIMARIES[1], (icc[start : start + size],))
    return None


def icc_profile(colours: Colours, *, grey: bool = False) -> bytes | None:
    """Return an ICC profile (version 4) of these colours; None if the primaries are degenerate.

    HDR highlights are compressed, because an ICC tone curve ends at white. The cicp tag holds the exact
    meaning for readers that support it.
    """
    tags: dict[bytes, bytes] = {
        b"desc": _text("Colours of the original file"),
        b"cprt": _text("No copyright"),
    }
    tags[b"wtpt"] = _xyz(_D50)
    curves = colours.curves if len(colours.curves) == 3 else colours.curves[:1] * 3
    if grey:
        tags[b"kTRC"] = curves[1]
    else:
        adapted = _adapted(colours.primaries)
        if adapted is None:
            return None
        matrix, adaptation = adapted
        tags[b"chad"] = b"sf32\0\0\0\0" + _fixed(adaptation.ravel())
        for i, letter in enumerate(b"rgb"):
            tags[bytes([letter]) + b"XYZ"] = _xyz(matrix[:, i])
            tags[bytes([letter]) + b"TRC"] = curves[i]
        if colours.cicp:
            tags[b"cicp"] = b"cicp\0\0\0\0" + colours.cicp
    return _assembled(tags, b"GRAY" if grey else b"RGB ")


def _assembled(tags: dict[bytes, bytes], space: bytes) -> bytes:
    table, body = struct.pack(">I", len(tags)), b""
    first = 128 + 4 + 12 * len(tags)
    placed: dict[bytes, int] = {}
    for name, content in tags.items():
        if content not in placed:  # the channels share curves
            placed[content] = first + len(body)
            body += content + b"\0" * (-len(content) % 4)
        table += struct.pack(">4sII", name, placed[content], len(content))
    header = struct.pack(">I4sI4s4s4s", first + len(body), b"\0" * 4, 0x04400000, b"mntr", space, b"XYZ ")
    # No date, so that the same photo gives the same bytes. Rendering intent 0, perceptual; illuminant D50.
    header += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _fixed(_D50)
    return header.ljust(128, b"\0") + table + body


def _adapted(primaries: tuple[XY, XY, XY, XY]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the matrix from RGB light to XYZ under D50, and the Bradford adaptation it includes."""
    xy = np.array(primaries, float)
    if not np.isfinite(xy).all() or (xy[:, 1] < 1e-3).any() or (np.abs(xy) > 2).any():
        return None
    columns = np.stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(axis=1)) / xy[:, 1]])
    rgb, white = columns[:, :3], columns[:, 3]
    if abs(np.linalg.det(rgb)) < 1e-6:
        return None
    scales = np.linalg.solve(rgb, white)
    cones = _BRADFORD @ white
    if (scales <= 0).any() or (cones <= 0).any():
        return None
    adaptation = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ _D50 / cones) @ _BRADFORD
    return adaptation @ (rgb * scales), adaptation


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(encoded), 28) + encoded


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _fixed(values: Sequence[float] | NDArray[np.float64]) -> bytes:
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)


def _parametric(gamma: float, *linear: float) -> bytes:
    """Return v^g, or (a v + b)^g for v ≥ d and c v below, as a parametricCurveType."""
    return b"para\0\0\0\0" + struct.pack(">HH", 3 if linear else 0, 0) + _fixed((gamma, *linear))


def _table(light: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> bytes:
    return _sampled(light(np.linspace(0, 1, _TABLE)))


def _sampled(values: NDArray[np.float64]) -> bytes:
    entries = np.rint(np.clip(values, 0, 1) * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(entries)) + entries.tobytes()


def _by_formula(parameters: tuple[float, ...]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    gamma, *linear = parameters
    a, b, c, d = linear or (1.0, 0.0, 0.0, 0.0)
    return lambda v: np.where(v >= d, np.maximum(a * v + b, 0) ** gamma, c * v)


def _pq(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the SMPTE ST 2084 curve, compressed to ICC's range."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = v ** (1 / m2)
    return _compressed(10000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1), 10000)


def _hlg(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ITU-R BT.2100's inverse OETF with the system gamma at 1000 cd/m², compressed to ICC's range."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(v <= 0.5, v**2 / 3, (np.exp((v - c) / a) + b) / 12)
    return _compressed(1000 * scene**1.2, 1000)


def _compressed(nits: NDArray[np.float64], peak: float) -> NDArray[np.float64]:
    """Keep light up to the knee; compress brighter light to below 1, smoothly and monotonically."""
    over = (nits / _WHITE_NITS - _KNEE) / (1 - _KNEE)
    most = (peak / _WHITE_NITS - _KNEE) / (1 - _KNEE)
    bent = over * (1 + over / most**2) / (1 + np.maximum(over, 0))
    return np.where(over <= 0, nits / _WHITE_NITS, _KNEE + (1 - _KNEE) * bent)


# H.273, table 3, from samples to light: a gamma, or gamma, a, b, c, d of ICC's parametric curve 3.
_FORMULAS: dict[int, tuple[float, ...]] = {
    **dict.fromkeys((_BT709, 6, 11, 12, 14, 15), (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)),
    4: (2.2,),
    5: (2.8,),
    7: (1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4, 0.0913),
    8: (1.0,),
    _SRGB: (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
    17: (2.6,),
}
_TABLES: dict[int, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {_PQ: _pq, _HLG: _hlg}
