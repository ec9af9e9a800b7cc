"""Names of registries, and of repositories as their registry has them."""

from __future__ import annotations

import pytest

from registry_mesh.oci.reference import RegistryName, RepositoryName, full_name, parse_registry
from registry_mesh.oci.refusals import NameUnknown
from registry_mesh.oci.registries import RegistryNames


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("docker.io", "docker.io"),
        ("DOCKER.IO", "docker.io"),
        ("docker.io.", "docker.io"),
        ("docker.io.:443", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("Index.Docker.io:443", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("registry.hub.docker.com", "docker.io"),
        ("quay.io:443", "quay.io"),
        ("quay.io:5443", "quay.io:5443"),
        ("quay.io:80", "quay.io:80"),
        ("[2001:db8::1]:443", "[2001:db8::1]"),
        ("[2001:db8::443]", "[2001:db8::443]"),
        ("localhost:5000", "localhost:5000"),
        ("registry.example_5443", "registry.example:5443"),
        ("quay.io_443", "quay.io"),
    ],
)
def test_spellings_of_one_registry_are_one_name(text: str, name: str) -> None:
    assert parse_registry(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ":443",
        "docker.io..",
        "docker.io:",
        "a b",
        "docker.io/x",
        "-a",
        "a__5",
        "a_b",
        "a_5:6",
        "a_123456",
        "_5",
        "a.b:0",
        "a.b:65536",
        "a.b:443:443",
        "a.b:5:443",
        "a.b:443.",
        "a.b:443_443",
        "[::1]:443:443",
        "a.b_99999",
        "[::1::2]:5000",
        "[:]",
        "[::1]:99999",
    ],
)
def test_what_names_no_registry_is_unknown(text: str) -> None:
    with pytest.raises(NameUnknown):
        parse_registry(text)


@pytest.mark.parametrize(
    ("registry", "name", "whole"),
    [
        ("docker.io", "alpine", "library/alpine"),
        ("docker.io", "library/alpine", "library/alpine"),
        ("docker.io", "team/app", "team/app"),
        ("quay.io", "alpine", "alpine"),
    ],
)
def test_docker_hub_keeps_short_names_in_its_library(registry: str, name: str, whole: str) -> None:
    assert full_name(registry, RepositoryName(name)) == whole


def test_a_registry_is_found_by_each_of_its_names() -> None:
    quay, hub = RegistryName("quay.io"), RegistryName("docker.io")
    names = RegistryNames([hub, quay], {RegistryName("mirror.example:5000"): quay})
    assert [names.find(text) for text in ("QUAY.IO:443", "mirror.example:5000", "index.docker.io")] == [
        quay,
        quay,
        hub,
    ]
    assert names.find("elsewhere.example") is None
    assert "no host" not in names
    assert set(names) == {hub, quay}
