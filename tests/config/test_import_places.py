"""Where what an importer tells stands in the other tool's file, and under which name."""

from __future__ import annotations

from registry_mesh.config.imports.tools import imported


def test_lines_of_a_recipe_stand_where_they_stand_and_an_empty_one_is_named_by_its_number() -> None:
    text = b"version: 1\ninput:\n- a.b/c:10\n- a.b/c:1\n- a.b/c:1\n-\n- ''\n- {image: }\n"
    found = imported("ducc", text, "f", {})
    told = [(each.entry.mark.line, each.entry.where, each.entry.refused) for each in found]
    empty = "no reference stands there: write HOST/REPOSITORY:TAG"
    assert told == [
        (3, "a.b/c:10", ""),
        (4, "a.b/c:1", ""),
        (5, "a.b/c:1", "said twice: a.b/c:1 says the same"),
        (2, "input[3]", empty),
        (2, "input[4]", empty),
        (8, "input[5]", empty),
    ]


def test_what_kuik_deletes_is_left_with_a_note() -> None:
    text = (
        b"kind: ImageSetMirror\nspec:\n  imageFilter: {include: ['quay.io/a/b:.+']}\n"
        b"  cleanup: {enabled: true}\n  mirrors: [{registry: m.example}]\n"
    )
    (found,) = imported("kuik", text, "f", {})
    assert found.entry.notes == (
        "spec.cleanup (line 4) is not carried: rules know no pods, so what none of them uses any more stays there",
    )
    (silent,) = imported("kuik", text.replace(b"true", b"false"), "f", {})
    assert silent.entry.notes == () and silent.text == found.text
    (refused,) = imported("kuik", text.replace(b"enabled", b"enable"), "f", {})
    assert "spec.cleanup.enable is no field that is known here" in refused.entry.refused
