"""Lists of images to mirror: Rancher's artifact-mirror, Kyma's external-images."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried
from registry_mesh.config.imports.source import mapping_of
from registry_mesh.config.imports.spelling import exact_tags, reference, some
from registry_mesh.config.rule_values import host_of

_LOGIN: Final = "is not carried: logins stand in the node's configuration, registries.HOST.credentials"
_NOT: Final = "is not mirrored there: leave it out, or deny it here"


def artifact_mirror(text: str) -> Iterator[Entry]:
    """`config.yaml` of artifact-mirror (and of image-mirror before it), `external-images.yaml` of Kyma."""
    document = mapping_of(text, "artifact-mirror", "Artifacts", "Images", "images")
    places = [*document.mappings("Repositories"), *document.mappings("Registries")]
    targets = [found for each in places if (found := _repository(each))]
    for key, name in (("Artifacts", "SourceArtifact"), ("Images", "SourceImage")):
        for each in document.mappings(key):
            yield from each_entry(each, str(each.values.get(name)), partial(_artifact, each, name, targets))
    for each in document.mappings("images"):
        yield from each_entry(each, str(each.values.get("source")), partial(_external, each))
    yield from each_entry(document, "the file", list)


def _repository(each: Fields) -> str:
    each.leave(_LOGIN, "Username", "Password", "Registry", "ReqConcurrent", "RepoAuth")
    default, found = each.flag("DefaultTarget"), each.text("BaseUrl")
    return found if default else ""


def _artifact(each: Fields, name: str, targets: list[str]) -> list[Entry]:
    source = each.text(name)
    ref = reference(source)
    tags = each.texts("Tags")
    left = each.get("DoNotMirror")
    if left is True:
        each.drop("TargetArtifactName", "TargetImageName", "TargetRepositories", "TargetRegistries")
        raise NotCarried(f"DoNotMirror: it {_NOT}", each.place("DoNotMirror"))
    without = set(each.texts("DoNotMirror")) if isinstance(left, list) else set()
    if without:
        each.notes.append(f"DoNotMirror: {', '.join(sorted(without))} {_NOT}")
    kept = [tag for tag in tags if tag not in without]
    if not kept:
        raise NotCarried("Tags: none is left; say which", each.place("Tags"))
    keys: dict[str, Any] = {"from": ref.registry, "repos": ref.repository, "tags": some(exact_tags(kept))}
    target = each.text("TargetArtifactName") or each.text("TargetImageName") or _default_name(source, each)
    out = each.texts("TargetRepositories") or each.texts("TargetRegistries") or targets
    to: list[dict[str, Any]] = [{**_to(place, target)} for place in out]
    keys["to"] = (to[0] if len(to) == 1 else to) if to else target
    return [Entry(source, keys)]


def _default_name(source: str, each: Fields) -> str:
    """`mirrored-`, then the last two parts of the source; of the application collection only the last."""
    parts = source.split("/")
    if len(parts) < 2:
        raise NotCarried(f"{source}: two parts at least, such as library/{source}", each.mark)
    return f"appco-{parts[-1]}" if parts[0] == "dp.apps.rancher.io" else f"mirrored-{parts[-2]}-{parts[-1]}"


def _to(place: str, name: str) -> dict[str, str]:
    first, _, folder = place.strip("/").partition("/")
    return {"registry": str(host_of(first)), "name": f"{folder}/{name}" if folder else name}


def _external(each: Fields) -> list[Entry]:
    source, tag = each.text("source"), each.text("tag")
    ref = reference(source)
    keys: dict[str, Any] = {"from": ref.registry, "repos": ref.repository}
    if ref.digest and tag:
        keys |= {"tags": f"@{ref.digest}", "to": {"name": "{repo}", "tag": tag}}
    elif ref.tags and not tag:
        keys["tags"] = ref.tags
    else:
        raise NotCarried("source wants a tag, or a digest with tag beside it", each.place("tag"))
    if each.flag("amd64Only"):
        keys["platforms"] = "linux/amd64"
    return [Entry(source, keys)]
