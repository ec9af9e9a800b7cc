"""Pydantic's errors as findings: its location becomes a place in the file, its words become ours."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from registry_mesh.config.document import Document
from registry_mesh.config.finding import Path
from registry_mesh.config.offered import not_offered
from registry_mesh.config.scalars import DURATION_PATTERN, SIZE_PATTERN, duration_text, size_text

_WANTED: Final = {
    "string_type": "wants a text",
    "int_type": "wants a whole number",
    "int_from_float": "wants a whole number",
    "float_type": "wants a number",
    "bool_type": "wants true or false",
    "tuple_type": "wants a list",
    "list_type": "wants a list",
    "dict_type": "wants a mapping (key: value)",
    "model_type": "wants a mapping (key: value)",
    "model_attributes_type": "wants a mapping (key: value)",
    "is_instance_of": "wants a text",
    "string_too_short": "is empty",
    "too_short": "is an empty list",
}


_BOUNDS: Final = {
    "greater_than": ("not more than", "gt"),
    "greater_than_equal": ("less than", "ge"),
    "less_than": ("not less than", "lt"),
    "less_than_equal": ("more than", "le"),
}
"""Errors of a number outside its bounds: what it is, and the name of the bound."""

_OF_TEXTS: Final = frozenset((key,) for key in ("tags", "repos", "fixed", "nodes", "types"))
"""Keys of rules whose lists are of patterns, or one."""

_TEMPLATE: Final = frozenset({"repo", "base", "version", "source"})
"""Words of a template of `to` that make a mapping of it without quotes."""
_MARKS: Final = frozenset({"[key]", "[secret]", "[command]"})
"""What stands in pydantic's paths and is no key of the file."""


def report_model_errors(document: Document, model: type[BaseModel], invalid: ValidationError) -> list[Path]:
    """Add one finding to `document` for every error that validation against `model` raised. The paths of the values
    that are wrong."""
    wrong: list[Path] = []
    for error in invalid.errors(include_url=False):
        path = tuple(part for part in error["loc"] if part not in _MARKS)
        if error["type"] == "extra_forbidden":
            _report_unknown(document, model, path)
        elif error["type"] == "missing":
            document.report(path[:-1], f"{path[-1]} is missing", f"add {path[-1]}:", key=True)
        else:
            document.report(path, *_words(document, path, error), key="[key]" in error["loc"])
            wrong += [path] if path and "[key]" not in error["loc"] else []
    return wrong


def _report_unknown(document: Document, model: type[BaseModel], path: Path) -> None:
    around = model_at(model, path[:-1])
    known = sorted(each.alias or name for name, each in around.model_fields.items()) if around else []
    if (words := not_offered(str(path[-1]))) is not None:
        document.report(path, *words, key=True)
        return
    if "to" in path and path[-1] in _TEMPLATE:
        document.report(path, "unknown key", f'a template is put in quotes: "{{{path[-1]}}}"', key=True)
        return
    near = difflib.get_close_matches(str(path[-1]), known, 1, 0.6)
    how = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
    document.report(path, "unknown key", how, key=True)


def _no_choice(given: object, known: list[str]) -> tuple[str, str]:
    near = difflib.get_close_matches(str(given).lower(), known, 1)
    return f"{_shown(given)} is none of {', '.join(known)}", f"did you mean {near[0]}?" if near else ""


def _words(document: Document, path: Path, error: ErrorDetails) -> tuple[str, str]:
    kind, given = error["type"], error["input"]
    if kind == "value_error":
        given = path[-1] if "[key]" in error["loc"] else document.spelled.get(path, given)
        return _seen(path, given, str(error["ctx"]["error"])), ""
    if kind == "literal_error":
        return _no_choice(given, re.findall("'([^']*)'", str(error["ctx"]["expected"])))
    if kind in _WANTED:
        spelled = document.spelled.get(path)
        if path == ("guard",) and spelled:
            return f"wants a share, and {spelled} is a number", f"write {spelled}%"
        if kind == "string_type" and spelled:
            return f"wants a text, and {spelled} is {_kind(given)}", f'put it in quotes: "{spelled}"'
        if kind in ("tuple_type", "list_type") and spelled and path[-1:] in _OF_TEXTS:
            return f"wants a text, and {spelled} is {_kind(given)}", f'put it in quotes: "{spelled}"'
        if kind in ("string_too_short", "too_short"):
            return _WANTED[kind], "fill it or leave the key out"
        point = " with a point or an exponent" if isinstance(given, float) else ""
        return f"{_WANTED[kind]}, not {_kind(given)}{point}", _trap(kind, given, path)
    if kind in _BOUNDS:
        sense, name = _BOUNDS[kind]
        return f"{_shown(given)} is {sense} {_bound(document.find(*path), error['ctx'][name])}", ""
    return f"{_shown(given)}: {error['msg'][0].lower()}{error['msg'][1:]}", ""


