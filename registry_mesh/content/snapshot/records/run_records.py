"""What runs keep in records between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from registry_mesh.content.snapshot.copying.flow import Grant, Spending
from registry_mesh.content.snapshot.records.made_tags import MadeTags
from registry_mesh.content.snapshot.records.receipts import Receipts
from registry_mesh.content.snapshot.records.released import Releases
from registry_mesh.content.snapshot.records.remembered_tags import RememberedTags
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.ports.place import Outward, Place
from registry_mesh.ports.records import Records
from registry_mesh.replication.rules import Rule


class RunRecords:
    """The receipts of what is complete, what is remembered of tags, tags under other names, what persons released,
    and what rules have spent."""

    def __init__(
        self, records: Records, rules: Iterable[Rule], grant: Grant, clock: Callable[[], float]
    ) -> None:
        self.receipts = Receipts(records)
        self.remembered = RememberedTags(records)
        self.made = MadeTags(records)
        self.released = Releases(records)
        self.spending = Spending(rules, grant, records, clock)

    async def load(self) -> None:
        """Read what earlier runs wrote. `StoreBroken`."""
        await self.made.load()
        await self.spending.load()
        await self.released.load()

    async def flush(self, asked: dict[str, float]) -> None:
        """Write what this run noted; `asked`: when the sources of rules were asked, by their names. `StoreFull`,
        `StoreBroken`."""
        await self.receipts.flush()
        await self.spending.flush()
        await self.remembered.flush(asked)


def noted_at(place: Place, to: Place | None) -> Place:
    """Where receipts are noted: of what is kept under another name apart, below what no repository is named."""
    if to is None:
        return place
    if isinstance(to, Outward):
        return Place(place.registry, RepositoryName(f"_out/{to}/_from/{place.repository}"))
    return Place(place.registry, RepositoryName(f"{to.repository}/_from/{place.repository}"))
