"""Whose a store is: stores of the first format as a fixture, markers, strangers."""

import asyncio
import json
import shutil
import tarfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry_mesh.assembly.sources.admission import role_by
from registry_mesh.assembly.sources.storage import open_storage
from registry_mesh.cli.main import main
from registry_mesh.config.load import load
from registry_mesh.config.schema import Config
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import StoreForeign
from registry_mesh.ports.marker import FORMAT, KEY, Marker
from registry_mesh.ports.pieces import whole
from registry_mesh.stores.bucket.settings import S3Settings
from tests.simulators.bucket import Bucket
from tests.simulators.death import deaths

FIRST = Path(__file__).parents[2] / "fixtures" / "stores_of_format_1.tar.gz"
"""`origin`, `replica` and `site`, as the program wrote them before stores had markers: prod/app:1.0 and, but for the
site, prod/app:1.1."""
IMAGE = Digest.parse("sha256:c0df18ab9b3e4a28eded3d4fa544a46151817f27a8a67f6433d672ac0b48fc72")
ROLES = ("origin", "replica", "site")


def unpacked(folder: Path) -> Path:
    with tarfile.open(FIRST) as archive:
        archive.extractall(folder, filter="data")
    return folder


def write(folder: Path, role: str, store: str, name: str = "", registry: str = "registry.example") -> Path:
    path = folder / f"{name or role}-1.yaml"
    own = f"registry: {registry}\n"
    if role != "origin":
        own = f"registries: {{{registry}: {{parents: [[http://127.0.0.1:1]]}}}}\n"
    if role == "replica":
        rules = folder / "rules"
        rules.mkdir(exist_ok=True)
        (rules / "all.yaml").write_text(
            f'schema: registry-mesh/rules/1\nrules:\n  - {{name: all, from: {registry}, repos: ["**"], tags: ["*"]}}\n'
        )
        own += f"rules: {rules}\n"
    path.write_text(f"role: {role}\nname: {path.stem}\nstore: {store}\n{own}")
    return path


def config(folder: Path, role: str, store: str, name: str = "", registry: str = "registry.example") -> Config:
    return load(write(folder, role, disk(folder / store), name, registry)).config


def disk(path: Path) -> str:
    return f"{{disk: {{path: {path}}}}}"


