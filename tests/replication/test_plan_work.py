"""What a plan costs: it looks at what may go to a destination, not at all tags for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from registry_mesh.oci.reference import Tag
from registry_mesh.replication.tag_facts import TagFacts
from tests.replication.second import AA, rules_of
from tests.replication.test_planning import planned, recorded

TAGS = 100
RULE = '{name: r%d, from: h.example, repos: app, tags: "%s", to: "%s"%s}'


class Counted(dict[Tag, TagFacts]):
    """Counts how often one of its tags is looked at."""

    looks = 0

    def __iter__(self) -> Iterator[Tag]:
        for tag in super().__iter__():
            self.looks += 1
            yield tag

    def __getitem__(self, tag: Tag) -> TagFacts:
        self.looks += 1
        return super().__getitem__(tag)


def looks(*rules: str) -> tuple[int, int]:
    """At how many tags a plan looks, and its steps."""
    listed = recorded("h.example/app", {})
    tags = Counted({Tag(f"1.{number}"): TagFacts(AA, size=1) for number in range(TAGS)})
    object.__setattr__(listed, "tags", tags)
    steps = planned(rules_of("rules:\n" + "".join(f"  - {rule}\n" for rule in rules)), [listed]).steps
    return tags.looks, len(steps)


@pytest.mark.parametrize("more, kept", [("", TAGS), (", keep: {newest: 90}", 90)])
def test_a_destination_for_each_tag_is_no_look_at_all_tags_for_each(more: str, kept: int) -> None:
    found, steps = looks(RULE % (1, "semver: >=0", "app/v{tag}", more))
    assert steps == kept
    assert found <= 6 * TAGS


def test_many_destinations_of_few_tags_are_no_look_at_all_tags_for_each() -> None:
    found, steps = looks(*(RULE % (number, f"1.{number}", f"d{number}/app", "") for number in range(50)))
    assert steps == 50
    assert found <= 6 * TAGS
