"""The registries that a node knows, by all their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set

from registry_mesh.oci.reference import RegistryName, parse_registry
from registry_mesh.oci.refusals import NameUnknown


class RegistryNames(Set[str]):
    """A set of registries in which each is found by every name it goes by: its own in any spelling
    (`oci.reference.parse_registry`), and what `aliases` maps to it."""

    def __init__(
        self, names: Iterable[RegistryName], aliases: Mapping[RegistryName, RegistryName] | None = None
    ) -> None:
        self._names = {name: name for name in names}
        self._known = {**(aliases or {}), **self._names}

    def find(self, text: str) -> RegistryName | None:
        """The registry of that name; None where there is none."""
        known = self._known.get(RegistryName(text))
        if known is not None:
            return known
        try:
            return self._known.get(parse_registry(text))
        except NameUnknown:
            return None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
