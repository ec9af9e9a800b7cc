"""The tools whose files are read, by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

import yaml

from registry_mesh.config.finding import ConfigInvalid, Finding, Mark
from registry_mesh.config.imports.entry import Entry, Imported, NotCarried, with_rules
from registry_mesh.config.imports.lists import ducc, hauler, image_syncer, oc_mirror
from registry_mesh.config.imports.registries import clients, ecr, harbor, quay, zot
from registry_mesh.config.imports.syncers import dregsy, regsync, skopeo

_TOOLS: Final[Mapping[str, Callable[[str], Iterator[Entry]]]] = {
    "ducc": ducc,
    "zot": zot,
    "regsync": regsync,
    "skopeo": skopeo,
    "dregsy": dregsy,
    "image-syncer": image_syncer,
    "oc-mirror": oc_mirror,
    "hauler": hauler,
    "quay": quay,
    "ecr": ecr,
    "kuik": clients,
    "registries.conf": clients,
}
NAMES: Final = ("harbor", *_TOOLS)


def imported(tool: str, text: str, file: str, registries: Mapping[str, str]) -> list[Imported]:
    """All entries of a file of `tool`; `ConfigInvalid` where it is no file of it. `registries`: hosts by the names or
    numbers under which the tool knows them."""
    read = partial(harbor, registries=registries) if tool == "harbor" else _TOOLS[tool]
    try:
        return with_rules(read(text))
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark
        place = Mark(mark.line + 1, mark.column + 1) if mark else Mark(1, 1)
        raise _invalid(file, f"not YAML: {fault.problem}", place) from None
    except json.JSONDecodeError as fault:
        raise _invalid(file, f"not JSON: {fault.msg}", Mark(fault.lineno, fault.colno)) from None
    except RecursionError:
        raise _invalid(file, "nested too deep") from None
    except (AttributeError, TypeError, KeyError, ValueError, NotCarried, yaml.YAMLError) as fault:
        raise _invalid(file, f"no file of {tool}: {fault}") from None


def _invalid(file: str, what: str, place: Mark | None = None) -> ConfigInvalid:
    return ConfigInvalid([Finding(file, place or Mark(1, 1), (), what)])
