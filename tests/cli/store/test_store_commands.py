"""`gc`, `verify` and `tags` over an origin's store on a disk."""

from __future__ import annotations

import asyncio
import getpass
import json
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from registry_mesh.assembly.sources.repositories import open_repositories
from registry_mesh.assembly.sources.storage import open_storage
from registry_mesh.assembly.watch.verified import KEY, Verified
from registry_mesh.cli.main import main
from registry_mesh.config.load import load
from registry_mesh.oci.digest import Digest
from registry_mesh.repositories.collection import Collection
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.stores.disk.storage import records_below
from tests.simulators.origins import push_blob, push_image, repository


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "origin.yaml"
    path.write_text(
        f"role: origin\nstore: {{disk: {{path: {tmp_path / 'store'}}}}}\npushes: {{immutable: ['v*'], grace: 1h}}\n"
    )
    return path


def with_origin(config: Path, work: Callable[[Repositories], object]) -> object:
    async def opened() -> object:
        loaded = load(config).config
        storage = await open_storage(loaded)
        try:
            return await work(open_repositories(loaded, storage))  # type: ignore[misc]
        finally:
            await storage.close()

    return asyncio.run(opened())


def run(*args: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in args])


async def _two(origin: Repositories) -> list[Digest]:
    repo = repository(origin)
    return [(await push_image(repo, text, "latest")).digest for text in ("one", "two")]


def test_a_tag_s_history_and_the_way_back(config: Path) -> None:
    one, two = with_origin(config, _two)  # type: ignore[misc]
    shown = run("tags", "history", config, "atlas/athena:latest")
    assert shown.exit_code == 0, shown.output
    first, second = shown.output.splitlines()
    assert "alice" in first and str(one) in first and str(two) in second
    back = run("tags", "undo", config, "atlas/athena:latest")
    assert back.exit_code == 0 and str(one) in back.output
    assert run("tags", "undo", config, "atlas/athena:latest", "--to", 99).exit_code == 1
    none = run("tags", "history", config, "atlas/athena:never")
    assert (none.exit_code, none.stderr) == (1, "error: no such tag: never\n")
    none = run("tags", "history", config, "atlas/never")
    assert none.stderr == "error: no such repository, or it never had a tag: atlas/never\n"
    assert run("tags", "history", config, "Atlas:x").exit_code == 2
    full = run("tags", "history", config, "registry.example/atlas/athena:latest")
    assert full.output.startswith(shown.output)


@pytest.mark.parametrize("read_only", [False, True])
def test_gc_says_what_waits_for_its_grace(config: Path, read_only: bool) -> None:
    """Also in a time of maintenance, which is when people collect."""
    with_origin(config, loose_beside_an_image)
    if read_only:
        config.write_text(config.read_text().replace("pushes: {", "pushes: {read_only: true, "))
    first = run("gc", config)
    assert first.exit_code == 0, first.output
    assert "removed 0 (0 B)" in first.output and "in their grace: 1 (5 B)" in first.output
    assert "(pushes.grace), then a run removes it" in first.output


def test_gc_says_what_would_go_and_then_removes_it(config: Path) -> None:
    async def an_hour_ago(origin: Repositories) -> None:
        """All was pushed, and a run found what is loose."""
        origin.lifecycle.clock = lambda: time.time() - 3700
        await loose_beside_an_image(origin)
        await Collection(origin).run()

    with_origin(config, an_hour_ago)
    dry = run("gc", config, "--dry-run")
    assert "atlas/athena: " in dry.output and "1 loose (5 B)" in dry.output
    assert "would remove 1 (5 B)" in dry.output
    assert "removed 1 (5 B)" in run("gc", config).output
    assert "removed 0" in run("gc", config).output
    assert run("verify", config).exit_code == 0


async def loose_beside_an_image(origin: Repositories) -> None:
    await push_image(repository(origin), "kept", "latest")
    await push_blob(repository(origin), b"loose")


def test_gc_says_what_becomes_of_the_loose(config: Path) -> None:
    """Loose here and used elsewhere stays; what is loose for the first time begins its grace with a real run."""

    async def fill(origin: Repositories) -> None:
        await push_image(repository(origin, "atlas/athena"), "kept", "latest")
        for name in ("atlas/athena", "atlas/other"):
            await push_blob(repository(origin, name), b"loose")
        await push_blob(repository(origin, "atlas/other"), b"layer of kept")

    with_origin(config, fill)
    dry = run("gc", config, "--dry-run")
    assert "atlas/other: 18 B, 2 loose (18 B)" in dry.output
    assert "of those 1 are in use by another repository, and stay" in dry.output
    assert "in their grace: 1" in dry.output
    assert "begins with a run that is no dry run: 1 were not seen loose before" in dry.output


