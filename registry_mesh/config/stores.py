"""`store:`, the place where a node keeps things: the keys of each kind, and what is asked of them together."""

from __future__ import annotations

from typing import Final, Literal

from registry_mesh.config.document import Document
from registry_mesh.config.finding import Path
from registry_mesh.config.scalars import size_text
from registry_mesh.config.values import Bucket, Duration, EndpointUrl, FilePath, Section, Size, Text

FOLDERS: Final[tuple[Path, ...]] = (("store", "disk", "path"), ("store", "s3", "spool", "path"))
"""Keys that name a folder of this machine."""
AUTHORITIES: Final[Path] = ("store", "s3", "ca")
"""The key that names a file of certificate authorities."""


class Disk(Section):
    """`store.disk:`: everything lies in a folder."""

    path: FilePath
    """Directory; made where there is none. A relative path starts at the working directory."""
    quota: Size | None = None
    """Bytes that may be stored; where absent a site keeps to a share of its file system, and others have no bound."""
    fsync: Literal["always", "commit", "never"] | None = None
    """When to wait for the disk. Absent: `never` at a site, whose every byte is checked on its first use and can be
    fetched again; `commit` elsewhere. It is about power cuts: a process that dies loses nothing under any."""

    def __str__(self) -> str:
        return self.path + (f" (at most {size_text(self.quota)})" if self.quota else "")


class Spool(Section):
    """`store.s3.spool:`: the local folder of a site on a bucket."""

    path: FilePath
    """Directory for partial and hot blobs."""
    quota: Size | None = None


class S3(Section):
    """`store.s3:`: everything lies in a bucket."""

    bucket: Bucket
    endpoint: EndpointUrl | None = None
    """Address of an S3 server other than AWS."""
    prefix: str = ""
    """Keys begin with it."""
    region: Text | None = None
    path_style: bool | None = None
    """Bucket in the path of a URL instead of its host; where absent: with an `endpoint` of one's own."""
    ca: FilePath | None = None
    """PEM file of certificate authorities for the endpoint."""
    redirect: Literal["off", "blobs"] = "off"
    """`blobs`: clients fetch large blobs from the bucket itself, by presigned addresses."""
    redirect_min: Size = 1 << 20
    """Bytes asked for below which blobs are served from here all the same."""
    spool: Spool | None = None
    timeout: Duration = 60.0
    """A request is tried again when no byte came for so long."""
    quota: Size | None = None
    """Site: bytes that the bucket may hold; the oldest go. Looked at once an hour."""
    max_age: Duration | None = None
    """Site: what was stored longer ago goes. Use it instead of a rule of the bucket, which takes only the data."""

    def __str__(self) -> str:
        return f"s3://{self.bucket}"


class Store(Section):
    """Exactly one of `disk` and `s3`."""

    disk: Disk | None = None
    s3: S3 | None = None

    def __str__(self) -> str:
        return str(self.s3 or self.disk)

    @property
    def quota_key(self) -> str:
        """Where it says how many bytes may be kept in `folder`."""
        return "store.disk.quota" if self.disk is not None else "store.s3.spool.quota"

    @property
    def folder(self) -> str | None:
        """The folder of this machine that it takes, as it is written; None where it takes none."""
        spool = self.s3.spool if self.s3 is not None else None
        found = self.disk or spool
        return found.path if found is not None else None

    @property
    def authorities(self) -> dict[str, str]:
        """Files of certificate authorities, by their keys."""
        ca = self.s3.ca if self.s3 is not None else None
        return {"store.s3.ca": ca} if ca is not None else {}

    @property
    def key(self) -> Path:
        """The key that says where it is."""
        return ("store", "disk", "path") if self.disk is not None else ("store", "s3", "bucket")


def check_store(document: Document) -> None:
    """Report a store of no kind, or of two."""
    store = document.find("store")
    if not isinstance(store, dict):
        return
    kinds = [kind for kind in Store.model_fields if kind in store]
    if not kinds:
        document.report(("store",), "neither disk nor s3", "name one of them", key=True)
    elif len(kinds) > 1:
        document.report(("store", "s3"), "disk and s3 exclude each other", "keep one", key=True)
    elif kinds == ["s3"] and document.find("role") == "site" and not document.find("store", "s3", "spool"):
        document.report(
            ("store", "s3"),
            "a site on a bucket needs a spool",
            "add spool: {path: DIR, quota: 50GiB}",
            key=True,
        )
    if document.find("role") != "site":
        for key in ("quota", "max_age"):
            if document.find("store", "s3", key) is not None:
                what = "only a site makes room in its bucket; what others hold is not to be had elsewhere"
                document.report(("store", "s3", key), what, "leave it out", key=True)