def _bound(written: object, bound: float) -> str:
    """A limit in the unit in which the value was written."""
    if isinstance(written, str) and re.fullmatch(DURATION_PATTERN, written):
        return duration_text(bound)
    if isinstance(written, str) and re.fullmatch(SIZE_PATTERN, written):
        return size_text(bound)
    return f"{bound:g}" if bound < 1 << 20 else size_text(bound)


def _trap(kind: str, given: object, path: Path) -> str:
    if given is None:
        return "fill it or leave the key out"
    if kind in ("tuple_type", "list_type"):
        return _as_list(given, path)
    if path == ("listen",) and isinstance(given, str):
        if given.startswith("unix:"):
            return "unix sockets are not offered: write {address: 127.0.0.1, port: 5000}"
        return "write {address: 127.0.0.1, port: 5000}"
    if kind == "int_type" and path == ("workers",):
        return "a number, or auto: one a core"
    if kind == "bool_type" and isinstance(given, str) and given.lower() in ("yes", "no", "on", "off"):
        return f"write {'true' if given.lower() in ('yes', 'on') else 'false'}"
    if kind == "int_type" and isinstance(given, str) and given.strip().isdecimal():
        bare = str(int(given))
        return f"without quotes: {bare}" if bare == given.strip() else f"write {bare}"
    if isinstance(given, float) and given.is_integer():
        return f"write {given:.0f}"
    return ""


def _as_list(given: object, path: Path) -> str:
    """How to write the list that was meant."""
    parents = "parents" in path[-2:]
    if not isinstance(given, str):
        return "write [[https://HOST]]" if parents else ""
    if path[-1:] == ("command",):
        return f"write [{', '.join(_yaml(word) for word in given.split())}]"
    if not parents:
        return f"write [{_yaml(_open(given))}]"
    groups = [", ".join(map(_open, re.split(r"[|,\s]+", group.strip()))) for group in given.split(";")]
    return f"write [{', '.join(f'[{group}]' for group in groups if group)}]"


def _yaml(text: str) -> str:
    """A text as it stands in a list: in quotes where its letters would mean something else."""
    plain = text and text[0] not in "*&!|>@`%#{[?-\"'" and not {",", "#"} & set(text) and ": " not in text
    return text if plain else f'"{text}"'


_SECRETS: Final = ("credentials", "key", "password", "secret", "token")
"""In the names of keys whose values may be one, or may have been meant to be."""


def _seen(path: Path, given: object, why: str) -> str:
    """`why`, with the value in front unless it may be a secret. What follows an address's `?` is left out."""
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    if any(word in name for word in _SECRETS) or "@" in str(given):
        return why
    return f"{_shown(_open(given) if isinstance(given, str) else given)}: {why}"


def _open(text: str) -> str:
    """An address without its login and what it asks; any other text as it is."""
    scheme, is_address, rest = text.partition("://")
    if not is_address:
        return text
    rest, asked, _ = rest.partition("?")
    login, at, host = rest.rpartition("@")
    return f"{scheme}://{'...@' if login or at else ''}{host}{'?...' if asked else ''}"


def _shown(value: object) -> str:
    text = f'"{_printable(value)}"' if isinstance(value, str) else str(value)
    text = text.lower() if isinstance(value, bool) else text
    return text if len(text) <= 80 else text[:77] + "..."


def _printable(text: str) -> str:
    """On one line, whatever stands in it."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text", dict: "a mapping"}
    return names.get(type(value), "a list")


def model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The model that holds what stands at `path`; None where that is no mapping of named keys."""
    kind: Any = model  # Any: a type expression
    for part in path:
        kind = _step(kind, part)
    kind = _bare(kind)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _step(kind: Any, part: str | int) -> Any:
    kind = _bare(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        known = kind.model_fields.get(str(part))
        return known.annotation if known else None
    arguments = get_args(kind)
    if get_origin(kind) in (dict, Mapping) or isinstance(part, int):
        return arguments[-1] if arguments[-1:] != (...,) else arguments[0]
    return None


def _bare(kind: Any) -> Any:
    """Without Annotated and `| None`; of several kinds the one that is a mapping of named keys."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) not in (Union, UnionType):
        return kind
    some = [_bare(each) for each in get_args(kind) if each is not type(None)]
    return next((each for each in some if isinstance(each, type) and issubclass(each, BaseModel)), some[0])
