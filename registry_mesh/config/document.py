"""YAML text to plain values, each with its place in the file.

PyYAML scans; what a plain scalar means is decided here, by the YAML 1.2 core schema: `NO`, `on` and `22:22` are
texts, `0777` is a text too. A key that stands twice, an unknown `!tag` and an alias bomb are faults.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from registry_mesh.config.finding import ConfigInvalid, Finding, Mark, Path, Severity
from registry_mesh.config.yaml_slips import how_to_mend

BYTES_LIMIT: Final = 16 << 20
NODE_LIMIT: Final = 500_000
DEPTH_LIMIT: Final = 64

_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_START: Final = Mark(1, 1)

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


@dataclass(slots=True)
class Document:
    """A YAML document: its `value`, and where each part of it stands."""

    file: str
    value: Any = None  # Any: a YAML value, not yet checked
    findings: list[Finding] = field(default_factory=list)
    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)
    spelled: dict[Path, str] = field(default_factory=dict)
    """Plain scalars as they were written, where the value is no text: `1.10` for 1.1."""
    wrong: list[Path] = field(default_factory=list)
    """Where values stand that are told to be wrong already."""

    def mark(self, path: Path, *, key: bool = False) -> Mark:
        """The place of `path` (of its key where asked), or of the nearest thing around it."""
        first, second = (self.keys, self.values) if key else (self.values, self.keys)
        for stop in range(len(path), -1, -1):
            if (found := first.get(path[:stop]) or second.get(path[:stop])) is not None:
                return found
        return _START

    def find(self, *path: str | int) -> Any:
        """The value at `path`, or None where there is none or something else stands in the way."""
        value = self.value
        for part in path:
            match value:
                case dict() if part in value:
                    value = value[part]
                case list() if isinstance(part, int) and part < len(value):
                    value = value[part]
                case _:
                    return None
        return value

    def report(self, path: Path, what: str, how: str = "", *, key: bool = False) -> None:
        """Note a fault at a key, to be told together with all others."""
        self.findings.append(Finding(self.file, self.mark(path, key=key), path, what, how))

    def lack(self, path: Path, what: str, how: str = "") -> None:
        """Note what this machine lacks, so that no node can start here."""
        self.findings.append(Finding(self.file, self.mark(path), path, what, how, Severity.LACK))

    def report_file(self, path: Path, file: str, what: str, how: str = "") -> None:
        """Note what is wrong with a file or folder that the key at `path` names. One that cannot be read here may be
        right all the same: a lack of this machine."""
        note = self.report if os.access(file, os.R_OK) else self.lack
        note(path, what, how)

    def warn(self, path: Path, what: str, how: str = "") -> None:
        """Add what does not keep the node from starting."""
        self.findings.append(Finding(self.file, self.mark(path), path, what, how, Severity.WARNING))


def read_document(text: str | bytes, file: str) -> Document:
    """The one document of `text`. `ConfigInvalid` where it is no YAML; lesser faults are in `findings`."""
    if len(text) > BYTES_LIMIT:
        raise _invalid(file, _START, f"larger than {BYTES_LIMIT >> 20} MiB", "split it")
    document = Document(file)
    try:
        _Composer(document, yaml.parse(text, Loader=_Loader)).compose()
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        place = Mark(mark.line + 1, mark.column + 1) if mark else _START
        context = f" {fault.context}" if fault.context else ""
        raise _invalid(file, place, f"not YAML: {fault.problem}{context}", how_to_mend(text, place)) from None
    except yaml.reader.ReaderError as fault:
        what = f"not YAML: {fault.reason}"
        raise _invalid(
            file, _place_of(text, fault.position), what, "write the file as UTF-8, without it"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
        raise _invalid(file, _START, f"not YAML: {' '.join(str(fault).split())[:200]}") from None
    return document


def _place_of(text: str | bytes, position: int) -> Mark:
    """Where that byte stands, of a text as UTF-8."""
    before = (text.encode(errors="replace") if isinstance(text, str) else text)[:position]
    lines = before.decode(errors="replace").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        return Mark(len(lines), len(lines[-1]) + 1)
    return Mark(len(lines) + 1, 1)


def _invalid(file: str, mark: Mark, what: str, how: str = "") -> ConfigInvalid:
    return ConfigInvalid([Finding(file, mark, (), what, how)])


class _Composer:
    """Values out of parser events, in one pass; no node object lives longer than its event."""

    def __init__(self, document: Document, events: Iterator[Any]) -> None:
        # Any: PyYAML's events carry no types.
        self._document = document
        self._events = events
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0

    def compose(self) -> None:
        started = False
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if started:
                    raise _invalid(
                        self._document.file, _mark(event), "a second document", "keep one, without ---"
                    )
                started = True
                self._document.value = self._node(next(self._events), (), 0)

    def _node(self, event: Any, path: Path, depth: int) -> Any:
        self._document.values[path] = _mark(event)
        self._count(event, 1)
        if depth > DEPTH_LIMIT:
            raise _invalid(self._document.file, _mark(event), f"nested deeper than {DEPTH_LIMIT}")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        before = self._nodes
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, path)
        elif isinstance(event, yaml.MappingStartEvent):
            self._refuse_tag(event, path, "tag:yaml.org,2002:map")
            value = self._mapping(path, depth)
        else:
            self._refuse_tag(event, path, "tag:yaml.org,2002:seq")
            value = self._sequence(path, depth)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._nodes - before + 1)
        return value

    def _count(self, event: Any, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > NODE_LIMIT:
            raise _invalid(
                self._document.file,
                _mark(event),
                f"more than {NODE_LIMIT} values",
                "split it, or use fewer aliases",
            )

    def _alias(self, event: Any, path: Path) -> Any:
        known = self._anchors.get(event.anchor)
        if known is None:
            what = f"*{event.anchor} is no anchor that ends before it"
            self._document.report(path, what, f'a pattern is put in quotes: "*{event.anchor}"')
            return None
        value, nodes = known
        self._count(event, nodes)
        return value

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path, depth)
            place = (*path, key)
            if key in value:
                first = self._document.keys[place].line
                self._document.findings.append(
                    Finding(
                        self._document.file,
                        _mark(event),
                        place,
                        f"stands twice: first on line {first}",
                        "keep one",
                    )
                )
                self._node(next(self._events), (*place, "(again)"), depth + 1)
                continue
            self._document.keys[place] = _mark(event)
            value[key] = self._node(next(self._events), place, depth + 1)
        return value

    def _key(self, event: Any, path: Path, depth: int) -> str:
        if isinstance(event, yaml.ScalarEvent):
            return str(event.value)
        self._document.findings.append(
            Finding(self._document.file, _mark(event), path, "a key that is no text", "write a plain word")
        )
        self._node(event, (*path, "(key)"), depth + 1)
        return "(key)"

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        value: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            value.append(self._node(event, (*path, len(value)), depth + 1))
        return value

    def _scalar(self, event: Any, path: Path) -> Any:
        plain = event.implicit[0]
        if event.tag is not None and not plain:
            self._refuse_tag(event, path, "tag:yaml.org,2002:str")
            return event.value
        if not plain:
            return event.value
        value = _core(event.value)
        if not isinstance(value, str):
            self._document.spelled[path] = event.value
        return value

    def _refuse_tag(self, event: Any, path: Path, allowed: str) -> None:
        if event.tag not in (None, "!", allowed):
            self._document.report(
                path, f"the tag {event.tag} means nothing here", f'a text is put in quotes: "{event.tag}…"'
            )


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _core(text: str) -> Any:
    """What a plain scalar means in the YAML 1.2 core schema (section 10.3.2)."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text) and len(text) <= 25:
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text) or _SPECIAL.fullmatch(text):
        return float(
            text.replace(".inf", "inf").replace(".nan", "nan").replace(".Inf", "inf").replace(".NaN", "nan")
        )
    return text


def mapping(value: object) -> Mapping[str, Any]:
    """`value` where it is a mapping, else an empty one: for checks that run before types are known."""
    return value if isinstance(value, dict) else {}
