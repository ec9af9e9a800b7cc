"""What a bucket needs to be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

MiB = 1 << 20


@dataclass(frozen=True, slots=True)
class S3Credentials:
    """Keys given by hand. Without them the usual chain is asked: environment, files, web identity, instance."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """Where a site on a bucket keeps partial blobs and the hot ones. `quota` is in bytes; None: no bound."""

    path: Path
    quota: int | None = None


@dataclass(frozen=True, slots=True)
class S3Settings:
    """A bucket, and how to use it."""

    bucket: str
    endpoint: str | None = None  # None: the provider's own, by region
    prefix: str = ""  # everything of ours lies below it; ends in "/" or is empty
    region: str | None = None  # None: as the credentials chain's configuration says, else us-east-1
    credentials: S3Credentials | None = None
    redirect: Literal["off", "blobs"] = "off"
    redirect_min: int = (
        1 * MiB
    )  # bytes of a blob, and of the span asked for, below which we serve it ourselves
    redirect_seconds: int = 1200  # how long a presigned address is good
    path_style: bool | None = None  # None: path style with an endpoint of one's own, else virtual hosts
    ca: bytes | None = None  # certificate authorities in PEM, for an endpoint of one's own
    timeout: float = 60.0  # seconds without a byte after which a request is tried again
    spool: SpoolSettings | None = None
    quota: int | None = None  # bytes that a cache may hold; None: no bound
    max_age: float | None = None  # seconds since a cache stored a blob; None: no bound

    def __post_init__(self) -> None:
        if self.prefix and not self.prefix.endswith("/"):
            object.__setattr__(self, "prefix", self.prefix + "/")

    @property
    def redirect_from(self) -> int | None:
        """Bytes from which on clients are sent to the bucket; None: never."""
        return self.redirect_min if self.redirect == "blobs" else None

    @property
    def place(self) -> str:
        """As operators are told: `s3://BUCKET/PREFIX`."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")
