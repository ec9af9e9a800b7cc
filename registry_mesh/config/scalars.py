"""The small languages inside a configuration: durations, sizes, references to secrets."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Literal

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
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?((?:[kKMGTP]i?)?B?)")


def parse_duration(text: str) -> float:
    """Seconds: `10m`, `7d`, `1h30m`, `500ms`. `ValueError` otherwise."""
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        raise ValueError('a duration is written like "30s", "10m", "1h30m" or "7d"')
    return math.fsum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


def parse_size(text: str) -> int:
    """Bytes: `500GiB` (powers of 1024), `10GB` (powers of 1000), `1000`. `ValueError` otherwise."""
    found = _SIZE.fullmatch(text)
    unit = found[2].upper() if found else None
    if found is None or unit is None:
        raise ValueError('a size is written like "500GiB", "10GB" or "1048576"')
    if unit and not unit.endswith("B"):
        unit += "B"
    return round(float(found[1]) * _BYTES[unit]) if "." in found[1] else int(found[1]) * _BYTES[unit]


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
        return cls("file" if kind == "file" else "env", target)

    def __str__(self) -> str:
        return f"{self.kind}:{self.target}"
