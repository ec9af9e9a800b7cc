"""Docker's and podman's files of logins, in all their spellings and damages."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.upstream.login.credentials import (
    Credentials,
    CredentialsInvalid,
    parse_answer,
    parse_document,
)
from registry_mesh.upstream.login.docker_config import HUB, scope_of, server

HUB_URL = "https://registry-1.docker.io"
DTPW = base64.b64encode(b"u:p").decode()
ME = Credentials("u", "p")


def parse_credentials(text: str, url: str, repository: str = "") -> Credentials:
    """What the text says for a repository of the registry at `url`. `CredentialsInvalid` where it says nothing, or what
    cannot be used."""
    document = parse_document(text)
    found = document.of(url, repository)
    if found is None:
        raise CredentialsInvalid("; ".join(document.docker.faults(url)) or document.docker.lacks(url))
    return found


def config(**auths: Any) -> str:
    return json.dumps({"auths": auths})


def found(key: str, url: str, repository: str = "") -> Credentials:
    return parse_credentials(config(**{key: {"auth": DTPW}}), url, repository)


@pytest.mark.parametrize(
    ("key", "url"),
    [
        (HUB, HUB_URL),
        ("https://index.docker.io/v1", HUB_URL),
        ("http://index.docker.io/v1/", HUB_URL),
        ("index.docker.io/v1/", HUB_URL),
        ("index.docker.io", HUB_URL),
        ("docker.io", HUB_URL),
        ("https://docker.io", HUB_URL),
        ("registry-1.docker.io", HUB_URL),
        ("registry-1.docker.io:443", HUB_URL),
        ("docker.io", "https://index.docker.io"),
        ("quay.io", "https://quay.io"),
        ("QUAY.io", "https://quay.io"),
        ("quay.io/", "https://quay.io"),
        ("quay.io/v1/", "https://quay.io"),
        ("quay.io/v2/", "https://quay.io"),
        ("quay.io/v2", "https://quay.io/"),
        ("quay.io:443", "https://quay.io"),
        ("quay.io", "https://quay.io:443"),
        ("https://quay.io", "https://quay.io"),
        ("https://quay.io/", "https://quay.io"),
        ("https://quay.io/v2/", "https://quay.io"),
        ("https://quay.io/any/path", "https://quay.io"),
        ("h.example:5000", "http://h.example:5000"),
        ("http://h.example:5000/v2/", "http://h.example:5000"),
        ("h.example:80", "http://h.example"),
        ("[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_a_host_in_all_its_spellings(key: str, url: str) -> None:
    assert found(key, url) == ME


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("quay.io", "https://ghcr.io"),
        ("h.example", "https://h.example:5000"),
        ("h.example:5000", "https://h.example"),
        ("h.example:443", "http://h.example"),
        ("evil-docker.io", HUB_URL),
        ("quay.io/team", "https://quay.io"),
        ("https://index.docker.io/v1/access-token", HUB_URL),
        ("https://index.docker.io/v1/refresh-token", HUB_URL),
        ("", "https://quay.io"),
    ],
)
def test_another_registry(key: str, url: str) -> None:
    with pytest.raises(CredentialsInvalid, match="no entry for"):
        found(key, url)


def test_the_longest_key_that_fits_wins() -> None:
    def entry(user: str) -> dict[str, str]:
        return {"username": user, "password": "p"}

    text = config(**{
        "quay.io": entry("all"), "quay.io/team": entry("team"), "quay.io/team/app": entry("app"),
        "docker.io/library/alpine": entry("alpine"), HUB: entry("hub"),
    })  # fmt: skip
    users = {
        ("https://quay.io", ""): "all", ("https://quay.io", "other/app"): "all", ("https://quay.io", "team"): "team",
        ("https://quay.io", "team/app"): "app", ("https://quay.io", "team/app/sub"): "app",
        ("https://quay.io", "team/application"): "team", ("https://quay.io", "teammate"): "all",
        (HUB_URL, "library/alpine"): "alpine", (HUB_URL, "library/debian"): "hub",
    }  # fmt: skip
    for (url, repository), user in users.items():
        assert parse_credentials(text, url, repository).username == user


def test_dockers_own_key_is_preferred_and_a_damaged_one_passed_over() -> None:
    other = {"username": "x", "password": "y"}
    assert parse_credentials(config(**{"docker.io": other, HUB: {"auth": DTPW}}), HUB_URL) == ME
    assert parse_credentials(config(**{"docker.io": {"auth": DTPW}, HUB: {"auth": "!!"}}), HUB_URL) == ME


@pytest.mark.parametrize(
    ("entry", "credentials"),
    [
        ({"auth": DTPW}, ME),
        ({"auth": DTPW, "username": "x", "password": "y"}, ME),
        ({"auth": "", "username": "u", "password": "p"}, ME),
        ({"auth": None, "username": "u", "password": "p"}, ME),
        ({"username": "u", "password": "p", "email": "e"}, ME),
        ({"auth": base64.b64encode(b"u:a:b").decode()}, Credentials("u", "a:b")),
        ({"auth": base64.b64encode(b"u:").decode()}, Credentials("u", "")),
        ({"auth": f" {DTPW}\n"}, ME),
        ({"auth": DTPW, "identitytoken": "T"}, Credentials("u", "p", "T")),
        ({"identitytoken": "T"}, Credentials("", "", "T")),
        ({"registrytoken": "R"}, Credentials("", "", "", "R")),
    ],
)
def test_entries(entry: object, credentials: Credentials) -> None:
    assert parse_credentials(config(**{"h.example": entry}), "https://h.example") == credentials


def test_bytes_that_are_no_utf_8_come_back_as_they_were() -> None:
    auth = base64.b64encode(b"u:\xff\xfe\xc3\xa9").decode()
    credentials = parse_credentials(config(**{"h.example": {"auth": auth}}), "https://h.example")
    assert credentials.basic == f"Basic {auth}"


DAMAGED = [
    {"auth": "abc"}, {"auth": 5}, {"auth": 0}, {"auth": False}, {"auth": None}, {"auth": ""}, {"auth": "!!"},
    {"auth": "é"}, {"auth": []}, {"auth": ["x"]}, {"auth": base64.b64encode(b"nocolon").decode()},
    {"auth": base64.b64encode(b":p").decode()}, {"password": "p"}, {"username": 5, "password": "p"},
    {"identitytoken": 5}, {"auth": "\ud800"}, 5, "text", [], None, True,
]  # fmt: skip


@pytest.mark.parametrize("entry", DAMAGED, ids=repr)
def test_a_damaged_entry_is_named_with_its_cure_and_hurts_no_other(entry: object) -> None:
    text = config(**{"h.example": entry, "good.example": {"auth": DTPW}})
    assert parse_credentials(text, "https://good.example") == ME
    with pytest.raises(CredentialsInvalid, match=r'auths\["h.example"\] .*log in again') as fault:
        parse_credentials(text, "https://h.example")
    assert "nocolon" not in str(fault.value)


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "word", ":p", "u:p\nmore", "{", "{]", '{"auths": 5}', '{"auths": ["x"]}', '{"username": "u"}',
        '{"username": 5, "password": "p"}', '{"username": "", "password": "p"}', "[]", "{}", "null",
        '{"password": "p"}', '{"a":' * 2000,
    ],
)  # fmt: skip
def test_what_is_no_login_at_all(text: str) -> None:
    with pytest.raises(CredentialsInvalid):
        parse_credentials(text, "https://h.example")


@pytest.mark.parametrize(
    "text", ["u:p", " u:p\n", '{"username": "u", "password": "p"}', '\ufeff{"Username": "u", "Secret": "p"}']
)
def test_one_login_for_every_parent(text: str) -> None:
    assert parse_credentials(text, "https://any.example", "any/thing") == ME


def test_what_is_said_of_a_file_without_an_entry() -> None:
    with pytest.raises(CredentialsInvalid) as fault:
        parse_credentials(config(**{"quay.io": {"auth": DTPW}}), HUB_URL)
    assert str(fault.value) == "there is no entry for https://index.docker.io/v1/; it has quay.io"
    with pytest.raises(CredentialsInvalid, match="no entry"):  # its login is with a helper
        parse_credentials(config(**{"h.example": {}}), "https://h.example")


def test_helpers_by_host_and_for_all() -> None:
    docker = parse_document(json.dumps({
        "credsStore": "secretservice",
        "credHelpers": {"1.dkr.ecr.eu-west-1.amazonaws.com": "ecr-login", "https://gcr.io": "gcloud", "x": 5},
    })).docker  # fmt: skip
    assert docker.helper("https://1.dkr.ecr.eu-west-1.amazonaws.com") == "ecr-login"
    assert docker.helper("https://gcr.io") == "gcloud"
    assert docker.helper("https://quay.io") == "secretservice"
    assert server(HUB_URL) == HUB
    assert server("https://quay.io") == "quay.io"
    assert server("http://h:5000") == "h:5000"
    assert (
        parse_document('{"auths": {}, "credsStore": "", "credHelpers": 5}').docker.helper("https://x") == ""
    )


@pytest.mark.parametrize(
    ("printed", "username", "credentials", "expires"),
    [
        ('{"ServerURL":"h","Username":"AWS","Secret":"s"}', "", Credentials("AWS", "s"), None),
        ('{"ServerURL":"h","Username":"<token>","Secret":"s"}', "", Credentials("", "", "s"), None),
        ('{"username":"u","password":"p","expires":2000}', "", ME, 2000.0),
        ('{"username":"u","password":"p","expires":"1970-01-01T00:33:20Z"}', "", ME, 2000.0),
        ('{"username":"u","password":"p","expires":"1970-01-01T01:33:20+01:00"}', "", ME, 2000.0),
        ('{"username":"u","password":"p","expires_in":60}', "", ME, 1060.0),
        ("u:p\n", "", ME, None),
        ("s3cret\n", "AWS", Credentials("AWS", "s3cret"), None),
    ],
)
def test_what_commands_print(
    printed: str, username: str, credentials: Credentials, expires: float | None
) -> None:
    login = parse_answer(printed, username, now=1000.0).single
    assert login == credentials
    assert login is not None and login.expires == expires


@pytest.mark.parametrize(
    ("printed", "username"),
    [
        ("", ""), ("", "AWS"), ("a\nb", "AWS"), ("{}", ""), ('{"username":"u","password":"p","expires":"soon"}', ""),
        ('{"username":"u","password":"p","expires":[]}', ""), ('{"username":"u","password":"p","expires_in":"x"}', ""),
    ],
)  # fmt: skip
def test_what_commands_had_better_not_print(printed: str, username: str) -> None:
    with pytest.raises(CredentialsInvalid):
        parse_answer(printed, username, now=0.0).of("https://h.example") or parse_credentials(
            printed, "https://h"
        )


def test_nothing_secret_shows_itself() -> None:
    text = config(**{"h.example": {"auth": DTPW, "identitytoken": "hunter2", "registrytoken": "hunter3"}})
    shown = repr(parse_document(text)) + repr(parse_credentials(text, "https://h.example"))
    assert "hunter" not in shown and "'p'" not in shown


@given(st.text(max_size=200))
def test_any_text_is_a_login_or_one_fault(text: str) -> None:
    try:
        assert parse_credentials(text, "https://h.example").basic
    except CredentialsInvalid as fault:
        assert str(fault)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["auth", "username", "password", "identitytoken", "h.example", "x/a"]), inner),
    max_leaves=10,
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(["auths", "credHelpers", "credsStore", "username", "HttpHeaders"]), _JSON)
)
def test_any_json_is_a_login_or_one_fault(document: dict[str, Any]) -> None:
    try:
        parse_credentials(json.dumps(document), "https://h.example", "a/b")
    except CredentialsInvalid as fault:
        assert str(fault)


@given(st.text(max_size=40))
def test_a_scope_is_its_own_scope(key: str) -> None:
    assert scope_of(scope_of(key)) == scope_of(key) or "://" in scope_of(key) or not scope_of(key).strip()
