"""Whole configurations: what they become, and what is said of broken ones."""

import json
import textwrap
from pathlib import Path

import jsonschema
import pytest

from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import load, parse
from registry_mesh.config.scalars import SecretReference
from registry_mesh.config.schema import Config, json_schema
from tests.environment import environment

CONFIG = Path(__file__).parents[2] / "config"
SITE = """\
role: site
name: ch-zurich-1
listen: {address: 127.0.0.1, port: 5000}
admin:  {address: 127.0.0.1, port: 5001}
workers: 2
store:
  disk: {path: var/site, quota: 500GiB}
registries:
  registry.cern.example:
    default: true
    parents:
      - [http://127.0.0.1:5101, http://127.0.0.1:5102/]
      - [http://127.0.0.1:5201]
  docker.io:
    parents: [[https://registry-1.docker.io]]
    tags: {ttl: 10m, stale_if_error: 7d, negative_ttl: 30s}
    credentials: env:HUB
    readers: everybody
access: {anonymous: pull}
"""


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as invalid:
        parse(textwrap.dedent(text), "f.yaml")
    return [str(finding) for finding in invalid.value.findings]


def test_a_site_becomes_values() -> None:
    with environment(HUB="user:word"):
        loaded = parse(SITE, "f.yaml")
    config = loaded.config
    assert not loaded.warnings
    assert (config.role, config.name, config.workers, config.drain) == ("site", "ch-zurich-1", 2, 30.0)
    assert config.store.disk is not None
    assert config.store.disk.quota == 500 << 30
    cern, hub = config.registries["registry.cern.example"], config.registries["docker.io"]
    assert cern.default
    assert cern.parents == (("http://127.0.0.1:5101", "http://127.0.0.1:5102"), ("http://127.0.0.1:5201",))
    assert (hub.tags.ttl, hub.tags.stale_if_error, hub.tags.negative_ttl) == (600, 604800, 30)
    assert hub.credentials == SecretReference("env", "HUB")
    with pytest.raises(ValueError, match="frozen"):
        config.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_valid(path: Path) -> None:
    assert load(path).warnings == ()


def test_the_published_schema_is_the_models() -> None:
    published = json.loads((CONFIG / "schema" / "registry-mesh.json").read_text())
    assert published == json_schema(), "run: make docs"


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_fits_the_published_schema(path: Path) -> None:
    from registry_mesh.config.document import read_document

    jsonschema.validate(read_document(path.read_text(), path.name).value, json_schema())


