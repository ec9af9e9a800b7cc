"""Every parser that takes what somebody else wrote: what it may raise, and texts to begin from.

Whatever bytes come, a parser gives a value or one of its own refusals; it raises nothing else, and it ends.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from registry_mesh.access.issuers import issuer_of
from registry_mesh.access.tokens import TokenInvalid, Tokens, new_key
from registry_mesh.auth.basic import parse_basic, parse_bearer
from registry_mesh.auth.challenge import parse_challenges
from registry_mesh.auth.grants import Grants
from registry_mesh.auth.hosts import inner_host, place
from registry_mesh.auth.htpasswd import parse_htpasswd
from registry_mesh.auth.realms import may_ask
from registry_mesh.auth.scopes import scopes_to_ask
from registry_mesh.catalog import cosign, keyless, notation, signer
from registry_mesh.chunks import map_format
from registry_mesh.chunks.chunk_map import ChunkMap, count
from registry_mesh.chunks.sums import SUM
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.imports import tools
from registry_mesh.config.load import parse as parse_config
from registry_mesh.config.policy_files import load_policies
from registry_mesh.config.robot_files import load_robots
from registry_mesh.config.rule_files import parse_rules
from registry_mesh.edge.entity_tags import not_modified, precondition_failed
from registry_mesh.edge.hot.layouts import layout_of
from registry_mesh.edge.pull_reports import parse_report
from registry_mesh.edge.ranges import parse_range, range_applies, satisfiable
from registry_mesh.edge.target import parse_target
from registry_mesh.edge.uploads import content_range
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.endpoints import match
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry_mesh.oci.mentions import mentions
from registry_mesh.oci.reading import is_manifest, looks_like_one, read_manifest
from registry_mesh.oci.reference import parse_name, parse_reference, parse_registry, parse_tag
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.hops import Hops, asks_of, passed
from registry_mesh.replication.pattern import Pattern, PatternFault
from registry_mesh.replication.subject import Subject
from registry_mesh.telemetry import events
from registry_mesh.telemetry.traces import enter
from registry_mesh.upstream.codings import decoded
from registry_mesh.upstream.documents.links import next_query
from registry_mesh.upstream.health.clocks import ahead
from registry_mesh.upstream.health.quota import allowance
from registry_mesh.upstream.health.retry_after import retry_after
from registry_mesh.upstream.login.credentials import CredentialsInvalid, parse_answer, parse_document
from registry_mesh.upstream.login.token_answer import parse_answer as parse_token_answer
from registry_mesh.upstream.pushes.repository import listed
from registry_mesh.webhooks.signature import SecretInvalid, key_of
from tests.simulators.keyless import ISSUER, Sigstore, Workflow

DIGEST: Final = Digest.of(b"x")
_TOKENS: Final = Tokens(new_key(), "node", "service", 300)
_EC: Final = ec.generate_private_key(ec.SECP256R1()).public_key()
_PEM: Final = _EC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
_KEYS: Final = (_EC,)
_SIGSTORE: Final = Sigstore()


@cache
def _identity() -> signer.IdentitySigner:
    return signer.IdentitySigner("**", ISSUER, keyless.trusted_root(_SIGSTORE.trusted_root()))


@dataclass(frozen=True, slots=True)
class Parser:
    """One parser. `begin`: texts that it takes, or nearly."""

    name: str
    parse: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = ()
    begin: Sequence[bytes] = ()
    examples: int = 150
    """How many texts a test makes."""

    def run(self, data: bytes) -> None:
        """Raise what the parser must not raise."""
        try:
            self.parse(data)
        except self.refusals:
            return


def text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    """For parsers of texts of files, which hold any characters."""
    return lambda data: parse(data.decode("utf-8", "replace"))


def field(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    """For parsers of header fields and paths, as the HTTP library hands them on."""
    return lambda data: parse(data.decode("utf-8", "surrogateescape"))


def _in_folder(name: str, load: Callable[[Path], object]) -> Callable[[bytes], object]:
    def parse(data: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(data)
            return load(path)

    return parse


def _range(header: str) -> None:
    wanted = parse_range(header)
    for size in (0, 1, 1 << 40):
        for span in satisfiable(wanted or (), size):
            assert 0 <= span.start < span.stop <= size


def _target(raw: str) -> None:
    target = parse_target(raw)
    match(target.path, ("registry.example", "localhost:5000"))


def _tags(header: str) -> None:
    not_modified(header, f'"{DIGEST}"')
    precondition_failed(header, f'"{DIGEST}"')
    range_applies(header, f'"{DIGEST}"')


def _manifest(data: bytes) -> None:
    for announced in (OCI_MANIFEST, OCI_INDEX, ""):
        manifest = read_manifest(data, announced)
        looks_like_one(manifest)
        is_manifest(manifest)
        mentions(data, announced)


def _strict(data: bytes) -> None:
    Manifest.parse(data, OCI_MANIFEST)


def _note(header: str) -> None:
    Hops().note([header, header])


def _pattern(written: str) -> None:
    for subject in Subject:
        for edition in (1, 2):
            try:
                Pattern.parse(written, subject, edition).matches("atlas/athena")
            except PatternFault:
                continue


def _imports(data: bytes) -> None:
    for tool in tools.NAMES:
        try:
            tools.imported(tool, data, "f", {})
        except ConfigInvalid:
            continue


def _docker(written: str) -> None:
    found = parse_document(written)
    for url in ("https://index.docker.io", "https://h.example:5000/a"):
        found.docker.faults(url)
        found.docker.knows(url)
        found.docker.helper(url)
        found.docker.lacks(url)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


BLOB: Final = {"mediaType": "a/b", "digest": str(DIGEST), "size": 1}
IMAGE: Final = {
    "schemaVersion": 2,
    "mediaType": OCI_MANIFEST,
    "config": BLOB,
    "layers": [BLOB],
    "subject": BLOB,
}
INDEX: Final = {
    "schemaVersion": 2,
    "manifests": [{**BLOB, "platform": {"os": "linux", "architecture": "arm64"}}],
    "annotations": {"a": "b"},
}
_CHALLENGE: Final = (
    b'Bearer realm="https://a/token",service="s",scope="repository:a/b:pull,push", Basic realm="r"'
)
_RULES: Final = (
    b'schema: registry-mesh/rules/2\nsets: {a: [x/**, "!x/y"]}\nguard: 10%\ndefaults: {delete: 7d}\nrules:\n'
    b"  - {name: n, from: r.example, repos: '@a', tags: ['semver: >=1 <2', 're: v[0-9]{1,3}', '*-alpine'],\n"
    b"     keep: {newest: 3, by: seen, or_younger: 1d}, when: 'mon-fri 20:00-06:00 UTC', budget: 40%, every: 1h}\n"
    b"deny: [{from: r.example, tags: bad}]\ntests: [{given: r.example/x/z:1.0, expect: n}]\n"
)
_POLICIES: Final = (
    b"schema: registry-mesh/access/1\ngroups: {a: [alice, robot:ci]}\npolicies:\n"
    b"  - {name: a, subjects: '@a', repos: ['atlas/**'], allow: [pull, push]}\n"
    b"  - {name: b, subjects: everybody, repos: '**', deny: delete}\n"
)
_CONFIG: Final = (
    b"role: site\nstore: {disk: {path: x, quota: 10GiB}}\nlisten: {address: 127.0.0.1, port: 5000}\n"
    b"registries: {docker.io: {parents: [['https://a.example']], tags: {ttl: 1m}, credentials: 'file:/x'}}\n"
    b"limits: {exempt: [10.0.0.0/8], client_bytes: 10MiB/s}\n"
)
_ROBOT: Final = _json(
    {
        "schema": "registry-mesh/robot/1",
        "name": "r",
        "secret": f"sha256:{DIGEST.hex}",
        "created": "2026-01-01T00:00:00Z",
        "expires": "2027-01-31T00:00:00Z",
        "allow": ["pull"],
        "repos": ["a/**"],
    }
)
_MAP: Final = map_format.encode(ChunkMap.of_sums(300_000, bytes(count(300_000) * SUM)), DIGEST)
_DOCKER: Final = _json(
    {
        "auths": {"https://index.docker.io/v1/": {"auth": base64.b64encode(b"u:p").decode()}},
        "credHelpers": {"h": "x"},
    }
)
_JWS: Final = _json({"payload": "e30", "protected": "e30", "signature": "AA", "header": {"x5c": ["AA=="]}})

_DEEP: Final = ".".join(
    base64.urlsafe_b64encode(each).rstrip(b"=").decode()
    for each in (b'{"alg":"ES256","typ":"JWT"}', b'{"iss":' + b"[" * 3000 + b"]" * 3000 + b"}", b"x")
).encode()

_EVENTS: Final = _json(
    [
        {
            "side": "s",
            "reason": "r",
            "subject": "a",
            "why": "w",
            "count": 12,
            "first": 1.0,
            "last": 2.0,
            "lives": {"a": 3},
        }
    ]
)

PARSERS: Final[Sequence[Parser]] = (
    Parser("digest", field(Digest.parse), (Refusal,), [str(DIGEST).encode(), b"sha512:" + b"a" * 128]),
    Parser("name", field(parse_name), (Refusal,), [b"atlas/athena", b"a--b/c__d.e"]),
    Parser("tag", field(parse_tag), (Refusal,), [b"1.0-rc_1"]),
    Parser("reference", field(parse_reference), (Refusal,), [b"latest", str(DIGEST).encode()]),
    Parser("registry", field(parse_registry), (Refusal,), [b"docker.io", b"[::1]:5000", b"h.example:443"]),
    Parser(
        "target",
        field(_target),
        (Refusal,),
        [b"/v2/a/manifests/l?ns=docker.io&n=1&last=a%2Fb", b"/v2/a/blobs/x%00"],
    ),
    Parser(
        "range", field(_range), (Refusal, Failure), [b"bytes=0-0,1-1,-5", b"bytes=0-99999999999999999999"]
    ),
    Parser("content-range", field(content_range), (Refusal,), [b"0-5", b"bytes 0-5/10", b"bytes=5-4/*"]),
    Parser("entity-tags", field(_tags), (), [f'W/"{DIGEST}", "x", *'.encode()]),
    Parser("head", layout_of, (), [b"GET /v2/ HTTP/1.1\r\nHost: h\r\nAccept: a\r\n\r\n"]),
    Parser("basic", field(parse_basic), (Refusal,), [b"Basic " + base64.b64encode(b"u:p"), b"Basic dTpw="]),
    Parser("bearer", field(parse_bearer), (), [b"Bearer a.b.c"]),
    Parser(
        "challenge", field(lambda each: parse_challenges([each, each])), (), [_CHALLENGE, b"Negotiate abc=="]
    ),
    Parser(
        "scopes", field(lambda each: scopes_to_ask(each, "repository:a:pull")), (), [b"repository:a:pull b"]
    ),
    Parser(
        "realm",
        field(lambda each: may_ask(each, "https://a.example")),
        (),
        [b"https://auth.a.example:443/t?x"],
    ),
    Parser(
        "host",
        field(lambda each: (place(each), inner_host(each))),
        (),
        [b"http://[::ffff:7f00:1]:80/", b"//x"],
    ),
    Parser(
        "link",
        field(lambda each: next_query([each])),
        (ValueError,),
        [b'</v2/a/tags/list?n=1&last=b>; rel="next"'],
    ),
    Parser("cache-status", field(_note), (), [b"site;hit;ttl=5, replica;fwd=miss"]),
    Parser("cdn-loop", field(lambda each: passed([each])), (), [b"registry-mesh-0123456789abcdef, x;y=1"]),
    Parser("asks", field(lambda each: asks_of(each, each)), (), [b"only-if-cached, max-age=0", b"sibling"]),
    Parser(
        "traceparent",
        field(lambda each: enter([each], [each])),
        (),
        [b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
    ),
    Parser(
        "allowance",
        field(lambda each: allowance({"RateLimit-Remaining": each, "RateLimit-Limit": each}, 0.0)),
        (),
        [b"100;w=21600", b"76"],
    ),
    Parser(
        "retry-after",
        field(lambda each: retry_after({"Retry-After": each}, 0.0)),
        (),
        [b"5", b"Wed, 21 Oct 2026 07:28:00 GMT"],
    ),
    Parser("date", field(lambda each: ahead({"Date": each}, 0.0)), (), [b"Wed, 21 Oct 2026 07:28:00 GMT"]),
    Parser(
        "coding", lambda data: decoded(data, "gzip, deflate", 1 << 20), (ValueError,), [b"\x1f\x8b\x08\x00"]
    ),
    Parser("manifest-lenient", _manifest, (), [_json(IMAGE), _json(INDEX)]),
    Parser("manifest", _strict, (Refusal,), [_json(IMAGE), _json(INDEX)]),
    Parser("chunk-map", lambda data: map_format.decode(data, 300_000, DIGEST), (ValueError, Failure), [_MAP]),
    Parser("events", events.decode, (), [_EVENTS, _EVENTS.replace(b"12", b"1e999"), b"[" * 100_000]),
    Parser(
        "pull-report",
        parse_report,
        (Refusal,),
        [_json([["2026-11-29", "s", "r", "a/b", "manifest", str(DIGEST), "t", "who", 1, 2]])],
    ),
    Parser(
        "token",
        field(lambda each: _TOKENS.verify(each, 1e9)),
        (TokenInvalid,),
        [_TOKENS.sign("a", [], "", 1e9, 60).encode(), _DEEP],
    ),
    Parser("issuer", field(issuer_of), (), [_TOKENS.sign("a", [], "", 1e9, 60).encode(), _DEEP]),
    Parser(
        "token-answer",
        lambda data: parse_token_answer(data, 1e9),
        (ValueError, Failure),
        [_json({"token": "x", "expires_in": 60, "issued_at": "2026-11-29T00:00:00Z"})],
    ),
    Parser(
        "access-claim",
        lambda data: Grants.read(json.loads(data)),
        (ValueError, RecursionError),
        [_json([{"type": "repository", "name": "a", "actions": ["pull"]}])],
    ),
    Parser(
        "htpasswd",
        text(parse_htpasswd),
        (),
        [b"a:$2y$05$abcdefghijklmnopqrstuv\n#c\nb:$argon2id$v=19$m=1,t=1,p=1$AA$AA"],
    ),
    Parser(
        "docker-config",
        text(_docker),
        (CredentialsInvalid,),
        [_DOCKER, b'{"username": "u", "password": "p"}'],
    ),
    Parser(
        "credential-answer",
        text(lambda each: parse_answer(each, "", 0.0)),
        (CredentialsInvalid,),
        [b'{"username": "u", "password": "p", "expires_in": 5}', b"u:p"],
    ),
    Parser(
        "pem",
        signer.public_key,
        (ValueError,),
        [_PEM],
    ),
    Parser(
        "authorities",
        signer.authorities,
        (ValueError,),
        [trustme.CA().cert_pem.bytes()],
    ),
    Parser("subject", text(signer.subject), (ValueError,), [b"CN=release team, O=CERN"]),
    Parser(
        "cosign",
        lambda data: cosign.check_simple(data, "AAAA", DIGEST, _KEYS),
        (signer.NotSigned,),
        [
            _json(
                {
                    "critical": {
                        "image": {"docker-manifest-digest": str(DIGEST)},
                        "type": "cosign container image signature",
                    }
                }
            )
        ],
    ),
    Parser(
        "cosign-bundle",
        lambda data: cosign.check_bundle(data, DIGEST, _KEYS),
        (signer.NotSigned,),
        [
            _json(
                {
                    "dsseEnvelope": {
                        "payload": "e30=",
                        "payloadType": "application/vnd.in-toto+json",
                        "signatures": [{"sig": "AA=="}],
                    }
                }
            )
        ],
    ),
    Parser("trusted-root", keyless.trusted_root, (ValueError,), [_SIGSTORE.trusted_root()], examples=15),
    Parser(
        "identity-bundle",
        lambda data: keyless.check_identity(data, DIGEST, _identity()),
        (signer.NotSigned,),
        [Workflow(_SIGSTORE).bundled(DIGEST)],
    ),
    Parser(
        "notation",
        lambda data: notation.check_jws(data, DIGEST, signer.NotationSigner(()), 0.0),
        (signer.NotSigned,),
        [_JWS],
    ),
    Parser(
        "pattern",
        text(_pattern),
        (),
        [b"atlas/**", b"re: a{1,3}[b-d]", b"semver: >=1.2 <2 & *-x", b"!{a,b}/*"],
    ),
    Parser("rules", lambda data: parse_rules([("f.yaml", data)]), (ConfigInvalid,), [_RULES]),
    Parser(
        "policies", _in_folder("f.yaml", lambda path: load_policies([path])), (ConfigInvalid,), [_POLICIES]
    ),
    Parser("robots", _in_folder("r.json", lambda path: load_robots(path.parent)), (ConfigInvalid,), [_ROBOT]),
    Parser("configuration", lambda data: parse_config(data, "f.yaml"), (ConfigInvalid,), [_CONFIG]),
    Parser(
        "imports",
        _imports,
        (),
        [b'[registry]\nlocation = "x"\n', _json({"images": ["a:b"]}), b"a: {b: [c:d]}"],
        examples=15,
    ),
    Parser("referrers-tag", listed, (), [_json(INDEX), b"[]", b"[" * 3000]),
    Parser("webhook-secret", text(key_of), (SecretInvalid,), [b"whsec_" + base64.b64encode(bytes(32))]),
)
