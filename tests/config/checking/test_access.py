"""What `access` and `admin` need of each other and of files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trustme

from registry_mesh.access.tokens import new_key
from registry_mesh.auth.policies import ALLOWS, DENIES, Entry, Policies
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import parse

HASH = "$2y$10$" + "a" * 53


def said(**more: object) -> list[str]:
    whole = {"role": "origin", "store": {"disk": {"path": "/tmp"}}, **more}
    try:
        loaded = parse(json.dumps(whole), "f.yaml")
    except ConfigInvalid as invalid:
        return [str(each) for each in invalid.findings]
    return [str(each) for each in (*loaded.lacks, *loaded.warnings)]


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1"])
def test_the_operator_s_listener_does_not_leave_the_machine_without_a_login(
    address: str, tmp_path: Path
) -> None:
    users = tmp_path / "users"
    users.write_text(f"oona:{HASH}\n")
    (fault,) = said(admin={"address": address, "port": 5001}, listen={"address": "127.0.0.1", "port": 5000})
    assert "can be reached from other machines, which are asked for no login" in fault
    assert said(admin={"address": address, "port": 5001, "users": str(users)}) == []
    users.write_text("oona:plain\n")
    (fault,) = said(admin={"address": address, "port": 5001, "users": str(users)})
    assert fault.startswith(f"{users}:1:1: the hash of oona is neither bcrypt nor argon2id")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_on_the_machine_itself_no_login_is_needed(address: str) -> None:
    assert said(admin={"address": address, "port": 5001}) == []


@pytest.mark.parametrize(
    ("access", "words"),
    [
        ({"authenticated": "push"}, "authenticated without users; add users: FILE"),
        ({"tokens": {"lifetime": "5m"}}, "tokens without users; add users: FILE"),
        ({"users": "/nowhere/users"}, "No such file or directory"),
        ({"robots": "/nowhere"}, "No such file or directory"),
        ({"users": "/nowhere", "tokens": {"realm": "example.org/token"}}, "https://HOST[:PORT]/PATH"),
        (
            {"users": "/nowhere", "tokens": {"realm": "https://a:b@example.org/token"}},
            "carries no user, password",
        ),
        ({"policies": "/nowhere"}, "No such file or directory"),
        ({"policies": "/tmp", "anonymous": "pull"}, "anonymous beside policies says nothing"),
    ],
)
def test_what_keys_need(access: dict[str, object], words: str) -> None:
    found = said(access=access)
    assert any(words in each for each in found), found


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (None, "No such file or directory; save there what the issuer has at its jwks_uri"),
        ("<html>", "keys.json:1:1: no JSON"),
        ("[]", "keys.json:1:1: no JWK set"),
        (
            '{"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}]}',
            "keys.json:1:1: no key for signatures",
        ),
    ],
)
def test_keys_of_an_issuer_are_looked_at_before_a_node_starts(
    keys: str | None, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    if keys is not None:
        file.write_text(keys)
    (fault,) = said(access={"issuers": {"ci": {"issuer": "i", "audience": "a", "keys": str(file)}}})
    assert words in fault


def test_a_group_that_nobody_is_in_is_warned_of(tmp_path: Path) -> None:
    for name, text in (
        ("groups.yaml", "groups: {guests: [bob]}"),
        ("p.yaml", 'policies: [{name: closed, repos: "**", subjects: ["@guests", "@gusts"], deny: pull}]'),
    ):
        (tmp_path / name).write_text(f"schema: registry-mesh/access/1\n{text}\n")
    (warned,) = said(access={"policies": str(tmp_path)})
    assert (
        f"{tmp_path / 'p.yaml'}:2:1: warning: policies: closed: nobody is in @gusts; add it under groups:"
        in warned
    )


def test_a_pattern_that_begins_with_a_registry_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "schema: registry-mesh/access/1\n"
        "policies: [{name: open, repos: r.example/a/**, subjects: everybody, allow: pull}]\n"
    )
    (warned,) = said(access={"policies": str(tmp_path)})
    assert (
        f"{file}:2:1: warning: policies: open: r.example/a/** begins with what looks like a registry"
        in warned
    )
    assert "; write a/**, with registries: r.example;" in warned


def test_a_denial_that_is_about_nobody_is_warned_of(tmp_path: Path) -> None:
    names = "everyone, Users, bob, robot:ci, gitlab:x, gitlabb:x, node:a.example, users, everybody"
    (tmp_path / "p.yaml").write_text(
        "schema: registry-mesh/access/1\npolicies:\n"
        f'  - {{name: closed, repos: "**", subjects: [{names}], deny: pull}}\n'
        '  - {name: open, repos: "**", subjects: [later], allow: pull}\n'
    )
    (tmp_path / "users").write_text(f"bob:{HASH}\n")
    issuer = {"issuer": "https://ci.example", "audience": "a", "keys": "https://ci.example/keys"}
    access = {"policies": str(tmp_path), "users": str(tmp_path / "users"), "issuers": {"gitlab": issuer}}
    warned = said(access=access)
    assert [line.split(": ")[4] for line in warned] == [
        f"nobody logs in as {name}, so that this denies nobody anything; mend its name, or say everybody, users or a "
        "@group"
        for name in ("Users", "everyone", "gitlabb:x", "robot:ci")
    ]


def test_two_issuers_that_tokens_do_not_tell_apart() -> None:
    one = {"issuer": "https://ci.example", "audience": "a", "keys": "https://ci.example/keys"}
    (fault,) = said(
        access={"issuers": {"ci": one, "other": one | {"audience": "b"}, "k8s": one | {"issuer": "k"}}}
    )
    assert "ci and other have one issuer: nothing in a token says whose it is; keep one" in fault


@pytest.mark.parametrize(
    ("section", "key", "how"),
    [
        ("access", "users", "make it: htpasswd -nB NAME >> FILE"),
        ("access", "robots", "make the directory, or have `registry-mesh robot create` make it"),
        ("access", "policies", "make the directory, with a file of policies in it: see docs/access.md"),
        ("admin", "users", "make it: htpasswd -nB NAME >> FILE"),
    ],
)
def test_a_file_that_is_not_here_is_told_with_its_place_and_keeps_only_a_node_from_starting(
    section: str, key: str, how: str
) -> None:
    """Whoever only asks a node need not read what it reads."""
    text = f"role: origin\nstore: {{disk: {{path: /tmp}}}}\n{section}:\n  {key}: /nowhere\n"
    (lack,) = parse(text, "f.yaml").lacks
    width = len(key) + 5
    assert str(lack) == f"f.yaml:4:{width}: {section}.{key}: /nowhere: No such file or directory; {how}"


@pytest.mark.parametrize("key", ["certificate", "key", "clients"])
def test_keys_and_certificates_that_are_not_here_are_lacks_too(key: str, tmp_path: Path) -> None:
    pair = trustme.CA().issue_cert("localhost")
    pair.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    tls = dict.fromkeys(("certificate", "key", "clients"), str(tmp_path / "both.pem")) | {key: "/nowhere"}
    for section, more in (("listen", {}), ("admin", {"names": ["oona"]})):
        whole = {"role": "origin", "store": {"disk": {"path": "/tmp"}}, section: {"tls": tls | more}}
        (lack,) = parse(json.dumps(whole), "f.yaml").lacks
        assert f"{section}.tls.{key}: /nowhere: No such file or directory" in str(lack)


def test_passwords_in_the_clear_are_warned_of(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(f"alice:{HASH}\n")
    (warned,) = said(access={"users": str(users)}, listen={"address": "0.0.0.0"})
    assert "passwords and tokens cross the network in the clear" in warned
    assert said(access={"users": str(users)}) == []


@pytest.mark.parametrize(
    ("right", "may"), [("push", "push images"), ("admin", "push and delete every image")]
)
@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])
def test_a_node_that_anybody_may_change_is_warned_of(right: str, may: str, address: str) -> None:
    (warned,) = said(access={"anonymous": right}, listen={"address": address})
    assert "access.anonymous: anybody who reaches" in warned
    assert address in warned and may in warned
    assert said(access={"anonymous": right}) == []
    assert said(access={"anonymous": right}, listen={"address": "::1"}) == []
    assert said(access={"anonymous": "pull"}, listen={"address": address}) == []


@pytest.mark.parametrize(
    ("right", "may"),
    [
        ("push", "push images and move tags"),
        ("create", "push images"),
        ("tag-update", "move tags"),
        ("delete", "delete images"),
        ("admin", "do all that admins may"),
    ],
)
def test_a_policy_that_lets_anybody_change_images_is_warned_of(right: str, may: str, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "schema: registry-mesh/access/1\n"
        "policies:\n"
        '  - {name: read, repos: "**", subjects: everybody, allow: pull}\n'
        f'  - {{name: open, repos: "scratch/**", subjects: [alice, everybody], allow: {right}}}\n'
    )
    access = {"policies": str(tmp_path)}
    (warned,) = said(access=access, listen={"address": "0.0.0.0"})
    assert warned.startswith(f"{file}:4:1: warning: policies: open: anybody who reaches 0.0.0.0 may ")
    assert may in warned
    assert said(access=access) == []
    text = file.read_text()
    file.write_text(text.replace("everybody]", "users]"))
    assert said(access=access, listen={"address": "0.0.0.0"}) == []


def test_a_policy_whose_rights_are_denied_to_everybody_opens_nothing() -> None:
    everybody = frozenset({"everybody"})
    allow = Entry("open", everybody, allow=ALLOWS["push"] | ALLOWS["delete"])
    deny = Entry("none", everybody, deny=DENIES["push"])
    some = Entry("some", everybody, registries=frozenset({"r.example"}), deny=DENIES["delete"])
    assert Policies((allow, deny, some), {}).open_to_all(allow) == ALLOWS["delete"]
    assert Policies((deny,), {}).open_to_all(deny) == frozenset()


def test_policies_are_tried_with_what_the_node_s_registries_are(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "schema: registry-mesh/access/1\n"
        'policies: [{name: all, repos: "**", subjects: everybody, allow: pull}]\n'
        "tests: [{subject: anonymous, action: pull, repo: x, registry: quay.io, expect: allow}]\n"
    )
    (tmp_path / "login").write_text("user:password")
    (tmp_path / "login").chmod(0o600)
    registry = {"parents": [["http://p"]], "credentials": f"file:{tmp_path / 'login'}"}
    site = {"role": "site", "access": {"policies": str(tmp_path)}}
    (fault,) = said(**site, registries={"QUAY.io": registry})
    assert fault.startswith(f"{tmp_path}/p.yaml:3:9: tests[0]: the test expects allow, and it is deny")
    assert said(**site, registries={"quay.io": registry | {"readers": "everybody"}}) == []
    policy = (tmp_path / "p.yaml").read_text().partition("tests:")[0]
    (tmp_path / "p.yaml").write_text(policy)
    (warned,) = said(**site, registries={"QUAY.io": registry})
    assert "registries.QUAY.io.credentials: QUAY.io is fetched with credentials of this node" in warned
    assert "add readers: everybody, users or a list of subjects to registries.QUAY.io, or a policy" in warned
    (tmp_path / "p.yaml").write_text(policy.replace("repos", "registries: quay.io, repos"))
    assert said(**site, registries={"QUAY.io": registry}) == []


@pytest.mark.parametrize("pem", [b"", b"no key", None])
def test_a_key_that_signs_nothing(pem: bytes | None, tmp_path: Path) -> None:
    users, key = tmp_path / "users", tmp_path / "key.pem"
    users.write_text(f"alice:{HASH}\n")
    if pem is not None:
        key.write_bytes(pem)
    (fault,) = said(access={"users": str(users), "tokens": {"key": str(key)}})
    assert f"access.tokens.key: {key}: " in fault
    key.write_bytes(new_key())
    assert said(access={"users": str(users), "tokens": {"key": str(key)}}) == []
