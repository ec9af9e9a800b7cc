"""What a run tells of itself: what is wanted and not held, what is odd, and how far it has come."""

from __future__ import annotations

from collections.abc import Iterable

from registry_mesh.content.snapshot.copying.copy_keys import TagKey
from registry_mesh.content.snapshot.copying.flow import OutsideWindow
from registry_mesh.content.snapshot.copying.progress import Meter
from registry_mesh.content.snapshot.finding.jobs import Undone
from registry_mesh.content.snapshot.found import Findings
from registry_mesh.content.snapshot.records.outcome import Idle, Trouble
from registry_mesh.oci.reference import RegistryName
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure, StoreFull
from registry_mesh.ports.place import Place
from registry_mesh.replication.rules import Rule


class Told:
    """Troubles and notes of one run, in words; counts what it finds in `meter`."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.troubles: list[Trouble] = []
        self.notes: list[str] = []
        """What is odd and stops nothing."""
        self.idlers: list[Idle] = []
        """Rules that take nothing, where everything could be asked."""
        self.selecting: set[str] = set()
        """The names of the rules that take some tag, or of which it is told elsewhere why they take none."""
        self.heard: set[str] = set()
        """The names of the rules of which the tags of some repository were told, or that there is none."""
        self.unlisted: set[RegistryName] = set()
        """Registries of which not everything could be listed."""

    def trouble(self, what: str, why: str) -> None:
        """Something is wanted and not held."""
        self.troubles.append(Trouble(what, why))
        self._meter.failed += 1

    def unlisted_place(self, place: Place, rules: Iterable[Rule], fault: Exception) -> None:
        """The tags of a repository cannot be listed."""
        self.selecting |= {rule.name for rule in rules}
        self.unlisted.add(place.registry)
        self.trouble(str(place), reason(fault))

    def found(self, place: Place, found: Findings) -> None:
        """What a look at a repository found, as far as it is odd, and how much it is."""
        self._count(found)
        if found.note:
            self.notes.append(f"{place}: {found.note}")
        self.selecting |= found.selecting
        if found.faults.get(""):
            self.unlisted.add(place.registry)
        self.notes += [f"{place}:{tag} {note}" for tag, note in found.notes]
        for digest, fault in found.lost.items():
            why = f"listed beside a wanted tag, and not to be had: {reason(fault)}"
            self.trouble(f"{place}@{digest}", why)
        for tag, fault in found.faults.items():
            self.trouble(f"{place}:{tag}" if tag else str(place), reason(fault))
        for why in found.refused.values():
            self.trouble(str(place), why)
        self.notes += found.waiting

    def undone(self, undone: Iterable[Undone]) -> None:
        """What the copy left undone. That the store is full is one cause, and said once."""
        full = []
        for each in undone:
            if isinstance(each.failure, StoreFull):
                full.append(each)
            elif not isinstance(each.failure, OutsideWindow):
                self.trouble(str(each.key), _why(each))
            elif isinstance(each.key, TagKey):
                self.notes.append(f"{each.key} waits: {each.failure.reason}")
        if full:
            self.trouble("the store", f"{full[0].failure}: {len(full)} things were not brought for it")

    def idle(self, rules: Iterable[Rule]) -> None:
        """Rules that take nothing, where everything could be asked."""
        for rule in rules:
            if rule.name not in self.selecting and rule.registry not in self.unlisted:
                self.notes.append(f"rule {rule.name} selects nothing of {rule.registry}")
                self.idlers.append(Idle(rule.name, rule.registry, rule.place))

    def _count(self, found: Findings) -> None:
        self._meter.repositories += bool(found.wanted)
        self._meter.tags += found.wanted
        self._meter.tags_done += found.held
        coming = {copy.tag for copy in found.copies.values()}
        for tag, by in found.by.items():
            for name in by:
                self._meter.of(name).tags += 1
                self._meter.of(name).held += tag in found.made and tag not in coming


def _why(undone: Undone) -> str:
    told = reason(undone.failure)
    return told if undone.because is None else f"needs {undone.because}: {told}"


def reason(failure: Exception) -> str:
    """The sentence of a failure, with the source that it is of."""
    if not isinstance(failure, Failure | Refusal):
        return str(failure)
    source = getattr(failure, "source", "")
    return f"{failure.reason} ({source})" if source else failure.reason
