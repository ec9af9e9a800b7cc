"""Who may be asked for a token on a parent's word, and who may be told its credentials."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.auth.realms import may_ask, may_tell

TOLD = [
    ("https://auth.docker.io/token", "https://registry-1.docker.io"),
    ("https://quay.io/v2/auth", "https://quay.io"),
    ("https://ghcr.io/token", "https://ghcr.io"),
    ("https://team.azurecr.io/oauth2/token", "https://team.azurecr.io"),
    ("https://europe-docker.pkg.dev/v2/token", "https://europe-docker.pkg.dev"),
    ("https://gitlab.com/jwt/auth", "https://registry.gitlab.com"),
    ("https://gitlab.example.com/jwt/auth", "https://gitlab.example.com:5050"),
    ("https://gitlab.example.com/jwt/auth", "https://registry.gitlab.example.com"),
    ("https://gitlab.example.com/jwt/auth", "https://registry.example.com"),
    ("https://gitlab.cern.ch/jwt/auth", "https://gitlab-registry.cern.ch"),
    ("https://auth.example.co.uk/token", "https://registry.example.co.uk"),
    ("https://auth.registry.example.co.uk/token", "https://registry.example.co.uk"),
    ("https://api.digitalocean.com/v2/registry/auth", "https://registry.digitalocean.com"),
    ("http://127.0.0.1:5000/token", "http://127.0.0.1:5000"),
    ("https://harbor.example/service/token", "https://harbor.example"),
]

NOT_TOLD = [
    ("https://evil.co.uk/token", "https://registry.example.co.uk"),
    ("https://co.uk/token", "https://registry.example.co.uk"),
    ("https://evil.co.uk/token", "https://example.co.uk"),
    ("https://evil.com.au/token", "https://example.com.au"),
    ("https://evil.ac.uk/token", "https://cern.ac.uk"),
    ("https://evil.azurecr.io/oauth2/token", "https://team.azurecr.io"),
    ("https://evil.github.io/token", "https://team.github.io"),
    ("https://evil.s3.amazonaws.com/token", "https://1.dkr.ecr.eu-west-1.amazonaws.com"),
    ("https://evil.jfrog.io/token", "https://team.jfrog.io"),
    ("https://evil.example.com/token", "https://registry.team.example.com"),
    ("https://ghcr.io/token", "https://quay.io"),
    ("https://evil.io/token", "https://quay.io"),
    ("https://xdocker.io/token", "https://registry-1.docker.io"),
    ("https://evil.docker.io/token", "https://registry-1.docker.io"),
    ("https://auth.docker.io:8443/token", "https://registry-1.docker.io"),
    ("http://auth.docker.io/token", "https://registry-1.docker.io"),
    ("https://auth.docker.io.evil.example/token", "https://registry-1.docker.io"),
    ("https://auth.docker.io@evil.example/token", "https://registry-1.docker.io"),
    ("https://gitlab.example.com:8443/jwt/auth", "https://gitlab.example.com:5050"),
    ("http://gitlab.example.com/jwt/auth", "http://registry.example.com"),
    ("http://registry.example.com:81/token", "http://registry.example.com"),
    ("https://registry.example.com/token", "http://registry.example.com"),
    ("https://com/token", "https://example.com"),
    ("https://10.0.0.1/token", "https://10.0.0.2"),
    ("https://registry.example.com./token@evil.example", "http://registry.example.com"),
]


@pytest.mark.parametrize(("realm", "parent"), TOLD)
def test_known_registries_need_no_configuration(realm: str, parent: str) -> None:
    assert may_tell(realm, parent)


@pytest.mark.parametrize(("realm", "parent"), NOT_TOLD)
def test_strangers_are_not_told(realm: str, parent: str) -> None:
    assert not may_tell(realm, parent)


def test_what_is_configured_is_told_and_nothing_else() -> None:
    parent, service = "https://registry.example.com", "https://login.other.example"
    assert may_tell(f"{service}/token", parent, service)
    assert may_tell("https://registry.example.com/token", parent, service)
    assert not may_tell("https://auth.example.com/token", parent, service)
    assert not may_tell("http://login.other.example/token", parent, service)
    assert not may_tell("https://login.other.example:444/token", parent, service)
    inner = "http://127.0.0.1:9/"
    assert may_tell("http://127.0.0.1:9/token", "http://127.0.0.1:8", inner)
    assert may_tell("http://127.0.0.1:9/token", parent, inner)  # on the word of the configuration


@pytest.mark.parametrize(
    "realm",
    [
        "http://169.254.169.254/latest", "http://localhost/t", "https://127.1/t", "https://[::1]/t",
        "https://metadata/t",
        "https://metadata.google.internal/t", "http://auth.example.com/t", "file:///etc/passwd", "ftp://a.example/t",
        "",
        "https://u:p@auth.example.com/t", "https:///t", "//auth.example.com/t", "/token", "https://h:port/t", "https://[/t",
    ],
)  # fmt: skip
def test_realms_that_are_not_asked(realm: str) -> None:
    assert not may_ask(realm, "https://registry.example.com")
    assert not may_tell(realm, "https://registry.example.com")


def test_any_public_service_may_be_asked_for_an_anonymous_token() -> None:
    assert may_ask("https://login.other.example/t", "https://registry.example.com")
    assert may_ask("https://login.other.example:8443/t", "http://registry.example.com")
    assert may_ask("http://login.other.example/t", "http://registry.example.com")


def test_an_inner_parent_may_name_its_neighbours_by_name() -> None:
    assert may_ask("http://auth:5001/token", "http://registry:5000")
    assert may_ask("http://auth.lan/token", "http://10.0.0.5:5000")
    assert not may_ask("http://127.0.0.1:5001/token", "http://127.0.0.1:5000")
    assert not may_ask("http://169.254.169.254/token", "http://registry:5000")
    assert not may_tell("http://auth:5001/token", "http://registry:5000")


_LABEL = st.sampled_from(
    [
        "a",
        "auth",
        "registry",
        "example",
        "com",
        "co",
        "uk",
        "io",
        "docker",
        "azurecr",
        "127",
        "1",
        "localhost",
    ]
)
_URL = st.builds(
    "{}://{}{}/t".format, st.sampled_from(["http", "https", "ftp"]),
    st.lists(_LABEL, min_size=1, max_size=5).map(".".join), st.sampled_from(["", ":443", ":80", ":5000"]),
)  # fmt: skip


@given(_URL, _URL, st.one_of(st.just(""), _URL))
def test_who_is_told_may_be_asked_and_never_over_plain_http_elsewhere(
    realm: str, parent: str, service: str
) -> None:
    if may_tell(realm, parent, service):
        assert may_ask(realm, parent, service)
        here, there = parent.split("/")[2].split(":")[0], realm.split("/")[2].split(":")[0]
        assert realm.startswith("https://") or here == there or service