def test_verify_lists_what_is_wrong(config: Path) -> None:
    assert run("verify", config).exit_code == 0
    one, _ = with_origin(config, _two)  # type: ignore[misc]
    assert "0 wrong" in run("verify", config).output
    for path in (config.parent / "store" / "blobs").rglob(one.hex):
        path.unlink()
    found = run("verify", config, "--repair")
    assert found.exit_code == 1
    assert f"atlas/athena: {one}: the bytes are gone" in found.output
    assert "1 wrong, 0 mended" in found.output
    assert "next: an origin has nobody to fetch from: push again the images that need it" in found.output
    told = Verified.decode(asyncio.run(records_below(config.parent / "store").get(KEY)))
    assert (told.wrong, told.first.startswith(f"atlas/athena: {one}: the bytes are gone")) == (1, True)


def test_undo_does_not_move_a_tag_that_the_configuration_keeps(config: Path) -> None:
    one, two = with_origin(config, _two)  # type: ignore[misc]
    text = config.read_text()
    config.write_text(text.replace("['v*']", "['latest']"))
    kept = run("tags", "undo", config, "atlas/athena:latest")
    assert (kept.exit_code, "immutable" in kept.output) == (1, True), kept.output
    assert str(two) in run("tags", "history", config, "atlas/athena:latest").output.splitlines()[-1]
    config.write_text(text)
    assert str(one) in run("tags", "undo", config, "atlas/athena:latest").output


def test_gc_says_what_only_a_way_back_keeps(config: Path) -> None:
    with_origin(config, _two)
    told = run("gc", config, "--dry-run").output
    assert "0 loose (0 B), 3 only by history (" in told, "a manifest, its config, its layer"
    assert "kept for `tags undo` (pushes.history)" in told


def test_the_changes_of_many_tags_in_their_order(config: Path) -> None:
    async def fill(origin: Repositories) -> None:
        for name in ("cms/reco", "atlas/athena", "cms/sim"):
            for tag in ("b", "a"):
                await push_image(repository(origin, name), f"{name} {tag}", "latest", tag)

    with_origin(config, fill)
    every = run("tags", "history", config)
    assert every.exit_code == 0, every.output
    lines = every.output.splitlines()
    assert len(lines) == 12
    assert lines == sorted(lines, key=lambda line: line.split()[1:3])
    assert any("atlas/athena:latest" in line for line in lines)
    assert run("tags", "history", config, "--last", 1).output.splitlines() == lines[-1:]
    assert set(run("tags", "history", config, "atlas/athena").output.splitlines()) == {
        line for line in lines if "  atlas/athena:" in line
    }
    assert run("tags", "history", config, "never/was").exit_code == 1
    assert run("tags", "undo", config, "atlas/athena").exit_code == 2, "undo is of one tag"


@pytest.mark.parametrize("command", [("gc",), ("tags", "history")])
def test_a_site_has_nothing_of_the_kind(command: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        "role: site\nstore: {disk: {path: x}}\nregistries: {docker.io: {parents: [[http://a]]}}\n"
    )
    more = ["a:b"] if command[0] == "tags" else []
    found = run(*command, path, *more)
    assert found.exit_code == 2
    assert "this command is for origins" in found.output


def test_quotas_says_how_full_each_project_is(config: Path) -> None:
    assert "No project has a quota" in run("quotas", config).output
    config.write_text(config.read_text().replace("grace: 1h", "grace: 1h, quotas: {atlas: 4KiB, cms: 1GiB}"))

    async def fill(origin: Repositories) -> None:
        await push_blob(repository(origin), b"x" * 1024)

    with_origin(config, fill)
    shown = run("quotas", config)
    assert shown.exit_code == 0, shown.output
    assert [line.split() for line in shown.output.splitlines()] == [
        ["PROJECT", "USED", "QUOTA", "FULL"],
        ["atlas", "1", "KiB", "4", "KiB", "25", "%"],
        ["cms", "0", "B", "1", "GiB", "0", "%"],
    ]


