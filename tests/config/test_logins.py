"""Logins for parents, as the check of a configuration reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import parse


def site(more: str) -> str:
    """A site with one registry, `a.b`, on the third line."""
    return f"role: site\nstore: {{disk: {{path: x}}}}\nregistries: {{a.b: {{{more}}}}}\n"


def said_of(credentials: str, *parents: str) -> list[str]:
    loaded = parse(
        site(f"readers: users, credentials: {credentials}, parents: [{json.dumps(parents)}]"), "f.yaml"
    )
    return [str(said).partition("credentials: ")[2] for said in (*loaded.lacks, *loaded.warnings)]


def faults(more: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as invalid:
        parse(site(f"{more}, parents: [[http://p]]"), "f.yaml")
    return [str(finding) for finding in invalid.value.findings]


def test_a_credentials_file_is_read_for_each_parent(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    named = f"'file:{file}'"

    def holds(**document: object) -> None:
        file.write_text(json.dumps(document))
        file.chmod(0o600)

    holds(auths={"https://index.docker.io/v1/": {"auth": "dTpw"}, "quay.io": {"auth": "abc"}})
    assert said_of(named, "http://replica:5000", "https://registry-1.docker.io") == []
    assert said_of(named, "https://registry-1.docker.io", "https://quay.io") == [
        f'{file}: auths["quay.io"] has auth that is no base64: log in again, or write base64 of USER:PASSWORD; '
        "until then https://quay.io is asked anonymously"
    ]
    assert said_of(named, "http://replica:5000") == [
        f"{file}: there is no entry for replica:5000; it has docker.io, quay.io; "
        "without it parents are asked anonymously"
    ]
    holds(credHelpers={"quay.io": "no-such-helper"})
    assert "there is no program docker-credential-no-such-helper" in said_of(named, "https://quay.io")[0]
    file.write_text("{")
    assert "it begins like JSON and is none" in said_of(named, "https://quay.io")[0]
    assert "no regular file" in said_of(f"'file:{tmp_path}'", "https://quay.io")[0]
    file.write_text('{"username": "u", "password": "p"}')
    assert said_of(named, "https://quay.io") == []


def test_a_command_of_credentials() -> None:
    assert said_of("{command: [env]}", "https://quay.io") == []
    assert said_of("{command: [no-such-program, x]}", "https://quay.io") == [
        "there is no program no-such-program to run; mend it, or leave credentials out: then parents are asked "
        "anonymously"
    ]
    assert "docker-credential-none" in said_of("{helper: none}", "https://quay.io")[0]
    for wrong, words in (
        ("{}", "neither command nor helper"),
        ("{command: [env], helper: x}", "exclude each other"),
        ("{command: []}", "neither command nor helper"),
        ("{command: [env], timeout: 10}", 'write "10s"'),
        ("{comand: [true]}", "did you mean command?"),
        ("5", "a secret is named, never written"),
    ):
        found = faults(f"credentials: {wrong}")
        assert any(words in fault and fault.startswith("f.yaml:3:") for fault in found), (wrong, found)


@pytest.mark.parametrize("wrong", ["x", "ftp://h", "https://u:p@h", "https://h:port", "https://"])
def test_a_token_service_is_an_address(wrong: str) -> None:
    assert "a token service is http://HOST:PORT" in faults(f"token_service: '{wrong}'")[0]
    text = site("token_service: 'https://auth.example/token?x', parents: [[http://p]]")
    config = parse(text, "f.yaml").config
    assert config.registries["a.b"].token_service == "https://auth.example"
