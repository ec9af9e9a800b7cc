"""Files for clients: right for a fresh machine, gentle with what is there, gone without a trace."""

import json
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.cli.clients import containerd
from registry_mesh.cli.clients.edit import EditRefused
from registry_mesh.cli.clients.mirror import Mirror
from registry_mesh.cli.main import main

SITE = "http://cache.example:5000"
FOREIGN_HOSTS = """\
# by hand
server = "https://registry-1.docker.io"

[host."https://other.example"]
  capabilities = ["pull"]
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["client-config", *map(str, arguments)])


def test_containerd_gets_a_directory_for_each_registry(tmp_path: Path) -> None:
    result = run("containerd", SITE, "docker.io", "registry.example:5443", "--every", "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "_default",
        "docker.io",
        "registry.example_5443_",
    ]
    hub = tomllib.loads((tmp_path / "docker.io" / "hosts.toml").read_text())
    assert hub["server"] == "https://registry-1.docker.io"
    assert hub["host"] == {SITE: {"capabilities": ["pull", "resolve"], "dial_timeout": "3s"}}
    port = tomllib.loads((tmp_path / "registry.example_5443_" / "hosts.toml").read_text())
    assert port["server"] == "https://registry.example:5443"
    assert "server" not in tomllib.loads((tmp_path / "_default" / "hosts.toml").read_text())
    assert "config_path" in result.stderr


def test_containerd_without_a_way_round_the_site(tmp_path: Path) -> None:
    run("containerd", SITE, "docker.io", "--fallback", "none", "--output", tmp_path, "--ca", "/etc/ca.pem")
    hub = tomllib.loads((tmp_path / "docker.io" / "hosts.toml").read_text())
    assert hub["server"] == SITE
    assert hub["host"][SITE]["ca"] == "/etc/ca.pem"


@pytest.mark.parametrize("fallback", ["direct", "none"])
def test_foreign_hosts_stay_after_ours_and_come_back_byte_for_byte(tmp_path: Path, fallback: str) -> None:
    path = tmp_path / "docker.io" / "hosts.toml"
    path.parent.mkdir()
    path.write_text(FOREIGN_HOSTS)
    path.chmod(0o600)
    for _ in range(2):
        run("containerd", SITE, "docker.io", "--fallback", fallback, "--output", tmp_path)
        written = tomllib.loads(path.read_text())
        assert list(written["host"]) == [SITE, "https://other.example"]
        assert written["server"] == (SITE if fallback == "none" else "https://registry-1.docker.io")
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "docker.io" / "hosts.toml.before-registry-mesh").read_text() == FOREIGN_HOSTS
    run("containerd", SITE, "docker.io", "--output", tmp_path, "--remove")
    assert path.read_text() == FOREIGN_HOSTS
    assert [each.name for each in path.parent.iterdir()] == ["hosts.toml"]


def test_what_was_only_ours_leaves_nothing_behind(tmp_path: Path) -> None:
    for client in ("containerd", "podman", "docker", "k3s"):
        run(client, SITE, "docker.io", "--output", tmp_path / client)
        assert [path for path in (tmp_path / client).rglob("*") if path.is_file()]
        result = run(client, SITE, "docker.io", "--output", tmp_path / client, "--remove")
        assert result.exit_code == 0
        assert not list((tmp_path / client).rglob("*")), client


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    for client in ("containerd", "podman", "docker", "k3s"):
        run(client, SITE, "docker.io", "--output", tmp_path)
        assert "nothing to change" in run(client, SITE, "docker.io", "--output", tmp_path).stdout


def test_podman_names_the_registry_in_the_path(tmp_path: Path) -> None:
    run("podman", SITE, "docker.io", "--output", tmp_path)
    written = tomllib.loads((tmp_path / "50-registry-mesh.conf").read_text())
    assert written["registry"] == [
        {
            "prefix": "docker.io",
            "location": "docker.io",
            "mirror": [{"location": "cache.example:5000/docker.io", "insecure": True}],
        }
    ]
    run("podman", SITE, "registry.example:5443", "--output", tmp_path)
    (with_port,) = tomllib.loads((tmp_path / "50-registry-mesh.conf").read_text())["registry"]
    assert with_port["prefix"] == with_port["location"] == "registry.example:5443"
    assert with_port["mirror"][0]["location"] == "cache.example:5000/registry.example_5443", (
        "no colon in a path"
    )
    run("podman", "https://c.example", "docker.io", "--fallback", "none", "--output", tmp_path)
    written = tomllib.loads((tmp_path / "50-registry-mesh.conf").read_text())
    assert written["registry"] == [{"prefix": "docker.io", "location": "c.example/docker.io"}]


def test_docker_keeps_foreign_keys(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    foreign = {"log-driver": "journald", "registry-mirrors": ["https://old.example"], "debug": True}
    path.write_text(json.dumps(foreign))
    result = run("docker", SITE, "docker.io", "quay.io", "--output", tmp_path)
    written = json.loads(path.read_text())
    assert written["registry-mirrors"] == [SITE, "https://old.example"]
    assert written["insecure-registries"] == ["cache.example:5000"]
    assert written["log-driver"] == "journald"
    assert "will not pull through the site: quay.io" in result.stderr
    run("docker", SITE, "docker.io", "--output", tmp_path, "--remove")
    assert json.loads(path.read_text()) == foreign


def test_k3s_keeps_foreign_mirrors(tmp_path: Path) -> None:
    path = tmp_path / "registries.yaml"
    foreign = {
        "mirrors": {"docker.io": {"endpoint": ["https://old"]}, "x.example": {"endpoint": ["https://x"]}}
    }
    path.write_text(yaml.safe_dump(foreign))
    run("k3s", SITE, "docker.io", "--every", "--ca", "/ca.pem", "--output", tmp_path)
    written = yaml.safe_load(path.read_text())
    assert written["mirrors"]["docker.io"]["endpoint"] == [SITE, "https://old"]
    assert written["mirrors"]["*"]["endpoint"] == [SITE]
    assert written["mirrors"]["x.example"] == {"endpoint": ["https://x"]}
    assert written["configs"] == {"cache.example:5000": {"tls": {"ca_file": "/ca.pem"}}}
    run("k3s", SITE, "docker.io", "--output", tmp_path, "--remove")
    assert yaml.safe_load(path.read_text()) == foreign


@pytest.mark.parametrize(
    ("client", "name", "text"),
    [
        ("docker", "daemon.json", "{broken"),
        ("docker", "daemon.json", '{"registry-mirrors": "x"}'),
        ("k3s", "registries.yaml", "mirrors: [1]"),
        ("k3s", "registries.yaml", "a: 1\na: 2\n"),
        ("containerd", "docker.io/hosts.toml", "server = \n"),
        ("podman", "50-registry-mesh.conf", "[[registry]]\n"),
    ],
)
def test_a_file_that_cannot_be_merged_is_left_alone(
    tmp_path: Path, client: str, name: str, text: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    result = run(client, SITE, "docker.io", "--output", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert path.read_text() == text


def test_from_a_configuration_file(tmp_path: Path) -> None:
    config = tmp_path / "site.yaml"
    config.write_text(
        "role: site\nstore: {disk: {path: x}}\nlisten: {address: 0.0.0.0, port: 5005}\nname: cache-1\n"
        "registries: {docker.io: {parents: [[https://registry-1.docker.io]]}}\n"
    )
    result = run("containerd", config)
    assert '[host."http://cache-1:5005"]' in result.stdout
    assert "listens on all addresses" in result.stderr
    assert '[host."https://c.example"]' in run("containerd", config, "--url", "https://c.example/").stdout


def test_wrong_usage_is_exit_2(tmp_path: Path) -> None:
    assert run("containerd", SITE).exit_code == 2
    assert run("containerd", SITE, "not a host").exit_code == 2
    assert run("containerd", tmp_path / "none.yaml").exit_code == 2
    assert run("rkt", SITE, "docker.io").exit_code == 2
    assert run("containerd", SITE, "docker.io", "--remove").exit_code == 2


def test_docker_on_standard_output_is_json() -> None:
    assert json.loads(run("docker", SITE, "docker.io").stdout)["registry-mirrors"] == [SITE]


_LINES = st.lists(
    st.sampled_from(
        [
            'server = "https://s"',
            "# remark",
            "",
            '[host."https://o"]',
            '  capabilities = ["pull"]',
            '  ca = "/x"',
        ]
    ),
    max_size=8,
)


@given(_LINES, st.sampled_from(["direct", "none"]))
def test_any_hosts_toml_comes_back_as_it_was_or_is_refused(lines: list[str], fallback: str) -> None:
    (edit,) = containerd.edits(Mirror(SITE, ("docker.io",), fallback))  # type: ignore[arg-type]
    before = "".join(line + "\n" for line in lines)
    try:
        after = edit.apply(before)
    except EditRefused:
        return
    assert edit.revert(after) == before
    assert edit.apply(after) == after
    assert next(iter(tomllib.loads(after)["host"])) == SITE


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://cache site:5000", "is no address"),
        ("http://cache:99999", "is no address"),
        ("http://cache:0", "is no address"),
        ("https://", "is no address"),
        ("http://u:p@cache", "is no address"),
    ],
)
def test_an_address_that_nobody_could_reach_is_refused(url: str, words: str) -> None:
    result = run("containerd", url, "docker.io")
    assert result.exit_code == 2
    assert words in result.stderr


def test_two_folders_at_once_are_refused(tmp_path: Path) -> None:
    result = run("containerd", SITE, "docker.io", "--install", "--output", tmp_path)
    assert result.exit_code == 2
    assert "exclude each other" in result.stderr
    assert not list(tmp_path.iterdir())
