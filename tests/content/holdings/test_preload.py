"""What counts as brought, over images that share blobs."""

from __future__ import annotations

from registry_mesh.content.holdings.preload import Meter, Ordered, Preload
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.repositories.of_origin import Repositories
from tests.simulators.origins import ALICE, image, memory_origin, push_blob, pushes, repository

NAME, LAYER = RepositoryName("team/app"), b"a layer of both"


async def filled() -> Repositories:
    """An origin with two images over the same layer."""
    origin = memory_origin()
    repo = repository(origin, NAME)
    layer = await push_blob(repo, LAYER)
    for tag in ("1", "2"):
        made = image(await push_blob(repo, tag.encode()), layer)
        await pushes(repo).put_manifest(ALICE, made, [Tag(tag)])
    return origin


async def test_an_image_is_not_here_because_another_failed_over_the_same_blob() -> None:
    origin = await filled()
    repo = repository(origin, NAME)
    await origin.blobs.delete(Digest.of(LAYER))
    meter = Meter()
    await Preload([Ordered(tag, repo, Tag(tag)) for tag in ("1", "2")], meter).run()
    assert (meter.images_done, sorted(meter.failed)) == (0, ["1", "2"])


async def test_each_registry_is_asked_for_what_its_images_name() -> None:
    repos = [(await filled()).repository(RegistryName(host), NAME) for host in ("a.example", "b.example")]
    meter = Meter()
    await Preload([Ordered(repo.registry, repo, Tag("1")) for repo in repos], meter).run()
    assert (meter.images_done, meter.size_done) == (2, 2 * (len(LAYER) + 1))


async def test_a_blob_of_several_images_is_brought_once() -> None:
    repo, meter = repository(await filled(), NAME), Meter()
    await Preload([Ordered(tag, repo, Tag(tag)) for tag in ("1", "2")], meter).run()
    assert (meter.images_done, meter.size_done) == (2, len(LAYER) + 2)