def test_all_faults_are_reported_together_in_the_files_order() -> None:
    found = faults("""\
        role: site
        name: 1.10
        listen: {prot: 5000, port: "5000"}
        workers: many
        drain: 30
        store: {disk: {path: var/site, quota: 500 Gigs}}
        registries:
          docker.io:
            default: yes
            parents: [[https://u:hunter2@hub.example, ftp://x, "http://a/?v2"]]
            credentials: hunter2
            tags: {ttl: 10 minutes}
          other.example: {}
        name: again
        """)
    assert [fault.split(": ")[0] for fault in found] == [
        "f.yaml:2:7", "f.yaml:3:10", "f.yaml:3:28", "f.yaml:4:10", "f.yaml:5:8", "f.yaml:6:39", "f.yaml:9:14",
        "f.yaml:10:16", "f.yaml:10:47", "f.yaml:10:56", "f.yaml:11:18", "f.yaml:11:18", "f.yaml:12:17", "f.yaml:13:3",
        "f.yaml:14:1",
    ]  # fmt: skip
    assert found[0].endswith('name: wants a text, and 1.10 is a number; put it in quotes: "1.10"')
    assert found[1].endswith("listen.prot: unknown key; did you mean port?")
    assert found[2].endswith("wants a whole number, not a text; without quotes: 5000")
    assert found[4].endswith('write "30s"')
    assert found[6].endswith("write true")
    assert found[13].endswith("no parent to fetch from; add parents: [[https://HOST]]")
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("role: origin\n", "store is missing"),
        ("store: {disk: {path: x}}\n", "role is missing"),
        ("role: site\nstore: {disk: {path: x}}\n", "a site needs registries"),
        (
            "role: replica\nstore: {disk: {path: x}}\nregistries: {a.b: {parents: [[http://x]]}}\n",
            "a replica needs rules",
        ),
        ("role: origin\nstore: {disk: {path: x}}\nrules: r\n", "what rules bring needs a registry to be in"),
        ("role: origin\nstore: {disk: {path: x}, s3: {bucket: b}}\n", "exclude each other"),
        ("role: origin\nstore: {}\n", "neither disk nor s3"),
        ("role: site\nstore: {s3: {bucket: b}}\n", "a site on a bucket needs a spool"),
        ("role: origin\nstore:\n", "wants a mapping (key: value), not nothing"),
        ("role: origin\nstore: {disk: {path: x, quota: 0}}\n", "0 is not more than 0"),
        ("role: origin\nstore: {disk: {path: x}}\nadmin: {port: 5000}\n", "both want port 5000"),
        (
            "role: origin\nstore: {disk: {path: x}}\nlisten: {address: 0.0.0.0, port: 5001}\n",
            "both want port 5001",
        ),
        ("role: origin\nstore: {disk: {path: x}}\nlisten: {port: 70000}\n", "65535"),
        ("role: origin\nstore: {disk: {path: x}}\nworkers: 0\n", "0 is less than 1"),
        ("- a\n", "a configuration is a mapping"),
        ("", "a configuration is a mapping"),
        ("role: origin\nstore: {disk: {path: x}}\nregistry: not a host\n", "HOST or HOST:PORT"),
    ],
)
def test_what_keys_need_of_each_other(text: str, words: str) -> None:
    assert any(words in fault for fault in faults(text)), faults(text)


def test_one_default_registry_and_each_parent_once() -> None:
    found = faults("""\
        role: site
        store: {disk: {path: x}}
        registries:
          a.example: {default: true, parents: [[http://p:1], [http://P:1/]]}
          b.example: {default: true, parents: [[http://p:1]]}
        """)
    assert "http://P:1/ stands twice" in found[0]
    assert "a second default registry: a.example on line 4 is one" in found[1]
    assert len(found) == 2


def test_a_credentials_file_must_not_be_open_to_all(tmp_path: Path) -> None:
    secret = tmp_path / "hub.json"
    registry = f"{{readers: users, credentials: 'file:{secret}', parents: [[http://p]]}}"
    text = f"role: site\nstore: {{disk: {{path: x}}}}\nregistries: {{a.b: {registry}}}\n"
    assert "No such file" in str(parse(text, "f.yaml").lacks[0])
    secret.write_text("u:p")
    secret.chmod(0o644)
    assert "open to everybody" in faults(text)[0]
    secret.chmod(0o640)
    assert parse(text, "f.yaml").warnings == ()


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="No such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigInvalid, match="Is a directory"):
        load(tmp_path)


def test_defaults() -> None:
    config = parse("role: origin\nstore: {disk: {path: x}}\n", "f").config
    assert isinstance(config, Config)
    assert (config.listen.address, config.listen.port, config.admin.port) == ("127.0.0.1", 5000, 5001)
    assert config.access.anonymous == "pull"
    assert config.workers >= 1


@pytest.mark.parametrize("key", ["rate", "per_day"])
@pytest.mark.parametrize("none", ["0", "0B"])
def test_a_scrub_may_read_nothing(key: str, none: str) -> None:
    text = f"role: origin\nstore: {{disk: {{path: x}}}}\nscrub: {{{key}: {none}}}\n"
    assert getattr(parse(text, "f.yaml").config.scrub, key) == 0


def test_two_registries_by_one_name() -> None:
    found = faults("""\
        role: site
        store: {disk: {path: x}}
        registries:
          docker.io: {parents: [[http://p:1]]}
          index.docker.io: {parents: [[http://p:1]]}
          quay.io: {parents: [[http://p:1]], aliases: [mirror.example, "docker.io:443"]}
        """)
    assert any("index.docker.io is a name of docker.io on line 4" in each for each in found), found
    assert any("docker.io:443 is a name of docker.io on line 4" in each for each in found), found
