"""image-syncer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried
from registry_mesh.config.imports.source import mapping_of
from registry_mesh.config.imports.spelling import exact_tags, matching, reference, searched, some, to_of

_LOGINS: Final = "is not carried: logins stand in the node's configuration, registries.HOST.credentials"
_SEVERAL: Final = "several new tags for several old ones: write a rule for each"


def image_syncer(text: str) -> Iterator[Entry]:
    """Images of image-syncer, YAML or JSON: source to one or several targets."""
    document = mapping_of(text, "image-syncer")
    document.leave(_LOGINS, "auth")
    images = document.fields("images") if "images" in document else document
    notes, document.notes = document.notes, []
    for source in [key for key in images.values if key != "auth"]:
        carried = Fields({}, {}, images.place(source), notes=notes)
        targets = [each.strip() for each in images.texts(source)]
        notes = []
        yield from each_entry(carried, source, partial(_synced, source, targets))
    yield from each_entry(document, "the file", list)


def _synced(source: str, targets: list[str]) -> list[Entry]:
    own = None
    expression = re.search(r":/(.*)/$", source)
    bare = source[: expression.start()] if expression else source
    head, colon, tags = bare.rpartition(":") if "," in bare and "@" not in bare else ("", "", "")
    ref = reference(head if colon else bare)
    wanted: str | list[str] = ref.tags or "*"
    if expression:
        wanted, own = searched(expression[1]), matching(expression[1])
    elif colon:
        wanted = some(exact_tags([each.strip() for each in tags.split(",")]))
    if not targets or not all(targets):
        raise NotCarried(
            "no target: the default registry of its command line is not known; write HOST/REPOSITORY"
        )
    if any("/" not in each for each in targets):
        raise NotCarried(f"{targets[0][:80]}: a target is REGISTRY/REPOSITORY")
    if any("," in each.rpartition("/")[2] for each in targets):
        raise NotCarried(_SEVERAL)
    to: list[dict[str, str]] = [to_of(reference(each)) for each in targets]
    keys: dict[str, Any] = {"from": ref.registry, "repos": ref.repository, "tags": wanted}
    keys["to"] = to[0] if len(to) == 1 else to
    return [Entry(source, keys, selects=None if own is None else lambda name: own.search(name) is not None)]
