"""What a look at one repository of a source found."""

from __future__ import annotations

from dataclasses import dataclass, field

from registry_mesh.content.snapshot.copying.copy_keys import TagCopy
from registry_mesh.content.snapshot.records.receipts import Receipt
from registry_mesh.content.snapshot.records.remembered_tags import TagMemory
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.replication.decision import Decision


@dataclass(slots=True)
class Findings:
    """What a survey found."""

    wanted: int = 0
    """Tags that should be here, companions included."""
    held: int = 0
    """Of those, complete already."""
    copies: dict[Tag, TagCopy] = field(default_factory=dict)
    receipts: dict[Tag, Receipt] = field(default_factory=dict)
    """To be noted when the copy of a tag is done."""
    faults: dict[str, Exception] = field(default_factory=dict)
    """By tag; the empty name for the repository itself."""
    note: str = ""
    """What is to be known of it that is no fault."""
    lost: dict[Digest, Exception] = field(default_factory=dict)
    """What is listed beside wanted tags, and not to be had."""
    notes: list[tuple[Tag, str]] = field(default_factory=list)
    """What is odd of a tag, and stops nothing."""
    selecting: set[str] = field(default_factory=set)
    """The names of the rules that take some tag."""
    listed: frozenset[Tag] = frozenset()
    """All tags that the source lists."""
    seen: frozenset[Tag] = frozenset()
    """The tags that are wanted, companions included."""
    by: dict[Tag, tuple[str, ...]] = field(default_factory=dict)
    """The names of the rules that take each tag; a companion is taken by none."""
    refused: dict[Tag, str] = field(default_factory=dict)
    """What a rule selects and another guards, and why it is not taken."""
    waiting: list[str] = field(default_factory=list)
    """What is not taken yet, is denied, or was let through by a person, in words."""
    remembered: dict[Tag, TagMemory] = field(default_factory=dict)
    """What is to be remembered of the selected tags."""
    whole: bool = False
    """Whether the list of tags is known to have come to its end."""
    made: dict[Tag, Digest] = field(default_factory=dict)
    """What each tag that is taken stands for."""
    past: dict[Tag, Decision] = field(default_factory=dict)
    """Tags of which newer ones are kept instead."""
