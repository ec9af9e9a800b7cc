"""Slips that people make in a configuration, and the sentence that each is answered with."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import load, parse

SITE = "role: site\nstore: {disk: {path: x}}\nregistries: {a.b: {parents: [[http://p]]}}\n"

ORIGIN = "role: origin\nstore: {disk: {path: x}}\n"


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as invalid:
        parse(textwrap.dedent(text), "f.yaml").fit()
    return [str(finding) for finding in invalid.value.findings]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "role: site\nstore: {disk: {path: x}}\nregistries: {a.b: {parents: [[http://127.0.0.1:5000]]}}\n",
            "f.yaml:3:31: registries.a.b.parents[0][0]: http://127.0.0.1:5000 is this node itself",
        ),
        (
            "role: site\nstore: {disk: {path: x}}\nlisten: {address: '::', port: 80}\n"
            "registries: {a.b: {parents: [[http://localhost]]}}\n",
            "http://localhost is this node itself",
        ),
        (
            "role: sit\nstore: {disk: {path: x}}\n",
            '"sit" is none of origin, replica, site; did you mean site?',
        ),
        ("role: 7\nstore: {disk: {path: x}}\n", "7 is none of origin, replica, site"),
        (
            SITE.replace("parents", "prices: {pp: 0.08 CHF/GB}, parents"),
            "registries.a.b.prices.pp: pp is no parent of a.b; did you mean p?",
        ),
        (
            SITE.replace("parents", "prices: {p: 0.08 francs}, parents"),
            'a price is written like "0.08 CHF/GB"',
        ),
        (
            SITE.replace("parents", "trust: root.json, parents"),
            "trust: signed catalogs are not checked by this version; leave it out",
        ),
        (SITE.replace("path: x", "path: x, quota: 10gib"), 'write "10GiB": units are case-sensitive'),
        (SITE.replace("path: x", "path: x, quota: 5m"), 'write "5M": units are case-sensitive'),
        (SITE.replace("path: x", "path: ~/cache"), "only a shell knows what ~ is; write the whole path"),
        (SITE + "log: {access: ~/access.log}\n", "only a shell knows what ~ is"),
        (
            SITE.replace("parents", "credentials: 'file:~/hub.json', parents"),
            "only a shell knows what ~ is",
        ),
        (SITE + "pushes: {sparse: true}\n", "pushes: a site has no pushes; leave it out: only an origin"),
        (SITE + "collection: {interval: 1h}\n", "collection: a site has no collection"),
        (SITE + "replication: {interval: 1h}\n", "replication: replication without rules"),
        (
            "role: origin\nstore: {disk: {path: x}}\npushes: {quotas: {'atlas/**': 1GiB}}\n",
            "a project is a repository's name, or the first components of several: atlas, atlas/prod",
        ),
        (
            "role: origin\nstore: {disk: {path: x}}\npushes: {quotas: {atlas: lots}}\n",
            'pushes.quotas.atlas: "lots": a size is written like "500GiB"',
        ),
        (
            "role: origin\nstore: {disk: {path: x}}\nretention: {rules: tests}\n",
            "retention.rules: rules are about a registry by its name; add registry: HOST",
        ),
        (
            "role: origin\nstore: {disk: {path: x}}\nretention: {interval: 1h}\n",
            "retention.interval: interval without rules; add rules: DIRECTORY",
        ),
        (
            "role: origin\nregistry: a.b\nstore: {disk: {path: x}}\nretention: {rules: nowhere}\n",
            "retention.rules: nowhere: there is no such folder",
        ),
        (SITE + "retention: {rules: x}\n", "a site has no retention"),
        (ORIGIN + "webhooks: {receivers: {ci: {url: http://h/x, secret: env:NONE}}}\n", "add queue: FILE"),
        (
            ORIGIN + "webhooks: {queue: q, receivers: {ci: {url: http://h/x, secret: env:NO_SUCH}}}\n",
            "webhooks.receivers.ci.secret: NO_SUCH is not in this environment; make one: echo whsec_",
        ),
        (
            ORIGIN + "webhooks: {queue: q, receivers: {ci: {url: http://h/x, secret: hunter2}}}\n",
            'a secret is named, never written: "file:/path" or "env:NAME"',
        ),
        (
            ORIGIN + "webhooks: {queue: q, receivers: {ci: {url: 'http://u:p@h/', secret: env:HOME}}}\n",
            "a receiver's address carries no user or password: events are signed",
        ),
        (SITE.replace("http://p", "http://p/a b"), "an address has no spaces"),
        (
            ORIGIN + "webhooks: {queue: q, receivers: {ci: {url: ftp://h/, secret: env:HOME}}}\n",
            "a receiver is http://HOST[:PORT]/PATH",
        ),
        (
            ORIGIN
            + "webhooks: {queue: q, receivers: {ci: {url: http://h, secret: env:HOME, repositories: ['!a']}}}\n",
            "only excludes, so it selects nothing",
        ),
        (
            ORIGIN
            + "webhooks: {queue: q, receivers: {ci: {url: http://h, secret: env:HOME, repositories: [A]}}}\n",
            "'A' stands in none of the names this can match",
        ),
        (SITE + "webhooks: {queue: q}\n", "a site has no webhooks"),
        ("role: origin\nstore: {disk: {path: x}}\nscrub: {children: [http://c:1]}\n", "add registry: HOST"),
        (
            "role: origin\nstore: {disk: {path: x}}\nreplication: {interval: 1h}\n",
            "replication without rules",
        ),
        (
            SITE + 'name: "bad\\nname"\n',
            'name: "bad\\nname": a line break or another control character stands in it',
        ),
        (SITE + "name: Zürich\n", "a name is of ASCII letters"),
        (SITE.replace("path: x", 'path: "x\\n"'), "a line break or another control character"),
        (
            SITE.replace("parents", "credentials: 'env:NO_SUCH_VARIABLE', parents"),
            "credentials: NO_SUCH_VARIABLE is not in this environment; mend it, or leave credentials out",
        ),
        (
            SITE.replace("parents", "credentials: 'file:/no/such/file', parents"),
            "credentials: /no/such/file: No such file or directory",
        ),
        (
            SITE + "name: c\nsiblings: {nodes: {a: 'http://a:1', b: 'http://b:1'}}\n",
            "f.yaml:5:19: siblings.nodes: this server, called c, is not one of a, b; add it with its address",
        ),
        (
            SITE + "siblings: {nodes: {no-such-host: 'http://a:1'}}\n",
            " as its host is, is not one of no-such-host; set name: to what it is called there",
        ),
        (
            SITE + "name: a\nsiblings: {nodes: {a: 'http://a:1', b: 'http://A:1/'}}\n",
            "siblings.nodes.b: http://A:1/ is the address of a as well; give each server its own",
        ),
        (
            SITE.replace("http://p", "http://p], ['http://B:1/'")
            + "name: a\nsiblings: {nodes: {a: 'http://a:1', b: 'http://b:1'}}\n",
            "parents[1][0]: http://B:1/ is the address of b, a server of this site; "
            "leave it out: servers of a site find each other by siblings",
        ),
        (
            SITE + "name: a\nsiblings: {nodes: {a: 'http://a:1'}, key: /k}\n",
            "siblings.key: key without certificate; add certificate: FILE",
        ),
        (
            SITE + "name: a\nsiblings: {nodes: {a: 'http://a:1'}, ca: /no/such/file}\n",
            "siblings.ca: /no/such/file: No such file or directory",
        ),
        (SITE.replace("[[http://p]]", "[http://p]"), "wants a list, not a text; write [[http://p]]"),
        (SITE.replace("[[http://p]]", "http://p"), "wants a list, not a text; write [[http://p]]"),
        (SITE.replace("parents", "aliases: c.d, parents"), "wants a list, not a text; write [c.d]"),
        (SITE + "workers: four\n", "wants a whole number, not a text; a number, or auto: one a core"),
        (SITE + "workers: 1000\n", "workers: 1000 is more than 256"),
        (SITE + "listen: {port: 99999}\n", "listen.port: 99999 is more than 65535"),
        (
            "role: origin\nstore: {disk: {path: x}}\npushes: {grace: 30m}\n",
            'pushes.grace: "30m" is less than 1h',
        ),
        (
            "role: origin\nstore: {disk: {path: x}}\npushes: {manifest_limit: 1GiB}\n",
            "is more than 64 MiB",
        ),
        (SITE + "include: more.yaml\n", "include: files are not included; write all into this one"),
        (SITE.replace("path: x", 'path: "${HOME}/cache"'), "${HOME}: variables are not filled in"),
        (SITE.replace("path: x", "path: $HOME/cache"), "$HOME: variables are not filled in"),
        (SITE + "listen: {address: 'unix:/run/x.sock'}\n", "unix sockets are not offered"),
        (SITE + "listen: {socket: /run/x.sock}\n", "listen.socket: unix sockets are not offered"),
        (SITE + "listen: unix:/run/x.sock\n", "unix sockets are not offered"),
        (SITE + "listen: 127.0.0.1:5000\n", "write {address: 127.0.0.1, port: 5000}"),
        (SITE.replace("path: x", "path: ${STORE}"), "variables are not filled in; write the value"),
        (SITE.replace("path: x", "path: *x"), 'a pattern is put in quotes: "*x"'),
        (SITE.replace("path: x", "path: *"), 'put it in quotes: "*"'),
        (SITE.replace("path: x", "path: !x"), 'put it in quotes: "!x"'),
        (SITE.replace("path: x", "path: @x"), 'put it in quotes: "@x"'),
        (
            "role: [site]\nstore: {disk: {path: x}}\n",
            "f.yaml:1:7: role: ['site'] is none of origin, replica, site",
        ),
        (
            SITE + "access: {anonymous: [pull]}\n",
            "access.anonymous: ['pull'] is none of nothing, pull, push, admin",
        ),
        (SITE + "access: {anonymous: true}\n", "true is none of nothing, pull, push, admin"),
        (
            SITE.replace("[[http://p]]", "5, prices: {p: 1 CHF/GB}"),
            "parents: wants a list, not a number; write [[https://HOST]]",
        ),
        (
            SITE + "log: {level: WARN}\n",
            '"WARN" is none of debug, info, warning, error; did you mean warning?',
        ),
        (SITE + "drain: 30 sec\n", 'or "7d": write "30s"'),
        (SITE + "drain: 5min\n", 'write "5m"'),
        (SITE + "workers: 2.5\n", "wants a whole number, not a number with a point or an exponent"),
        (SITE.replace("path: x", "path: x, quota: 1e12"), "write 1000000000000"),
        (SITE + "listen: {port: 05000}\n", "listen.port: wants a whole number, not a text; write 5000"),
        (
            SITE + "listen: {address: '127.0.0.1:5000'}\n",
            "the port has a key of its own: write 127.0.0.1, and port: 5000",
        ),
        (
            SITE + "listen: {address: '[::1]:5000'}\n",
            "the port has a key of its own: write ::1, and port: 5000",
        ),
        (
            SITE + "listen: {address: 'http://cache.example'}\n",
            "an address has no scheme: write the host alone",
        ),
        (SITE + "listen: {address: '*'}\n", "0.0.0.0 means all addresses"),
        (SITE + "listen: {address: 10.0.0.0/8}\n", "that is a network: name one address of this machine"),
        (SITE + "listen: {address: 127.0.0.256}\n", "neither an address nor a host's name"),
        (SITE + "listen: {address: ' 127.0.0.1'}\n", "neither an address nor a host's name"),
        (
            SITE.replace("path: x", "path: s3://bucket/prefix"),
            "that is a bucket: write store: {s3: {bucket: NAME}}",
        ),
        (SITE.replace("path: x", "path: file:/var/x"), "that is an address, and a path is wanted"),
        (SITE.replace("path: x", "path: 'x '"), "a space stands at its end or its beginning"),
        (SITE.replace("path: x", "path: \u201cx\u201d"), "quotes of a word processor are letters here"),
        (
            SITE.replace("path: x", f"path: /tmp/{'x' * 300}"),
            "a path has at most 4095 bytes, 255 between two /",
        ),
        (
            SITE.replace("path: x", 'path: "/tmp/a\\0b"'),
            "a line break or another control character stands in it",
        ),
        (
            SITE.replace("disk: {path: x}", "s3: {bucket: 's3://b/x', spool: {path: x}}"),
            "a bucket is named alone: write b; what follows is prefix",
        ),
        (
            SITE.replace("disk: {path: x}", "s3: {bucket: b, endpoint: 'minio:9000', spool: {path: x}}"),
            "an endpoint is http://HOST:PORT or https://HOST:PORT",
        ),
        (
            SITE.replace("disk: {path: x}", "s3: {bucket: b, access_key: AKIA, spool: {path: x}}"),
            "no key takes a login of the bucket; AWS_ACCESS_KEY_ID",
        ),
        (
            SITE.replace("parents", "credentials: {username: u, password: p}, parents"),
            "password: a secret is named, never written; put it into a file",
        ),
        (SITE.replace("http://p", "http://p:0"), "with a port of 1 to 65535"),
        (
            SITE.replace("http://p", "https://docker.io"),
            "a web page answers there; Docker Hub's registry is https://registry-1.docker.io",
        ),
        (
            SITE.replace("http://p", "http://b\u00fccher.example"),
            "a host's name is of ASCII letters: write xn--bcher-kva.example",
        ),
        (
            SITE.replace("http://p", "http://127.0.0.1:5001"),
            "http://127.0.0.1:5001 is this node's admin listener",
        ),
        (
            SITE.replace("[[http://p]]", "'http://a:1|http://b:2;http://c:3'"),
            "write [[http://a:1, http://b:2], [http://c:3]]",
        ),
        (
            SITE.replace("[[http://p]]", "[{url: http://p}]"),
            "parents[0]: wants a list, not a mapping; write [[https://HOST]]",
        ),
        (
            SITE.replace("parents", "credentials: {command: aws ecr get-login-password}, parents"),
            "write [aws, ecr, get-login-password]",
        ),
        (
            SITE.replace("parents", "redirects: ['https://s3.example/'], parents"),
            "HOST or HOST:PORT is wanted, and no address: write s3.example",
        ),
        (SITE + "name: n\nsiblings: {nodes: {n: 'b:2'}}\n", "a server of the site is http://HOST:PORT"),
        (
            SITE + "limits: {exempt: [10.0.0.1/8]}\n",
            'limits.exempt[0]: "10.0.0.1/8": a network is an address, or ADDRESS/BITS: write 10.0.0.0/8',
        ),
        (SITE + "pulls: {file: /tmp}\n", "pulls.file: /tmp is a folder; name a file"),
        (SITE + "pulls: {file: /nowhere/p.db}\n", "pulls.file: there is no folder /nowhere"),
        (SITE + "pulls: {file: pyproject.toml}\n", "pyproject.toml is no database of SQLite"),
        (
            SITE + "log: {access: x.log, audit: ./x.log}\n",
            "log.audit: ./x.log is the file of log.access; name another",
        ),
        (
            SITE + "access: {policies: pyproject.toml}\n",
            "pyproject.toml: Not a directory; name the folder that it lies in",
        ),
        (SITE + "log: {access: none/x.log}\n", "there is no folder none; it is looked for in /"),
        (
            ORIGIN + "pushes: {immutable: ['^v.*$']}\n",
            "^ stands in no tag's or repository's name: a pattern is a glob",
        ),
        (ORIGIN + "pushes: {immutable: '*'}\n", 'pushes.immutable: wants a list, not a text; write ["*"]'),
        (
            ORIGIN + "pushes: {quotas: {Atlas: 1GiB}}\n",
            'pushes.quotas.Atlas: "Atlas": a project is a repository',
        ),
        (
            ORIGIN + "<<<<<<< HEAD\nname: a\n=======\nname: b\n>>>>>>> main\n",
            "a merge left its conflict there, line 3: keep one side",
        ),
        (SITE.replace("role: site", "role:\u00a0site"), "a no-break space stands there"),
    ],
)
def test_a_slip_is_answered(text: str, words: str) -> None:
    assert any(words in fault for fault in faults(text)), faults(text)


def test_brackets_of_an_address_are_left_out_and_put_where_they_belong() -> None:
    config = parse(SITE + "listen: {address: '[::1]', port: 5}\n", "f").config
    assert config.listen.address == "::1"
    assert str(config.listen) == "[::1]:5"


def test_an_anchor_can_stand_below_a_key_of_nobody() -> None:
    text = "x-common: &a {ttl: 5m}\n" + SITE.replace("parents", "tags: *a, parents")
    assert parse(text, "f").config.registries["a.b"].tags.ttl == 300


def test_a_file_as_a_whole_has_no_position(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as invalid:
        load(tmp_path / "none.yaml")
    assert str(invalid.value) == f"{tmp_path}/none.yaml: No such file or directory"
    with pytest.raises(ConfigInvalid, match="-: standard input is not read; name a file"):
        load("-")


def lacks(tmp_path: Path, store: str | Path, more: str = "") -> list[str]:
    text = SITE.replace("path: x", f"path: {store}") + more
    return [str(finding) for finding in parse(text, "f.yaml").lacks]


def test_a_store_that_cannot_be_is_found_before_the_start(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert lacks(tmp_path, tmp_path / "new" / "deep") == []
    assert f"{file} is no folder" in lacks(tmp_path, file)[0]
    assert f"{file} is no folder" in lacks(tmp_path, file / "below")[0]
    assert "/proc is on no disk" in lacks(tmp_path, "/proc/nosuch")[0]
    assert lacks(tmp_path, file)[0].startswith("f.yaml:2:22: store.disk.path: ")


def test_a_log_that_cannot_be_written_is_found_before_the_start(tmp_path: Path) -> None:
    access = f"log: {{access: {tmp_path}/logs/access.log}}\n"
    assert f"there is no folder {tmp_path}/logs; make it" in lacks(tmp_path, tmp_path, access)[0]
    (tmp_path / "logs").mkdir()
    assert lacks(tmp_path, tmp_path, access) == []
    (tmp_path / "logs" / "access.log").mkdir()
    assert "is a folder; name a file" in lacks(tmp_path, tmp_path, access)[0]


def test_what_another_user_owns_is_found_before_the_start(open_folder: Path) -> None:
    """In a process of a user who owns nothing."""
    secret = open_folder / "hub.json"
    secret.write_text("u:p")
    secret.chmod(0o600)
    text = SITE.replace("parents", f"credentials: 'file:{secret}', parents").replace(
        "path: x", f"path: {open_folder}/s"
    )
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    os.seteuid(65534)
    try:
        found = [str(finding) for finding in parse(text, "f.yaml").lacks]
    finally:
        os.seteuid(0)
    assert any("let the node's user read it" in each for each in found), found
    assert any(f"{open_folder} may not be written to by user 65534" in each for each in found), found


def test_a_store_behind_a_link_to_nowhere(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/nowhere/store")
    (found,) = lacks(tmp_path, tmp_path / "link")
    assert f"{tmp_path}/link leads to /nowhere/store, which is not there" in found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_store_on_a_disk_that_is_mounted_read_only(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(SITE.replace("path: x", f"path: {tmp_path}/disk/s"))
    (tmp_path / "disk").mkdir()
    mount = f"mount -t tmpfs -o ro tmpfs {tmp_path}/disk"
    check = f"exec {sys.executable} -m registry_mesh check-config {tmp_path}/f.yaml"
    run = subprocess.run(["unshare", "-m", "sh", "-c", f"{mount} && {check}"], capture_output=True, text=True)
    assert run.returncode == 2
    assert (
        f"store.disk.path: {tmp_path}/disk is mounted read-only; mount -o remount,rw it"
        in run.stdout + run.stderr
    )


def test_rules_that_are_not_there_are_blamed_on_the_key(tmp_path: Path) -> None:
    text = SITE.replace("site", "replica") + f"rules: {tmp_path}/none\n"
    (found,) = parse(text, "f.yaml").lacks
    assert str(found).startswith(f"f.yaml:4:8: rules: {tmp_path}/none: there is no such folder")


@pytest.mark.parametrize("role", ["site", "origin"])
def test_a_quota_above_the_file_system_is_warned_of(tmp_path: Path, role: str) -> None:
    disk = os.statvfs(tmp_path)
    more = disk.f_blocks * disk.f_frsize + 1
    text = f"role: {role}\nstore: {{disk: {{path: {tmp_path}/new, quota: %d}}}}\n"
    text += "registries: {a.b: {parents: [[http://p]]}}\n" if role == "site" else ""
    (warning,) = parse(text % more, "f.yaml").room_warnings()
    assert str(warning).startswith("f.yaml:2:")
    assert f"and the file system of {tmp_path}/new has" in str(warning)
    assert not parse(text % (more // 2), "f.yaml").room_warnings()


@pytest.mark.parametrize(("key", "value"), [("quota", "1TiB"), ("max_age", "30d")])
def test_only_a_site_makes_room_in_its_bucket(key: str, value: str) -> None:
    (fault,) = faults(f"role: origin\nstore: {{s3: {{bucket: b, {key}: {value}}}}}\n")
    assert fault.startswith(f"f.yaml:2:25: store.s3.{key}: only a site makes room in its bucket")
