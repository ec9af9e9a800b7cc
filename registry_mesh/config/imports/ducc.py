"""Recipes of CVMFS' unpacker, and the list of the Open Science Grid: a reference a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from registry_mesh.config.finding import Mark
from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried, WrongFile
from registry_mesh.config.imports.source import mapping_of
from registry_mesh.config.imports.spelling import Ref, matching, reference, some

_THIN: Final = "says where a registry keeps thin images: rules name targets by to"
_CVMFS: Final = "is not carried: which repository of CVMFS unpacks them is not the mesh's business"
_META: Final = frozenset("[](){}|+?\\^$")


def ducc(text: str) -> Iterator[Entry]:
    """`recipe.yaml` of CVMFS' unpacker, or a plain list, a reference a line."""
    if not re.search(r"^(input|version|output_format|cvmfs_repo|user)\s*:", text, re.MULTILINE):
        yield from _lines(text, _line)
        return
    document = mapping_of(text, "ducc", "input")
    document.drop("version")
    document.leave(_THIN, "output_format")
    document.leave(_CVMFS, "cvmfs_repo", "user")
    notes, document.notes = document.notes, []
    after = 0
    for number, line in enumerate(document.items("input")):
        if isinstance(line, Fields):
            fields = line
        else:
            fields, after = _placed(text, str(line or ""), after, document.place("input"))
        fields.notes += notes
        notes = []
        named = (fields.values.get(key) for key in ("image", "name", "apptainer_def"))
        where = next((str(each) for each in named if each), f"input[{number}]")
        yield from each_entry(fields, where, partial(_recipe, fields))
    yield from each_entry(document, "the file", list)


def _placed(text: str, line: str, after: int, listed: Mark) -> tuple[Fields, int]:
    """A line of the list `input` with its place, which is the first behind `after` that has its text, and where it
    ends. An empty one stands where the list does."""
    at = text.find(line, after) if line else -1
    if at < 0:
        return Fields({"image": line}, {}, listed), after
    mark = Mark(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
    return Fields({"image": line}, {}, mark), at + len(line)


def osg_list(text: str) -> Iterator[Entry]:
    """`docker_images.txt` of cvmfs-singularity-sync."""
    yield from _lines(text, _osg_line)


def _lines(text: str, make: Any) -> list[Entry]:
    """`WrongFile` where no line is one of such a list."""
    found = list(_each_line(text, make))
    first = next((each for each in found if each.refused), None)
    if first is not None and not any(each.keys for each in found):
        raise WrongFile(f"no list of images: {first.refused[:200]}", first.mark)
    return found


def _each_line(text: str, make: Any) -> Iterator[Entry]:
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.partition("#")[0].strip()
        if bare:
            mark = Mark(number, len(line) - len(line.lstrip()) + 1)
            yield from each_entry(Fields({}, {}, mark), bare, partial(make, bare))


def _recipe(fields: Fields) -> list[Entry]:
    fields.refuse("apptainer_def", "built from a definition file; rules copy what a registry has")
    line = fields.text("image") or fields.text("name")
    platforms = [*fields.texts("platform"), *fields.texts("platforms")]
    (entry,) = _line(line)
    keys = {**entry.keys, **({"platforms": some(platforms)} if platforms else {})}
    return [Entry(line, keys, selects=entry.selects)]


def _line(line: str) -> list[Entry]:
    if not line:
        raise NotCarried("no reference stands there: write HOST/REPOSITORY:TAG")
    ref = reference(line)
    tag = ref.tag or ("" if ref.digest else "latest")
    keys = {"from": ref.registry, "repos": ref.repository, "tags": Ref("", "", tag, ref.digest).tags}
    if "*" not in tag:
        return [Entry(line, keys)]
    expression = tag.replace("*", ".*")
    own = matching(expression, whole=True)
    keys["tags"] = tag if not _META & set(tag) and "." not in tag else f"re: {expression}"
    return [Entry(line, keys, selects=lambda name: own.fullmatch(name) is not None)]


def _osg_line(line: str) -> list[Entry]:
    """Its program makes an expression of `*` as DUCC does; options may stand behind the reference."""
    words = line.split()
    if len(words) > 1:
        raise NotCarried(
            f"{' '.join(words[1:])}: only a reference stands on a line; write platforms in the rule"
        )
    return _line(words[0])
