"""The second look before a tag is switched: whatever is lacking or other than named, at any depth, is found."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest

from registry_mesh.content.snapshot.copying.closure import first_gap
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_INDEX
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.ports.repositories import Repository
from registry_mesh.replication.terms import Data
from tests.simulators.images import HOST, LAYER, Content, SourceRegistry
from tests.simulators.replica import Replica, rule

Spoil = Callable[[Content, Manifest, list[Manifest]], None]


def nested(depth: int, tag: str = "v1") -> tuple[SourceRegistry, Manifest, list[Manifest]]:
    """A source; an image in it, in so many indexes, each in the next; those, from the innermost on."""
    source = SourceRegistry()
    content = source["a"]
    image = content.image("x", *([] if depth else [tag]))
    above = [image]
    for number in range(depth):
        above.append(content.index({"": above[-1]}, *([tag] if number == depth - 1 else [])))
    return source, image, above


def held(source: SourceRegistry) -> Repository:
    return source.repository(RepositoryName("a"))


def no_config(content: Content, image: Manifest, above: list[Manifest]) -> None:
    assert image.config is not None
    del content.blobs[image.config.digest]


def no_layer(content: Content, image: Manifest, above: list[Manifest]) -> None:
    del content.blobs[image.layers[0].digest]


def short_layer(content: Content, image: Manifest, above: list[Manifest]) -> None:
    content.blobs[image.layers[0].digest] = b"short"


def no_image(content: Content, image: Manifest, above: list[Manifest]) -> None:
    del content.manifests[image.digest]


def no_root(content: Content, image: Manifest, above: list[Manifest]) -> None:
    del content.manifests[above[-1].digest]


def other_image(content: Content, image: Manifest, above: list[Manifest]) -> None:
    content.manifests[image.digest] = content.image("other")


SPOILED = [no_config, no_layer, short_layer, no_image, no_root, other_image]


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
async def test_what_is_whole_has_no_gap(depth: int) -> None:
    source, _, above = nested(depth)
    assert await first_gap(held(source), above[-1].digest, None) is None


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize("spoil", SPOILED)
async def test_what_lacks_or_is_other_is_found_at_any_depth(spoil: Spoil, depth: int) -> None:
    source, image, above = nested(depth)
    spoil(source["a"], image, above)
    assert await first_gap(held(source), above[-1].digest, None) is not None


@pytest.mark.parametrize("data", [Data.ON_DEMAND, Data.METADATA])
@pytest.mark.parametrize("spoil", [no_image, other_image])
async def test_manifests_are_looked_at_where_no_blobs_are_wanted(spoil: Spoil, data: Data) -> None:
    source, image, above = nested(2)
    spoil(source["a"], image, above)
    assert await first_gap(held(source), above[-1].digest, None, data) is not None


def lying(content: Content, *children: Descriptor) -> Manifest:
    """An index of them, as they are told."""
    told = [child.document() for child in children]
    document: dict[str, object] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": told}
    return content.put(document, "v1")


@pytest.mark.parametrize("more", [-1, 1, 10_000])
async def test_a_manifest_of_another_size_than_its_index_tells_is_found(more: int) -> None:
    """Clients refuse it."""
    source, image, _ = nested(1)
    good = image.descriptor
    wrong = dataclasses.replace(good, size=good.size + more)
    root = lying(source["a"], wrong)
    gap = await first_gap(held(source), root.digest, None)
    assert gap == f"manifest {image.digest}: {good.size} bytes are stored, {wrong.size} are named"


async def test_a_tag_stays_where_an_index_lies_about_the_size_of_its_child() -> None:
    replica = Replica(rule("a"))
    content = replica.source["a"]
    old = content.image("old", "v1")
    assert (await replica.run()).complete
    child = content.image("new").descriptor
    lying(content, dataclasses.replace(child, size=child.size + 1))
    (trouble,) = (await replica.run()).troubles
    assert str(child.digest) in trouble.why
    assert await replica.tags("a") == {"v1": old.digest}


def twice(good: Descriptor, first: bool) -> list[Descriptor]:
    """It, and it with another size, before it or after it."""
    both = [good, dataclasses.replace(good, size=good.size + 1)]
    return both[::-1] if first else both


def index_of_two_sizes(content: Content, first: bool) -> tuple[Descriptor, Manifest]:
    child = content.image("new").descriptor
    return child, lying(content, *twice(child, first))


def image_of_two_sizes(content: Content, first: bool) -> tuple[Descriptor, Manifest]:
    image = content.image("new")
    layer = image.layers[0]
    document = json.loads(image.data) | {"layers": [each.document() for each in twice(layer, first)]}
    return layer, content.put(document, "v1")


def config_of_another_size(content: Content, first: bool) -> tuple[Descriptor, Manifest]:
    """The config is a layer too."""
    image = content.image("new")
    assert image.config is not None
    one, other = twice(image.config, first)
    document = json.loads(image.data) | {"config": one.document(), "layers": [other.document()]}
    return image.config, content.put(document, "v1")


@pytest.mark.parametrize("first", [True, False], ids=["lie-first", "lie-last"])
@pytest.mark.parametrize("made", [index_of_two_sizes, image_of_two_sizes, config_of_another_size])
@pytest.mark.parametrize("data", list(Data))
async def test_what_is_named_with_two_sizes_is_refused(
    data: Data, made: Callable[[Content, bool], tuple[Descriptor, Manifest]], first: bool
) -> None:
    source = SourceRegistry()
    named, root = made(source["a"], first)
    gap = await first_gap(held(source), root.digest, None, data)
    sizes = [each.size for each in twice(named, first)]
    assert gap == f"what {root.digest} names: {named.digest} twice, of {sizes[0]} and of {sizes[1]} bytes"


@pytest.mark.parametrize("first", [True, False], ids=["lie-first", "lie-last"])
@pytest.mark.parametrize("made", [index_of_two_sizes, image_of_two_sizes, config_of_another_size])
async def test_a_tag_stays_where_what_it_moved_to_names_one_digest_with_two_sizes(
    made: Callable[[Content, bool], tuple[Descriptor, Manifest]], first: bool
) -> None:
    replica = Replica(rule("a"))
    content = replica.source["a"]
    old = content.image("old", "v1")
    assert (await replica.run()).complete
    named, _ = made(content, first)
    (trouble,) = [each for each in (await replica.run()).troubles if each.what == f"{HOST}/a:v1"]
    assert str(named.digest) in trouble.why
    assert await replica.tags("a") == {"v1": old.digest}


async def test_a_child_that_is_named_for_two_platforms_with_one_size_has_no_gap() -> None:
    source = SourceRegistry()
    content = source["a"]
    image = content.image("x")
    root = content.index({"linux/amd64": image, "linux/arm64": image}, "v1")
    assert await first_gap(held(source), root.digest, None) is None


async def test_a_child_that_is_named_as_a_blob_too_is_looked_for_as_a_manifest() -> None:
    source = SourceRegistry()
    content = source["a"]
    child = content.image("x")
    content.blob(child.data)
    root = lying(content, dataclasses.replace(child.descriptor, media_type=LAYER), child.descriptor)
    assert await first_gap(held(source), root.digest, None) is None
    del content.manifests[child.digest]
    gap = await first_gap(held(source), root.digest, None)
    assert gap is not None and gap.startswith(f"manifest {child.digest}: ")
