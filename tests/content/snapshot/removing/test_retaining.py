"""What an origin keeps of its own tags: by number, age and pattern; behind a guard; with a way back."""

from __future__ import annotations

from registry_mesh.config.rule_files import parse_rules
from registry_mesh.content.snapshot.removing.removed import APPROVED
from registry_mesh.content.snapshot.removing.retaining import Retained, Retaining
from registry_mesh.oci.reference import RegistryName, Tag
from registry_mesh.ports.pushes import Pusher
from registry_mesh.repositories.dated import DatedRepositories
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.push_policy import PushPolicy
from tests.simulators.origins import REGISTRY, HandClock, memory_origin, push_image, pushes, repository

DAY = 86400.0


class Origin:
    """An origin with rules, and a clock in the test's hand."""

    def __init__(self, *rules: str, more: str = "guard: 100%\n", immutable: tuple[str, ...] = ()) -> None:
        self.clock = HandClock()
        self.repositories: Repositories = memory_origin(PushPolicy(immutable=immutable), clock=self.clock)
        said = "".join(f"  - {{from: {REGISTRY}, {rule}}}\n" for rule in rules)
        text = f"schema: registry-mesh/rules/2\n{more}rules:\n{said}"
        self.rules = parse_rules([("r.yaml", text.encode())], [REGISTRY])

    async def push(self, *tags: str, name: str = "app", every: float = DAY) -> None:
        for tag in tags:
            await push_image(repository(self.repositories, name), f"{name}{tag}{self.clock.now}", tag)
            self.clock.now += every

    async def run(self, *, dry_run: bool = False, after: float = 0.0) -> Retained:
        self.clock.now += after
        return await Retaining(
            self.rules,
            RegistryName(REGISTRY),
            DatedRepositories(self.repositories),
            self.repositories.records,
            self.repositories.policy.is_immutable,
            self.clock.now,
        ).run(dry_run=dry_run)

    async def tags(self, name: str = "app") -> set[str]:
        return set((await repository(self.repositories, name).tags.tags(1000)).tags)


async def test_the_newest_are_kept_and_the_others_go() -> None:
    origin = Origin('repos: app, tags: "n-*", keep: {newest: 2, by: seen}, delete: 0s')
    await origin.push("n-1", "n-2", "n-3", "n-4", "latest")
    found = await origin.run()
    assert (found.repositories, found.deleted) == (1, 2)
    assert await origin.tags() == {"n-3", "n-4", "latest"}
    assert (await origin.run()).deleted == 0


async def test_the_young_are_kept_beside_the_newest() -> None:
    origin = Origin('repos: "**", tags: "*", keep: {newest: 1, by: seen, or_younger: 3d}, delete: 0s')
    await origin.push("a", "b", "c", "d", "e")
    await origin.run()
    assert await origin.tags() == {"d", "e"}  # d is 2 d old, c is 3
    await origin.run(after=99 * DAY)
    assert await origin.tags() == {"e"}


async def test_versions_are_counted_as_versions() -> None:
    origin = Origin('repos: app, tags: "semver: *", keep: 2, delete: 0s')
    await origin.push("1.10.0", "1.9.0", "2.0.0", "1.2.0", "nightly")
    await origin.run()
    assert await origin.tags() == {"2.0.0", "1.10.0", "nightly"}


async def test_what_is_not_kept_goes_after_its_grace() -> None:
    origin = Origin('repos: app, tags: "*", keep: {newest: 1, by: seen}, delete: 7d')
    await origin.push("a", "b")
    found = await origin.run()
    assert found.deleted == 0
    assert "app:a is deleted" in found.notes[0]
    assert (await origin.run(after=6 * DAY)).deleted == 0
    await origin.push("a")  # set anew: the clock of b begins, that of a is forgotten
    assert (await origin.run(after=2 * DAY)).deleted == 0
    assert (await origin.run(after=7 * DAY)).deleted == 1
    assert await origin.tags() == {"a"}


