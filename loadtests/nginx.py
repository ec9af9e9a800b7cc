"""Debian's nginx in the three shapes that are compared: static files, whole-object cache, cache of slices."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from loadtests.corpus import MANIFEST_TYPE, REPOSITORY, Blob, Corpus
from loadtests.processes import Server
from tests.simulators.ports import free_port

_FRAME = """
{user}
worker_processes {workers};
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 9000; }}
http {{
  access_log {access_log};
  sendfile on; sendfile_max_chunk 2m; tcp_nopush off; tcp_nodelay on;
  keepalive_timeout 1h; keepalive_requests 1000000000;
  open_file_cache max=20000 inactive=1h; open_file_cache_valid 1h;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  map_hash_bucket_size 256; map_hash_max_size 8192;
  types {{ }}
  {http}
  server {{
    listen 127.0.0.1:{port} backlog=4096 {tls};
    location = /v2/ {{ default_type application/json; return 200 '{{}}'; }}
    {server}
  }}
}}
"""

_STATIC = """
    location /v2/{repository}/blobs/ {{
      alias {tree}/blobs/; default_type application/octet-stream; {header}
    }}
    location /v2/{repository}/manifests/ {{
      alias {tree}/manifests/; default_type {manifest_type}; {header}
    }}
"""

_CACHE = """
    proxy_pass http://127.0.0.1:{parent}; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_cache site; proxy_cache_key $uri{slice_key}; {slice_header}
    proxy_cache_valid 200 206 30d; proxy_cache_lock on; proxy_cache_lock_timeout 1h; proxy_cache_lock_age 1h;
    proxy_read_timeout 1h; proxy_cache_use_stale error timeout updating; proxy_max_temp_file_size 0;
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files."""

    certificate: Path
    key: Path


def certificate(folder: Path) -> Certificate:
    """Self-signed, for 127.0.0.1; made by openssl."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificate(folder / "tls.crt", folder / "tls.key")
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    files = ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run(["openssl", "req", "-x509", *key, *files, *subject], check=True, capture_output=True)
    return made


def lay_out(corpus: Corpus, tree: Path) -> None:
    """Hard links named as a registry's clients name things."""
    for room in ("blobs", "manifests"):
        (tree / room).mkdir(parents=True, exist_ok=True)
    for blob in corpus.blobs:
        hard_link(blob.file, tree / "blobs" / blob.digest)
    for manifest in corpus.manifests:
        hard_link(manifest.file, tree / "manifests" / manifest.digest)
        hard_link(manifest.file, tree / "manifests" / manifest.tag)


def add_blobs(corpus: Corpus, blobs: Iterable[Blob]) -> None:
    """More blobs for the static servers of this corpus."""
    lay_out(corpus, corpus.folder / "tree")
    for blob in blobs:
        hard_link(blob.file, corpus.folder / "tree/blobs" / blob.digest)


def hard_link(source: Path, place: Path) -> None:
    if place.exists() and not place.samefile(source):
        place.unlink()
    if not place.exists():
        try:
            os.link(source, place)
        except OSError:
            shutil.copyfile(source, place)


def _server(
    name: str, folder: Path, *, workers: int, http: str, server: str, tls: Certificate | None, log: bool
) -> Server:
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    if tls is not None:
        server += f"ssl_certificate {tls.certificate}; ssl_certificate_key {tls.key};"
        server += "ssl_protocols TLSv1.2 TLSv1.3; ssl_buffer_size 16k;"
    text = _FRAME.format(
        user="user root;" if os.geteuid() == 0 else "",
        workers=workers,
        folder=folder,
        port=port,
        http=http,
        server=server,
        tls="ssl" if tls else "",
        access_log=f"{folder}/access.log combined buffer=64k flush=1s" if log else "off",
    )
    file = folder / "nginx.conf"
    file.write_text(text)
    return Server(name, ["nginx", "-p", folder, "-c", file, "-g", "daemon off;"], folder, port)


def static(
    corpus: Corpus,
    folder: Path,
    *,
    name: str = "nginx static",
    workers: int = 1,
    tls: Certificate | None = None,
    registry: bool = False,
    log: bool = False,
) -> Server:
    """The physical limit. With `registry` it also sends Docker-Content-Digest, so that a cache may pull from it."""
    tree = corpus.folder / "tree"
    lay_out(corpus, tree)
    names = "".join(f'"{one.path_by_tag}" {one.digest};\n' for one in corpus.manifests)
    http = f"map $uri $digest {{ default $last; {names} }}\n" if registry else ""
    http += 'map $uri $last { "~/(?<name>[^/]+)$" $name; }' if registry else ""
    header = "add_header Docker-Content-Digest $digest;" if registry else ""
    server = _STATIC.format(repository=REPOSITORY, tree=tree, manifest_type=MANIFEST_TYPE, header=header)
    return _server(name, folder, workers=workers, http=http, server=server, tls=tls, log=log)


def cache(parent_port: int, folder: Path, *, slices: bool = False, workers: int = 1) -> Server:
    """proxy_cache with its lock, whole objects or slices of 1 MiB."""
    http = f"proxy_cache_path {folder}/cache levels=1:2 keys_zone=site:64m inactive=30d use_temp_path=off;"
    server = _CACHE.format(
        parent=parent_port,
        slice_key="$slice_range" if slices else "",
        slice_header="slice 1m; proxy_set_header Range $slice_range;" if slices else "",
    )
    name = "nginx slice" if slices else "nginx cache"
    location = f"location /v2/ {{ {server} }}"
    return _server(name, folder, workers=workers, http=http, server=location, tls=None, log=False)
