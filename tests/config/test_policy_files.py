"""Policy files: what they mean, and every fault with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.auth.access import Action, Asked
from registry_mesh.auth.identity import Identity
from registry_mesh.auth.policies import Entry, Policies, readers
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.policy_files import load_policies, policy_paths

ROOT = Path(__file__).resolve().parents[2]
HEAD = "schema: registry-mesh/access/1\n"
PULL, PUSH, CREATE, UPDATE, DELETE = Action.PULL, Action.PUSH, Action.CREATE, Action.TAG_UPDATE, Action.DELETE


def loaded(folder: Path, text: str) -> Policies:
    file = folder / "policies.yaml"
    file.write_text(HEAD + text)
    return load_policies([file])


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as raised:
        loaded(folder, text)
    return [str(each).removeprefix(f"{folder}/policies.yaml:") for each in raised.value.findings]


def may(policies: Policies, subject: str, repository: str, registry: str = "r.example") -> set[Action]:
    return {a for a in Action if policies.judge(Identity(subject), Asked(a, registry, repository)).allowed}


def test_the_example_is_valid_and_means_what_it_says() -> None:
    policies = load_policies(policy_paths(ROOT / "config" / "access"))
    assert may(policies, "anonymous", "a") == {PULL}
    assert may(policies, "alice", "atlas/app") == {PULL, PUSH, CREATE, UPDATE}
    assert may(policies, "alice", "atlas/releases/app") == {PULL, PUSH, CREATE}
    assert may(policies, "bob", "private/app") == set()
    assert may(policies, "oona", "private/app") == set(Action)


@pytest.mark.parametrize(
    ("allow", "deny", "rights"),
    [
        ("pull", "[]", {PULL}),
        ("push", "[]", {PULL, PUSH, CREATE, UPDATE}),
        ("create", "[]", {PULL, PUSH, CREATE}),
        ("tag-update", "[]", {PULL, PUSH, UPDATE}),
        ("delete", "[]", {PULL, DELETE}),
        ("push", "tag-update", {PULL, PUSH, CREATE}),
        ("push", "push", {PULL}),
        ("[push, delete]", "pull", set()),
        ("admin", "delete", set(Action) - {DELETE}),
        ("[]", "delete", set()),
    ],
)
def test_what_words_give_and_take(tmp_path: Path, allow: str, deny: str, rights: set[Action]) -> None:
    text = f'policies: [{{name: a, repos: "**", subjects: alice, allow: {allow}, deny: {deny}}}]\n'
    policies = loaded(tmp_path, text)
    assert may(policies, "alice", "x/y") == rights
    assert may(policies, "bob", "x/y") == may(policies, "anonymous", "x/y") == set()


def test_groups_of_one_file_hold_in_another(tmp_path: Path) -> None:
    for name, text in (
        ("a", "groups: {atlas: [alice]}\n"),
        ("b", 'policies: [{name: b, repos: "**", subjects: "@atlas", allow: pull}]\n'),
    ):
        (tmp_path / f"{name}.yaml").write_text(HEAD + text)
    policies = load_policies(policy_paths(tmp_path))
    assert may(policies, "alice", "x") == {PULL}
    assert policies.judge(Identity("eve", frozenset({"atlas"})), Asked(PULL, "r", "x")).allowed


def test_alpine_is_library_alpine_on_docker_hub(tmp_path: Path) -> None:
    text = "policies: [{name: a, registries: docker.io, repos: alpine, subjects: everybody, allow: pull}]\n"
    policies = loaded(tmp_path, text)
    assert may(policies, "anonymous", "library/alpine", "docker.io") == {PULL}
    assert may(policies, "anonymous", "alpine", "quay.io") == set()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "policies: [{name: a, repos: x, subjects: alice}]",
            "2:12: policies[0]: a says nothing; add allow: or deny:",
        ),
        ("policies: [{name: a, repos: x, subjects: 'a b', allow: pull}]", "a subject is everybody, users"),
        (
            "policies: [{name: a, repos: x, subjects: 'robot:CI', deny: pull}]",
            "a subject is everybody, users",
        ),
        (
            "policies: [{name: a, repos: '!x', subjects: bob, allow: pull}]",
            "only excludes, so it is about nothing",
        ),
        ("policies: [{name: a, repos: '[', subjects: bob, allow: pull}]", "2:29: policies[0].repos"),
        (
            "policies: [{name: a, repos: a/../b, subjects: bob, deny: pull}]",
            "2:29: policies[0].repos: 'a/../b' can match no repository",
        ),
        (
            "policies: [{name: a, repos: ['**', '*..*'], subjects: bob, deny: pull}]",
            "2:36: policies[0].repos[1]: '*..*' can match no repository",
        ),
        ("policies: [{name: a, repos: x, subjects: bob, allow: write}]", "2:54: policies[0].allow"),
        ("policies: [{name: a, repos: x, subjects: bob, alow: pull}]", "alow"),
        ("groups: {'@x': [bob]}", "@x can be no group's name"),
        ("groups: {x: ['@y']}", "@y can be no member"),
        ("groups: {x: [everybody]}", "everybody can be no member"),
        (
            "tests: [{subject: bob, action: pull, repo: x, expect: allow}]",
            "2:9: tests[0]: the test expects allow, and it is deny: no policy allows it",
        ),
        ("tests: [{subject: '@x', action: pull, repo: x, expect: deny}]", "@x is no single caller"),
        ("tests: [{subject: bob, action: pull, repo: X, expect: deny}]", "X is no repository name"),
        ("tests: 7", "tests"),
        ("[]", ""),
    ],
)
def test_each_fault_has_its_place(tmp_path: Path, text: str, said: str) -> None:
    found = faults(tmp_path, text + "\n")
    assert any(said in each for each in found), found


def test_names_stand_once_among_all_files(tmp_path: Path) -> None:
    for name in "ab":
        text = 'policies: [{name: same, repos: "**", subjects: users, allow: pull}]\n'
        (tmp_path / f"{name}.yaml").write_text(f"{HEAD}{text}groups: {{g: [bob]}}\n")
    with pytest.raises(ConfigInvalid) as raised:
        load_policies(policy_paths(tmp_path))
    assert [each.what for each in raised.value.findings] == [
        f"same is the name of another policy: {tmp_path}/a.yaml:2",
        f"g is the name of another group: {tmp_path}/a.yaml:3",
    ]


def test_a_private_registry_has_to_be_named() -> None:
    everybody = frozenset({"everybody"})
    all_of_it = Entry("all", everybody, allow=frozenset({PULL}))
    private = frozenset({"quay.io"})
    forgotten = Policies((all_of_it,), {}, private)
    assert (may(forgotten, "bob", "x", "quay.io"), may(forgotten, "bob", "x")) == (set(), {PULL})
    assert forgotten.is_forgotten("quay.io")
    named = Policies((all_of_it, readers("quay.io", ["bob"])), {}, private)
    assert (may(named, "bob", "x", "quay.io"), may(named, "eve", "x", "quay.io")) == ({PULL}, set())
    assert not named.is_forgotten("quay.io")
    denied = Policies(
        (Entry("no", everybody, deny=frozenset({PULL})), readers("quay.io", ["bob"])), {}, private
    )
    assert may(denied, "bob", "x", "quay.io") == set()


WORDS = st.sets(st.sampled_from(list(Action))).map(frozenset)
ENTRIES = st.lists(
    st.builds(
        Entry,
        st.just("e"),
        st.sets(st.sampled_from(["everybody", "users", "bob", "@g"]), min_size=1).map(frozenset),
        st.none() | st.sets(st.sampled_from("xyz")).map(frozenset),
        st.none() | st.sets(st.sampled_from(["q", "r"])).map(frozenset),
        WORDS,
        WORDS,
    ),
    max_size=6,
)
IDENTITIES = st.sampled_from([Identity("anonymous"), Identity("bob"), Identity("eve", frozenset({"g"}))])
ASKED = st.builds(Asked, st.sampled_from(list(Action)), st.sampled_from("qr"), st.sampled_from("xyz"))


@given(ENTRIES, ENTRIES, IDENTITIES, ASKED, st.randoms())
def test_order_never_matters_and_a_denial_always_does(
    entries: list[Entry], more: list[Entry], who: Identity, asked: Asked, random: object
) -> None:
    def judged(several: list[Entry]) -> bool:
        return Policies(tuple(several), {}, frozenset({"q"})).judge(who, asked).allowed

    shuffled = sorted(entries, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert judged(entries) == judged(shuffled)
    denial = Entry("no", frozenset({"everybody"}), deny=frozenset({asked.action}))
    assert not judged([*entries, denial, *more])
    assert not judged([e for e in entries if asked.action not in e.allow])


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_policies_or_faults(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(HEAD.encode() + data)
    try:
        load_policies([file])
    except ConfigInvalid as invalid:
        assert invalid.findings
