"""What was once found complete: per tag its digest, for which platforms, and when. One document a repository.

A receipt saves work and proves nothing: without it, or with a wrong one, a run looks for itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.reference import Tag
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.replication.images import Image, values
from registry_mesh.replication.rules import Platforms, Rule
from registry_mesh.replication.terms import Data


@dataclass(frozen=True, slots=True)
class Receipt:
    """A tag whose closure was complete at `at` (seconds since the epoch, not compared)."""

    digest: str
    platforms: tuple[str, ...] | None
    at: float = field(compare=False)
    data: str = Data.FULL.value
    size: int | None = field(default=None, compare=False)
    """What was found of it, for rules that ask; None is not known. Bytes."""
    images: tuple[Image, ...] | None = field(default=None, compare=False)
    """With the labels that were asked for."""

    @classmethod
    def of(cls, root: Descriptor, platforms: Platforms, at: float, data: Data = Data.FULL) -> Receipt:
        """The receipt for `root` with these platforms, taken in at `at` (seconds since the epoch)."""
        wanted = None if platforms is None else tuple(str(each) for each in sorted(platforms))
        return cls(str(root.digest), wanted, at, data.value)

    def tells(self, rules: Iterable[Rule]) -> bool:
        """Whether it says of the images what `rules` ask."""
        knows_size = self.size is not None or all(rule.most is None for rule in rules)
        return knows_size and self.tells_images(rules)

    def tells_images(self, rules: Iterable[Rule]) -> bool:
        """Whether it says which types and labels those images have that `rules` look at."""
        return all(map(self._tells_images, rules))

    def _tells_images(self, rule: Rule) -> bool:
        if not rule.types and not rule.labels:
            return True
        if self.images is None or not self._covers(rule.platforms):
            return False
        return all(values(self.images, rule.platforms, name) is not None for name, _ in rule.labels)

    def _covers(self, platforms: Platforms) -> bool:
        if self.platforms is None or platforms is None:
            return self.platforms is None
        return set(map(str, platforms)) <= set(self.platforms)


class Receipts:
    """The receipts of all repositories; those noted are written by `flush`."""

    def __init__(self, records: KeyedRecords) -> None:
        self._records = records
        self._fresh: dict[Place, dict[Tag, Receipt]] = {}

    async def of(self, place: Place) -> dict[Tag, Receipt]:
        """What is noted of a repository; nothing where the document cannot be read."""
        data = await self._records.get(_key(place))
        try:
            return {Tag(tag): _receipt(value) for tag, value in json.loads(data or b"{}").items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            return {}

    def note(self, place: Place, tag: Tag, receipt: Receipt) -> None:
        """Keep a receipt for the tag, to be written with the others of its place."""
        self._fresh.setdefault(place, {})[tag] = receipt

    async def flush(self) -> None:
        """Write what was noted since the last time."""
        fresh, self._fresh = self._fresh, {}
        for place, noted in fresh.items():
            merged = await self.of(place) | noted
            document = {tag: asdict(receipt) for tag, receipt in sorted(merged.items())}
            await self._records.put(_key(place), json.dumps(document).encode())


def _key(place: Place) -> str:
    """Below the repositories' own keys nothing starts with `receipts`; `:` of a port is no trouble in a key."""
    return f"receipts/{place.registry}/{place.repository}/receipts.json"


def _receipt(value: dict[str, object]) -> Receipt:
    platforms = value["platforms"]
    wanted = tuple(map(str, platforms)) if isinstance(platforms, list) else None
    size, images = value.get("size"), value.get("images")
    return Receipt(
        str(value["digest"]),
        wanted,
        float(str(value["at"])),
        str(value.get("data", "full")),
        size if isinstance(size, int) else None,
        tuple(Image(**each) for each in images) if isinstance(images, list) else None,
    )
