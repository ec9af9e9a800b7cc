"""The small forms inside a rule: durations, shares, schedules, targets. Each gives a value, or `ValueError` with the
sentence that a person reads."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from registry_mesh.config.scalars import parse_duration, parse_size
from registry_mesh.oci.reference import RegistryName, parse_registry
from registry_mesh.oci.refusals import NameUnknown
from registry_mesh.replication.budget import Budget
from registry_mesh.replication.companions import ALL, NONE, WORDS, Companions
from registry_mesh.replication.keep import By, Keep
from registry_mesh.replication.schedule import Cron, Interval, Manual, Schedule
from registry_mesh.replication.target import Target, from_text
from registry_mesh.replication.terms import Delete, Hold, Verify

_YEARS: Final = re.compile(r"(\d+)y")
_FIELDS: Final = re.compile(r"[\d*]\S*( +\S+){4,5}")
_PER: Final = {"s": 1.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """Seconds; as in the configuration, and `y` for 365 days."""
    try:
        return parse_duration(_YEARS.sub(lambda years: f"{int(years[1]) * 365}d", text))
    except ValueError as fault:
        if "at most" in str(fault):
            raise ValueError(f"{text[:80]!r}: {fault}") from None
        raise ValueError(f'{text!r}: a duration is written like "30s", "1h30m", "7d", "2w" or "1y"') from None


def size(text: str) -> int:
    """Bytes."""
    try:
        return parse_size(text)
    except ValueError as fault:
        raise ValueError(f"{text!r}: {fault}") from None


def share(text: str) -> float:
    """`10%` is 0.1."""
    try:
        found = float(text.removesuffix("%")) / 100
    except ValueError:
        found = -1.0
    if not text.endswith("%") or not 0 <= found <= 1:
        raise ValueError(f'{text!r}: a share is written like "10%", up to 100%')
    return found


def companions(words: Sequence[str]) -> Companions:
    """`all`, `none`, or a list of kinds."""
    if tuple(words) == ("all",):
        return ALL
    if tuple(words) in (("none",), ()):
        return NONE
    for word in words:
        if word in ("all", "none"):
            raise ValueError(f"{word} stands by itself")
        if word not in WORDS and "/" not in word:
            raise ValueError(f"{word!r} is no companion: {', '.join(WORDS)}, or a glob over artifactType")
    return Companions(frozenset(words))


def keep(written: Mapping[str, Any]) -> Keep | None:  # Any: YAML, told by the model where it is wrong
    """None where the model has told what is wrong."""
    newest, by, younger = written.get("newest"), written.get("by", "version"), written.get("or_younger")
    if not isinstance(newest, int) or newest < 1 or by not in ("version", "seen"):
        return None
    return Keep(newest, By(by), duration(younger) if isinstance(younger, str) else None)


def _after(text: str) -> float | None:
    return None if text == "never" else duration(text)


def delete(written: object) -> Delete:
    """`never`, a duration for both, or one for each."""
    if isinstance(written, str):
        return Delete(_after(written), _after(written))
    found = written if isinstance(written, dict) else {}
    gone, unselected = found.get("gone"), found.get("unselected")
    return Delete(
        _after(gone) if isinstance(gone, str) else None,
        _after(unselected) if isinstance(unselected, str) else None,
    )


def hold(text: str) -> Hold:
    """`forever`, a duration, or a date: until it begins in UTC."""
    if text == "forever":
        return Hold()
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        try:
            return Hold(math.inf, datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
        except ValueError as fault:
            raise ValueError(f"{text!r} is no date: {fault}") from None
    try:
        return Hold(duration(text))
    except ValueError:
        raise ValueError(
            f"{text!r}: write forever, a duration such as 30d, or a date such as 2027-06-30"
        ) from None


def schedule(text: str) -> Schedule:
    """A duration, a cron, or `manual`."""
    if text == "manual":
        return Manual()
    if text.startswith("cron "):
        return Cron.parse(text)
    if _FIELDS.fullmatch(text):
        raise ValueError(f"{text!r}: write cron before it and a zone behind: cron {text} Europe/Zurich")
    seconds = duration(text)
    if seconds < 1:
        raise ValueError(f"{text!r}: at least a second")
    return Interval(seconds)


def _demand_some(text: str, amount: float) -> None:
    if not amount:
        raise ValueError(f"{text!r}: nothing would ever come; leave the rule out, or give it some")


def budget(text: str) -> Budget:
    """`40%`, `100MiB/s`, `1TiB/d`."""
    if text.endswith("%"):
        part = share(text)
        _demand_some(text, part)
        return Budget(part)
    amount, slash, unit = text.partition("/")
    if not slash or unit not in _PER:
        raise ValueError(f'{text!r}: a budget is written like "40%", "100MiB/s", "1GiB/h" or "500GiB/d"')
    much = size(amount)
    _demand_some(text, much)
    return Budget(None, much, _PER[unit])


def target(written: object) -> Target | None:
    """`NAME[:TAG]`, or a mapping; None where the model has told what is wrong."""
    if isinstance(written, str):
        return from_text(written)
    if not isinstance(written, dict):
        return None
    registry = written.get("registry")
    host = host_of(registry) if isinstance(registry, str) else None
    name, tag = written.get("name", "{repo}"), written.get("tag", "{tag}")
    return Target.parse(name, tag, host) if isinstance(name, str) and isinstance(tag, str) else None


def verify(written: object) -> Verify | None:
    """Names of keys, or `{by, having}`."""
    if isinstance(written, dict):
        by, having = texts(written.get("by")), texts(written.get("having"))
    else:
        by, having = texts(written), ()
    return Verify(by, having) if by else None


def texts(value: object) -> tuple[str, ...]:
    """The texts of a text or a list."""
    return tuple(each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))


def host_of(text: str) -> RegistryName:
    """A registry's one name; what names none as it is, for the model tells it."""
    try:
        return parse_registry(text)
    except NameUnknown:
        return RegistryName(text)
