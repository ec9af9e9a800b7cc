"""The small languages inside a configuration: durations, sizes, references to secrets."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Literal

from registry_mesh.config.addresses import file_name

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES: Final = {
    "": 1, "B": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15,
    "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40, "PIB": 1 << 50,
}  # fmt: skip
DURATION_PATTERN: Final = r"^(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d|w))+$"
SIZE_PATTERN: Final = r"^[0-9]+(?:\.[0-9]+)? ?(?:[kKMGTP]i?)?B?$"
RATE_PATTERN: Final = SIZE_PATTERN[:-1] + "(?:/s)?$"
SECRET_PATTERN: Final = r"^(?:file:.+|env:[A-Za-z_][A-Za-z0-9_]*)$"  # noqa: S105 (names one)

_DURATION: Final = re.compile(DURATION_PATTERN)
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")
_WORDS: Final = re.compile(
    r"([0-9]+(?:\.[0-9]+)?) *(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)"
)
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?((?:[kKMGTP]i?)?B?)")
_ANY_CASE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgtp]i?b?)", re.IGNORECASE)
_SIZES: Final = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_DECIMAL: Final = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"))
_TIMES: Final = ((86400, "d"), (3600, "h"), (60, "m"))


def size_text(size: float) -> str:
    """Bytes as a configuration would have them: `1.5 GiB`, `512 B`; whole millions as `500 MB`."""
    for unit, name in _DECIMAL if size and size % 10**6 == 0 else _SIZES:
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size:g} B"


def duration_text(seconds: float) -> str:
    """Seconds as they are written in a configuration: `1h`, `90s`."""
    for unit, name in _TIMES:
        if seconds and seconds % unit == 0:
            return f"{seconds / unit:g}{name}"
    return f"{seconds:g}s"


def _cased(unit: str) -> str:
    """`gib` as it is written: `GiB`."""
    head = "k" if unit[:1] in "kK" and len(unit) < 3 else unit[:1].upper()
    return head + ("i" if "i" in unit.lower() else "") + ("B" if unit.lower().endswith("b") else "")


_LONGEST: Final = 365_000 * 86_400
_TOO_LONG: Final = "a duration is at most 1000 years (365000d)"
"""So that a date comes out, whenever it begins."""


def parse_duration(text: str) -> float:
    """Seconds: `10m`, `7d`, `1h30m`, `500ms`. `ValueError` otherwise."""
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        raise ValueError('a duration is written like "30s", "10m", "1h30m" or "7d"' + _meant(text))
    seconds = math.fsum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    if seconds > _LONGEST:
        raise ValueError(_TOO_LONG)
    return seconds


def _meant(text: str) -> str:
    """How a duration in the words of other programs is written here, `30 sec` and `5min`; empty for anything else."""
    found = _WORDS.fullmatch(text.lower())
    return f': write "{found[1]}{found[2][0]}"' if found else ""


_LARGEST: Final = 1 << 63


def parse_size(text: str) -> int:
    """Bytes: `500GiB` or `500Gi` (powers of 1024), `10GB` or `10G` (powers of 1000), `1000`. `ValueError` otherwise."""
    found = _SIZE.fullmatch(text)
    if found is None and (known := _ANY_CASE.fullmatch(text)) is not None:
        raise ValueError(f'write "{known[1]}{_cased(known[2])}": units are case-sensitive')
    unit = found[2].upper() if found else None
    if found is None or unit is None:
        raise ValueError('a size is written like "500GiB", "10GB" or "1048576"')
    if unit and not unit.endswith("B"):
        unit += "B"
    if float(found[1]) * _BYTES[unit] >= _LARGEST:
        raise ValueError("a size is less than 8192 PiB")
    return round(float(found[1]) * _BYTES[unit]) if "." in found[1] else int(found[1]) * _BYTES[unit]


PRICE_PATTERN: Final = r"^[0-9]+(?:\.[0-9]+)? [A-Z]{3}/[kMGTP]i?B$"
_PRICE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ([A-Z]{3})/([kMGTP]i?B)")


@dataclass(frozen=True, slots=True)
class Price:
    """What a byte costs."""

    text: str
    """As it was written."""
    per_byte: float
    currency: str

    @classmethod
    def parse(cls, text: str) -> Price:
        """`0.08 CHF/GB`. `ValueError` otherwise."""
        found = _PRICE.fullmatch(text)
        if found is None:
            raise ValueError('a price is written like "0.08 CHF/GB"')
        return cls(text, float(found[1]) / _BYTES[found[3].upper()], found[2])

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret is kept: never the secret itself."""

    kind: Literal["file", "env"]
    target: str

    @classmethod
    def parse(cls, text: str) -> SecretReference:
        """`file:PATH` or `env:NAME`. `ValueError` otherwise; the text is not repeated, it may be a secret."""
        if not re.fullmatch(SECRET_PATTERN, text):
            raise ValueError('a secret is named, never written: "file:/path" or "env:NAME"')
        kind, _, target = text.partition(":")
        if kind == "file":
            file_name(target)
        return cls("file" if kind == "file" else "env", target)

    def __str__(self) -> str:
        return f"{self.kind}:{self.target}"
