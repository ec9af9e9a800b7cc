"""The tools whose files are read, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from registry_mesh.config.imports.artifact_mirror import artifact_mirror
from registry_mesh.config.imports.dregsy import dregsy
from registry_mesh.config.imports.ducc import ducc, osg_list
from registry_mesh.config.imports.ecr import ecr
from registry_mesh.config.imports.entry import Entry, Imported, Kind, with_rules
from registry_mesh.config.imports.fields import WrongFile
from registry_mesh.config.imports.harbor import harbor
from registry_mesh.config.imports.hauler import hauler
from registry_mesh.config.imports.hosts_toml import hosts_toml
from registry_mesh.config.imports.image_syncer import image_syncer
from registry_mesh.config.imports.kpromo import kpromo
from registry_mesh.config.imports.kuik import kuik
from registry_mesh.config.imports.logins import NOT_CARRIED, without_logins
from registry_mesh.config.imports.mirror_sets import mirror_sets
from registry_mesh.config.imports.oc_mirror import oc_mirror
from registry_mesh.config.imports.ocync import ocync
from registry_mesh.config.imports.quay import quay
from registry_mesh.config.imports.registries_conf import registries_conf
from registry_mesh.config.imports.regsync import regsync
from registry_mesh.config.imports.renovate import renovate
from registry_mesh.config.imports.retagger import retagger
from registry_mesh.config.imports.skopeo import skopeo
from registry_mesh.config.imports.source import decoded, placed
from registry_mesh.config.imports.zot import zot

_TOOLS: Final[Mapping[str, Callable[[str], Iterator[Entry]]]] = {
    "artifact-mirror": artifact_mirror,
    "dregsy": dregsy,
    "ducc": ducc,
    "ecr": ecr,
    "hauler": hauler,
    "image-syncer": image_syncer,
    "kuik": kuik,
    "mirror-sets": mirror_sets,
    "oc-mirror": oc_mirror,
    "ocync": ocync,
    "osg-list": osg_list,
    "quay": quay,
    "registries.conf": registries_conf,
    "regsync": regsync,
    "renovate": renovate,
    "retagger": retagger,
    "skopeo": skopeo,
    "zot": zot,
}
_NAMING: Final[Mapping[str, Callable[[str, str, Mapping[str, str]], Iterator[Entry]]]] = {
    "harbor": lambda text, file, registries: harbor(text, registries),
    "hosts.toml": hosts_toml,
    "kpromo": lambda text, file, registries: kpromo(text, registries),
}
NAMES: Final = tuple(sorted((*_TOOLS, *_NAMING)))


def imported(tool: str, content: bytes, file: str, registries: Mapping[str, str]) -> list[Imported]:
    """All entries of a file of `tool`; `ConfigInvalid` where it is no file of it. `registries`: hosts by the names or
    numbers under which the tool knows them."""
    return placed(file, lambda: with_rules(_entries(tool, decoded(content), file, registries)))


def _entries(tool: str, text: str, file: str, registries: Mapping[str, str]) -> list[Entry]:
    naming = _NAMING.get(tool)
    text, lines = without_logins(text)
    found = list(naming(text, file, registries) if naming is not None else _TOOLS[tool](text))
    if not found:
        raise WrongFile(f"no file of {tool}: no entry stands in it")
    if lines:
        notes = (f"line {', '.join(map(str, lines))}: {NOT_CARRIED}",)
        found.append(Entry("logins", notes=notes, kind=Kind.NOTE))
    return found