def test_what_commands_change_is_in_the_audit_log(config: Path) -> None:
    """Who ran them, and each tag that went or came back; a dry run says nothing."""
    log, rules = config.parent / "audit.log", config.parent / "retention"
    rules.mkdir()
    rule = "{from: a.example, repos: '**', tags: 't*', keep: {newest: 1, by: seen}, delete: 0s}"
    (rules / "all.yaml").write_text(f"schema: registry-mesh/rules/2\nguard: 100%\nrules: [{rule}]\n")
    more = f"registry: a.example\nretention: {{rules: {rules}}}\nlog: {{audit: {log}}}\n"
    config.write_text(f"{config.read_text()}{more}")

    async def fill(origin: Repositories) -> None:
        for tag in ("t1", "t2"):
            await push_image(repository(origin), tag, tag)

    with_origin(config, fill)
    for command in ("retention", "gc"):
        assert run(command, config, "--dry-run").exit_code == 0
    assert log.read_text() == ""
    for args in (("retention", config), ("rules", "undo", config), ("gc", config)):
        assert run(*args).exit_code == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    schema = json.loads(Path("config/schema/registry-mesh-audit.json").read_text())
    for line in lines:
        jsonschema.validate(line, schema)
    assert [(line["event"], line["reference"]) for line in lines] == [
        ("delete", "t1"),
        ("retention", None),
        ("push", "t1"),
        ("gc", None),
    ]
    me = getpass.getuser()
    assert lines[0]["subject"].startswith("retention: ")
    assert [line["subject"] for line in lines[1:]] == [
        f"{me} (retention)",
        f"{me} (rules undo)",
        f"{me} (gc)",
    ]
    assert lines[1]["reason"] == "deleted 1 tags"
    config.write_text(config.read_text().replace(str(log), "/nowhere/audit.log"))
    for command in ("retention", "gc"):
        refused = run(command, config)
        assert refused.exit_code in (1, 2) and "/nowhere" in refused.output, "nothing is done unseen"


def test_retention_says_what_would_go_deletes_it_and_undo_brings_it_back(config: Path) -> None:
    rules = config.parent / "retention"
    rules.mkdir()
    keep = "keep: {newest: 1, by: seen}, delete: 0s"
    written = (
        f"schema: registry-mesh/rules/2\nrules:\n  - {{from: a.example, repos: '**', tags: 't*', {keep}}}\n"
    )
    (rules / "all.yaml").write_text(written)
    assert run("retention", config).exit_code == 2
    config.write_text(f"{config.read_text()}registry: a.example\nretention: {{rules: {rules}}}\n")

    async def fill(origin: Repositories) -> None:
        for tag in ("t1", "t2", "other"):
            await push_image(repository(origin), tag, tag)

    with_origin(config, fill)
    dry = run("retention", config, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "a.example/atlas/athena:t1 would go: wanted by no rule" in dry.output
    assert dry.output.endswith("would delete 1 tags, of 1 repositories that rules take\n")
    done = run("retention", config)
    assert "a.example/atlas/athena:t1 was deleted" in done.output and "deleted 1 tags" in done.output
    assert "deleted" in run("tags", "history", config, "atlas/athena:t1").output.splitlines()[-1]
    back = run("rules", "undo", config)
    assert back.exit_code == 0, back.output
    assert "a.example/atlas/athena:t1 points at" in back.output
    assert run("check-config", config).exit_code == 0

    async def fill_more(origin: Repositories) -> None:
        for tag in range(7):
            await push_image(repository(origin), f"more{tag}", f"t-{tag}")

    with_origin(config, fill_more)
    stopped = run("retention", config)
    assert stopped.exit_code == 3
    assert "the guard is 10 %; nothing was deleted" in stopped.output
    plan = stopped.output.partition("`rules approve ")[2].partition("`")[0]
    assert run("rules", "approve", plan, config).exit_code == 0
    assert "deleted 8 tags" in run("retention", config).output
    (rules / "all.yaml").write_text(written.replace("keep:", "age: 1d, keep:"))
    for command in ("retention", "check-config"):
        wrong = run(command, config)
        assert wrong.exit_code == 2
        assert "this node does not do age yet" in wrong.output
    (rules / "all.yaml").write_text(written.replace("a.example", "b.example"))
    assert "b.example is no configured registry" in run("check-config", config).output
