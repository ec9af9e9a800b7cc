"""What a bucket's refusals mean to us. Nothing of aiohttp or botocore passes further in than this."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from registry_mesh.ports.failures import Failure, StoreBroken, StoreFull, StoreUnfit

RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request may well succeed."""

_UNFIT: Final = {
    301: "it lies in {region} (store.s3.region), or its endpoint is another",
    302: "its endpoint is another",
    307: "it lies in {region} (store.s3.region), or its endpoint is another",
    308: "its endpoint is another",
    400: "it lies in {region} (store.s3.region), or our keys are malformed",
    401: "our keys are not believed",
    403: "our keys are wrong, or may not do that",
    404: "there is no such bucket",
}
"""Statuses that say that the bucket or our keys are not what the configuration takes them for, and their sense."""

_FULL: Final = frozenset({"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "StorageFull"})
_REGION: Final = re.compile(r"[a-z0-9-]{1,40}")
_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")

_OF_CREDENTIALS: Final = (OSError, ValueError, RuntimeError)
"""What botocore lets through of a file, a program or a service that gives credentials."""


def code_in(body: bytes) -> str:
    """The error code of an S3 error document; empty where there is none (every answer to HEAD)."""
    found = _CODE.search(body[:4096])
    return found.group(1).decode() if found else ""


def refused(what: str, status: int, code: str, headers: Mapping[str, str] | None = None) -> Failure:
    """The failure that an answer of `status` and `code` means."""
    code = "" if code == str(status) else code
    reason = f"the bucket answered {status} {code}".rstrip() + f" to {what}"
    if status == 507 or code in _FULL:
        return StoreFull(reason)
    if status in _UNFIT:
        named = (headers or {}).get("x-amz-bucket-region", "")
        region = f"the region {named}" if _REGION.fullmatch(named) else "another region"
        sense = "" if status == 400 and code else _UNFIT[status].format(region=region)
        return StoreUnfit(f"{reason}: {sense}" if sense else reason)
    after = (headers or {}).get("Retry-After", "")
    return StoreBroken(reason, retry_after=float(after) if after.isdigit() else None)


def why(error: BaseException) -> str:
    """What kept a bucket from answering: the system's words where it was the system, `timed out`, or else the kind of
    the exception."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, TimeoutError) or "Timeout" in type(at).__name__:
            return "timed out"
        if isinstance(at, socket.gaierror):
            return "its name cannot be resolved by DNS"
        if isinstance(at, OSError) and at.errno is not None and at.errno in errno.errorcode:
            return os.strerror(at.errno).lower()
        at = at.__cause__ or at.__context__
    return type(error).__name__


@contextmanager
def translated(what: str) -> Iterator[None]:
    """botocore's exceptions become ours, and so does what keeps the credentials of a call from being renewed."""
    try:
        yield
    except ClientError as error:
        about = error.response.get("ResponseMetadata", {})
        status, headers = int(about.get("HTTPStatusCode", 0)), about.get("HTTPHeaders", {})
        raise refused(what, status, str(error.response.get("Error", {}).get("Code", "")), headers) from error
    except BotoCoreError as error:
        raise StoreBroken(f"the bucket did not answer to {what}: {why(error)}") from error
    except _OF_CREDENTIALS as error:
        raise StoreBroken(f"{what}: {error}") from error


@contextmanager
def renewing() -> Iterator[None]:
    """What keeps credentials from being renewed becomes ours: a service, a file or a program of any kind gives them."""
    try:
        yield
    except (BotoCoreError, ClientError, *_OF_CREDENTIALS) as error:
        reason = (
            f"the bucket's credentials have expired, and cannot be renewed: {type(error).__name__}: {error}"
        )
        raise StoreBroken(reason) from error


class ObjectMissing(StoreBroken):
    """An object that should be there is not."""
