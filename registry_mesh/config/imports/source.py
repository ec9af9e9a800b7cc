"""Files of other tools as `Fields`: YAML as Go's library reads it, JSON, TOML. A plain scalar that is no boolean stays
the text that was written (`1.10` is no number where a tag is meant); merge keys are merged; a doubled key, an unknown
tag and an alias bomb are faults."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import yaml

from registry_mesh.config.document import BYTES_LIMIT, DEPTH_LIMIT, NODE_LIMIT
from registry_mesh.config.finding import ConfigInvalid, Finding, Mark
from registry_mesh.config.imports.fields import START, Computed, Fields, WrongFile

T = TypeVar("T")
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_KNOWN_TAGS: Final = ("tag:yaml.org,2002:", "!")
_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LINE: Final = re.compile(r"\(at line (\d+), column (\d+)\)")


def placed(file: str, do: Callable[[], T]) -> T:
    """What `do` gives; whatever is wrong with the file becomes one `ConfigInvalid` with FILE:LINE:COLUMN."""
    try:
        return do()
    except WrongFile as fault:
        raise _invalid(file, str(fault), fault.mark) from None
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        raise _invalid(file, f"not YAML: {fault.problem}", _mark(mark) if mark else START) from None
    except yaml.YAMLError as fault:
        raise _invalid(file, f"not YAML: {' '.join(str(fault).split())[:120]}", START) from None
    except json.JSONDecodeError as fault:
        raise _invalid(file, f"not JSON: {fault.msg}", Mark(fault.lineno, fault.colno)) from None
    except RecursionError:
        raise _invalid(file, f"nested deeper than {DEPTH_LIMIT}", START) from None


def _invalid(file: str, what: str, mark: Mark) -> ConfigInvalid:
    return ConfigInvalid([Finding(file, mark, (), " ".join(what.split()))])


def decoded(content: bytes) -> str:
    """The text of a file; `WrongFile` where it is none."""
    if len(content) > BYTES_LIMIT:
        raise WrongFile(f"larger than {BYTES_LIMIT >> 20} MiB: split it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        before = content[: fault.start]
        line = before.count(b"\n") + 1
        column = fault.start - before.rfind(b"\n")
        raise WrongFile(
            "not UTF-8, so no text: write it with an editor as UTF-8", Mark(line, column)
        ) from None
    found = re.search(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]", text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start())
        raise WrongFile(f"a control character (0x{ord(found[0]):02x}): no text", Mark(line, column))
    if not text.strip():
        raise WrongFile("the file is empty")
    return text


def decoded_file(content: bytes, file: str) -> str:
    """As `decoded`, of a file by its name; `ConfigInvalid`."""
    return placed(file, lambda: decoded(content))


def documents(text: str, *, computed: bool = False) -> list[Any]:
    """All YAML documents, JSON too: `Fields`, lists, texts.

    `computed`: what has a tag of the tool's own (`!Ref x`) is an expression; else it is a fault.
    """
    if text.lstrip()[:1] in ("{", "["):
        text = re.sub(r"\t", " ", text)
    reading = _Reading(computed)
    found = [reading.value(node, 0) for node in yaml.compose_all(text, Loader=_Loader) if node is not None]
    return [each for each in found if each is not None]


def mapping_of(text: str, tool: str, *wanted: str) -> Fields:
    """The one mapping of a file; `WrongFile` where it is none, or has none of the keys `wanted`."""
    found = documents(text)
    if len(found) != 1 or not isinstance(found[0], Fields):
        raise WrongFile(f"no file of {tool}: it is one mapping")
    _demand(found[0], tool, wanted)
    return found[0]


def _demand(fields: Fields, tool: str, wanted: Sequence[str]) -> None:
    if wanted and not set(wanted) & set(fields.values):
        several = ", ".join(wanted[:-1]) + f" and {wanted[-1]}" if len(wanted) > 1 else wanted[0]
        none = "none of " if len(wanted) > 1 else "no "
        raise WrongFile(f"no file of {tool}: {none}{several} stands in it", fields.mark)


def mappings_of(text: str, tool: str, *wanted: str) -> list[Fields]:
    """The mappings of a file of several documents, lists of mappings opened; the first has a key of `wanted`."""
    found: list[Fields] = []
    for each in documents(text):
        several = each if isinstance(each, list) else [each]
        if not several or not all(isinstance(one, Fields) for one in several):
            raise WrongFile(f"no file of {tool}: it is of mappings")
        found += several
    if not found:
        raise WrongFile(f"no file of {tool}: nothing stands in it")
    _demand(found[0], tool, wanted)
    return found


def _mark(mark: Any) -> Mark:  # Any: PyYAML's marks carry no types
    return Mark(mark.line + 1, mark.column + 1)


class _Reading:
    """Nodes to values; what aliases repeat counts each time."""

    def __init__(self, computed: bool = False) -> None:
        self._computed = computed
        self._sizes: dict[int, int] = {}
        self._count = 0

    def value(self, node: Any, depth: int) -> Any:
        before = self._count
        self._count += self._sizes.get(id(node), 1)
        if self._count > NODE_LIMIT:
            raise WrongFile(f"more than {NODE_LIMIT} values: use fewer aliases", _mark(node.start_mark))
        if depth > DEPTH_LIMIT:
            raise WrongFile(f"nested deeper than {DEPTH_LIMIT}", _mark(node.start_mark))
        if self._computed and node.tag.startswith("!") and node.tag != "!":
            return Computed(f"{node.tag} {node.value}" if isinstance(node, yaml.ScalarNode) else node.tag)
        if not node.tag.startswith(_KNOWN_TAGS) or (node.tag.startswith("!") and node.tag != "!"):
            raise WrongFile(f"the tag {node.tag} means nothing here", _mark(node.start_mark))
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if isinstance(node, yaml.SequenceNode):
            found: Any = [self.value(each, depth + 1) for each in node.value]
        else:
            found = self._mapping(node, depth)
        self._sizes[id(node)] = self._count - before
        return found

    def _mapping(self, node: Any, depth: int) -> Fields:
        found, merged = Fields({}, {}, _mark(node.start_mark)), Fields({}, {})
        for key, value in node.value:
            place = _mark(key.start_mark)
            if not isinstance(key, yaml.ScalarNode):
                raise WrongFile("a key that is no text", place)
            if key.tag == "tag:yaml.org,2002:merge":
                self._merge(self.value(value, depth + 1), merged, place)
                continue
            if key.value in found.values:
                first = found.marks[key.value].line
                raise WrongFile(f"{key.value} stands twice, first on line {first}: keep one", place)
            found.values[key.value] = self.value(value, depth + 1)
            found.marks[key.value] = place
        found.values = {**merged.values, **found.values}
        found.marks = {**merged.marks, **found.marks}
        return found

    @staticmethod
    def _merge(value: Any, merged: Fields, place: Mark) -> None:
        """Of several, the first says (YAML's merge key)."""
        several = value if isinstance(value, list) else [value]
        for each in several:
            if not isinstance(each, Fields):
                raise WrongFile("<< wants a mapping", place)
            merged.values = {**each.values, **merged.values}
            merged.marks = {**each.marks, **merged.marks}


def _scalar(node: Any) -> str | bool | None:
    if node.style:
        return str(node.value)
    if node.value in _NULL:
        return None
    return _BOOL.get(node.value, str(node.value))


def toml_fields(text: str, tool: str, *wanted: str) -> Fields:
    """A TOML file. Its library tells no places: headers and keys are looked for, in their order."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        place = _LINE.search(str(fault))
        mark = Mark(int(place[1]), int(place[2])) if place else Mark(text.count("\n") + 1, 1)
        raise WrongFile(f"no file of {tool}, not TOML: {_LINE.sub('', str(fault)).strip()}", mark) from None
    fields = _Toml(text).fields(found, ())
    _demand(fields, tool, wanted)
    return fields


class _Toml:
    """Where the tables and keys of a TOML text stand."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._headers: dict[str, list[int]] = {}
        for number, line in enumerate(self._lines, 1):
            if header := re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$", line):
                self._headers.setdefault(_bare(header[1]), []).append(number)
        self._seen: dict[str, Iterator[int]] = {name: iter(at) for name, at in self._headers.items()}

    def fields(self, table: dict[str, Any], path: tuple[str, ...], line: int = 0) -> Fields:
        name = ".".join(path)
        at = next(self._seen.get(name, iter(())), line) if path else 0
        found = Fields({}, {}, Mark(max(at, 1), 1))
        for key, value in table.items():
            place = self._key(key, at)
            found.marks[key] = place
            found.values[key] = self._value(value, (*path, key), place.line)
        return found

    def _value(self, value: Any, path: tuple[str, ...], line: int) -> Any:
        if isinstance(value, dict):
            return self.fields(value, path, line)
        if isinstance(value, list):
            return [self._value(each, path, line) for each in value]
        return value if isinstance(value, bool | str) else str(value)

    def _key(self, key: str, after: int) -> Mark:
        wanted = re.compile(rf"""(\s*)["']?{re.escape(key)}["']?\s*[=.]""")
        for number in range(after + 1, len(self._lines) + 1):
            line = self._lines[number - 1]
            if found := wanted.match(line):
                return Mark(number, len(found[1]) + 1)
            if re.match(r"\s*\[", line):
                break
        return Mark(max(after, 1), 1)


def _bare(name: str) -> str:
    """`host."https://x"` without quotes."""
    return re.sub(r"""["']|\s*(\.)\s*""", lambda found: found[1] or "", name)