async def test_what_one_rule_keeps_stays() -> None:
    origin = Origin(
        'name: one, repos: app, tags: "*", keep: {newest: 1, by: seen}, delete: 0s',
        'name: two, repos: app, tags: "release-*", delete: 0s',
        'name: three, repos: app, tags: "held", keep: {newest: 1, by: seen}, hold: forever, delete: 0s',
    )
    await origin.push("release-1", "held", "old", "new")
    await origin.run()
    assert await origin.tags() == {"release-1", "held", "new"}


async def test_an_immutable_tag_stays() -> None:
    origin = Origin('repos: app, tags: "*", keep: {newest: 1, by: seen}, delete: 0s', immutable=("v*",))
    await origin.push("v1", "x", "y")
    found = await origin.run()
    assert await origin.tags() == {"v1", "y"}
    assert found.deleted == 1


async def test_a_rule_that_does_not_say_delete_deletes_nothing() -> None:
    origin = Origin('repos: app, tags: "*", keep: {newest: 1, by: seen}')
    await origin.push("a", "b")
    assert (await origin.run(after=999 * DAY)).deleted == 0


async def test_the_guard_stops_all_until_a_person_approves() -> None:
    origin = Origin('repos: app, tags: "*", keep: {newest: 1, by: seen}, delete: 0s', more="guard: 10%\n")
    await origin.push(*(f"t{i}" for i in range(20)))
    found = await origin.run()
    assert found.deleted == 0
    (why,) = found.troubles
    assert why.startswith(f"stopped: 19 of 20 tags of {REGISTRY} (95 %) would go, the guard is 10 %")
    digest = why.partition("`rules approve ")[2].partition("`")[0]
    await origin.repositories.records.put(APPROVED, f'{{"digest": "{digest}"}}'.encode())
    assert (await origin.run()).deleted == 19


async def test_a_dry_run_writes_nothing_and_says_what_would_go() -> None:
    origin = Origin('repos: app, tags: "*", keep: {newest: 1, by: seen}, delete: 0s')
    await origin.push("a", "b")
    before = [key async for key in origin.repositories.records.walk("")]
    found = await origin.run(dry_run=True)
    assert [str(each) for each in found.going] == [f"{REGISTRY}/app:a"]
    assert found.deleted == 0
    assert [key async for key in origin.repositories.records.walk("")] == before


async def test_what_was_deleted_comes_back_and_its_history_says_why() -> None:
    origin = Origin('repos: app, tags: "*", keep: {newest: 1, by: seen}, delete: 0s')
    await origin.push("a", "b")
    await origin.run()
    target = DatedRepositories(origin.repositories).repository(RegistryName(REGISTRY), repository(
        origin.repositories, "app"
    ).name)  # fmt: skip
    history = await origin.repositories.history(target.kept.name).entries(Tag("a"))
    assert history[-1].by.startswith("retention: wanted by no rule")
    assert await target.restore(Tag("a"), Pusher("me")) == history[0].digest
    assert await target.restore(Tag("a"), Pusher("me")) is None
    assert await target.restore(Tag("never"), Pusher("me")) is None
    assert await origin.tags() == {"a", "b"}


async def test_signatures_by_tag_go_with_what_they_sign() -> None:
    origin = Origin('repos: app, tags: "*", keep: {newest: 1, by: seen}, delete: 0s')
    await origin.push("a", "b")
    digests = {
        tag: (await repository(origin.repositories, "app").tags.resolve(Tag(tag))).descriptor.digest
        for tag in ("a", "b")
    }
    for digest in digests.values():
        await origin.push(f"sha256-{digest.hex}.sig")
    await origin.run()
    assert await origin.tags() == {"b", f"sha256-{digests['b'].hex}.sig"}


async def test_a_push_while_it_runs_is_not_taken_out() -> None:
    origin = Origin('repos: app, tags: "*", keep: {newest: 1, by: seen}, delete: 0s')
    await origin.push("a", "b")
    repo = repository(origin.repositories, "app")
    old = (await repo.tags.resolve(Tag("a"))).descriptor.digest
    await origin.push("a")
    target = DatedRepositories(origin.repositories).repository(RegistryName(REGISTRY), repo.name)
    await target.untag(Tag("a"), old, "too late")
    assert await origin.tags() == {"a", "b"}
    assert pushes(repo) is not None