def everything(folder: Path) -> dict[str, bytes]:
    """What must not change where a node is not let in."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items()}


async def enter(config: Config, *, adopt: bool = False) -> Marker:
    """Open the store, and give its marker."""
    storage = await open_storage(config, adopt=adopt)
    try:
        data = await storage.records.get(KEY)
    finally:
        await storage.close()
    assert data is not None
    return Marker.decode(data)


@pytest.mark.parametrize("role", ROLES)
async def test_a_store_of_the_first_format_is_upgraded_where_it_is_and_reads_whole(
    tmp_path: Path, role: str
) -> None:
    unpacked(tmp_path)
    ours = config(tmp_path, role, role)
    marker = await enter(ours)
    assert (marker.format, marker.role, marker.node) == (FORMAT, role, f"{role}-1")
    assert await enter(ours) == marker, "it is written once"
    storage = await open_storage(ours)
    async with storage.blobs.open(IMAGE) as reading:
        manifest = json.loads(await whole(reading, 1 << 20))
    for each in (manifest["config"], *manifest["layers"]):
        if role != "site":  # the site was asked for one of two images
            assert (await storage.blobs.stat(Digest.parse(each["digest"]))).size == each["size"]
    await storage.close()


@pytest.mark.parametrize("theirs", ROLES)
@pytest.mark.parametrize("ours", ROLES)
@pytest.mark.parametrize("marked", [True, False])
async def test_another_role_is_not_let_in_and_changes_nothing(
    tmp_path: Path, ours: str, theirs: str, marked: bool
) -> None:
    unpacked(tmp_path)
    if marked:
        await enter(config(tmp_path, theirs, theirs))
    shutil.copytree(tmp_path / theirs, tmp_path / "copy")
    before = everything(tmp_path / "copy")
    mine = config(tmp_path, ours, "copy", "mine")
    if ours == theirs:
        await enter(mine)
        return
    with pytest.raises(StoreForeign) as refused:
        await open_storage(mine)
    assert f"store of {theirs}" + (f" {theirs}-1" if marked else "") in refused.value.reason
    assert f"this node is {ours} mine-1" in refused.value.reason
    assert everything(tmp_path / "copy") == before


async def test_another_registry_s_origin_is_not_let_in_and_one_that_is_named_later_is(tmp_path: Path) -> None:
    nameless = tmp_path / "nameless.yaml"
    nameless.write_text(f"role: origin\nname: o\nstore: {disk(tmp_path / 'store')}\n")
    assert (await enter(load(nameless).config)).registry is None
    assert (await enter(config(tmp_path, "origin", "store"))).registry == "registry.example"
    assert (await enter(load(nameless).config)).registry == "registry.example"
    with pytest.raises(StoreForeign, match=r"of registry\.example, and this node is .* of other\.example"):
        await open_storage(config(tmp_path, "origin", "store", "other", "other.example"))


async def test_a_store_that_is_taken_over_is_the_new_node_s_alone(tmp_path: Path) -> None:
    before = await enter(config(tmp_path, "origin", "store"))
    site = config(tmp_path, "site", "store")
    after = await enter(site, adopt=True)
    assert (after.role, after.node, after.store) == ("site", "site-1", before.store)
    assert await enter(site) == after
    with pytest.raises(StoreForeign):
        await open_storage(config(tmp_path, "origin", "store"))


async def test_a_newer_format_is_never_opened(tmp_path: Path) -> None:
    ours = config(tmp_path, "origin", "store")
    storage = await open_storage(ours)
    await storage.records.put(KEY, Marker("origin", "origin-1", format=FORMAT + 1).encode())
    await storage.close()
    for adopt in (False, True):
        with pytest.raises(StoreForeign, match=r"newer registry-mesh \(format 3; this one reads up to 2\)"):
            await open_storage(ours, adopt=adopt)


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"format": "2"}', b"\xff"])
async def test_a_damaged_marker_is_said_to_be_one(tmp_path: Path, damaged: bytes) -> None:
    ours = config(tmp_path, "origin", "store")
    storage = await open_storage(ours)
    await storage.records.put(KEY, damaged)
    await storage.close()
    with pytest.raises(StoreForeign, match="cannot be read"):
        await open_storage(ours)


def test_an_upgrade_that_is_killed_anywhere_is_gone_on_with(tmp_path: Path) -> None:
    fresh = unpacked(tmp_path / "fresh")
    store = tmp_path / "store"
    ours = config(tmp_path, "origin", "store")

    def prepare() -> Callable[[], Awaitable[None]]:
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(fresh / "origin", store)

        async def upgrade() -> None:
            await enter(ours)

        return upgrade

    died = set()
    for name in deaths(prepare):
        died.add(name)
        marker = asyncio.run(enter(ours))
        assert (marker.role, marker.node) == ("origin", "origin-1"), name
    assert "record.write" in died


@pytest.mark.s3
async def test_a_bucket_and_its_spool_are_somebody_s_too(
    tmp_path: Path, bucket: Bucket, bucket_keys: None, s3_settings: S3Settings
) -> None:
    def on_bucket(role: str, name: str, spool: str = "") -> Config:
        keys = f"bucket: {bucket.name}, endpoint: {bucket.endpoint}, region: {bucket.region}"
        keys += f", prefix: {s3_settings.prefix}"
        spool = f", spool: {{path: {tmp_path / spool}}}" if spool else ""
        return load(write(tmp_path, role, f"{{s3: {{{keys}{spool}}}}}", name)).config

    assert (await enter(on_bucket("site", "one", "one"))).node == "one-1"
    assert (await enter(on_bucket("site", "two", "two"))).node == "one-1", "sites share a bucket"
    with pytest.raises(StoreForeign, match=rf"s3://{bucket.name}/.* is the store of site one-1"):
        await open_storage(on_bucket("origin", "origin"))
    unpacked(tmp_path)
    with pytest.raises(StoreForeign, match=f"{tmp_path}/origin is the store of origin"):
        await open_storage(on_bucket("site", "three", "origin"))


@pytest.mark.parametrize(
    ("tops", "repositories", "role"),
    [
        ([], [], None),
        (["scrub", "uploads"], [], None),
        (["digests", "repositories", "linked"], ["prod", "library"], "origin"),
        (["digests", "repositories"], ["registry.example", "localhost:5000"], "replica"),
        (["receipts", "repositories", "remembered"], ["registry.example"], "replica"),
        (["media-types", "remembered"], [], "site"),
        (["named"], [], "site"),
    ],
)
def test_the_first_format_tells_whose_it_is_by_its_records(
    tops: list[str], repositories: list[str], role: str | None
) -> None:
    assert role_by(tops, repositories) == role


def test_serve_and_check_config_say_it_in_one_line(tmp_path: Path) -> None:
    unpacked(tmp_path)
    path = write(tmp_path, "site", disk(tmp_path / "origin"))
    before = everything(tmp_path / "origin")
    for command, code in (("check-config", 2), ("serve", 78)):
        said = CliRunner().invoke(main, [command, str(path)])
        assert said.exit_code == code, said.output
        (line,) = said.stderr.splitlines()
        assert line.startswith(
            f"{path}:3:22: store.disk.path: {tmp_path}/origin is the store of origin, and this "
        )
        assert "node is site site-1" in line
        assert "--adopt" in line
    assert everything(tmp_path / "origin") == before
