"""Signatures for requests that we send ourselves: botocore's SigV4, with our word on the payload's hash."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials

from registry_mesh.stores.bucket.errors import renewing
from registry_mesh.tasks.threads import ask_remote

UNSIGNED: Final = "UNSIGNED-PAYLOAD"
EMPTY: Final = sha256(b"").hexdigest()

_PAYLOAD: Final = "registry_mesh_payload"


class _BucketAuth(S3SigV4Auth):
    """Takes the payload's hash from the request's context, and derives the day's key once a day."""

    def __init__(self, credentials: Credentials, region: str) -> None:
        super().__init__(credentials, "s3", region)
        self._region = region
        self._day: tuple[str, str, bytes] = ("", "", b"")

    def payload(self, request: AWSRequest) -> str:
        return str(request.context[_PAYLOAD])

    def signature(self, string_to_sign: str, request: AWSRequest) -> str:
        key = self._key(self.credentials.secret_key or "", request.context["timestamp"][:8])
        return hmac.new(key, string_to_sign.encode(), sha256).hexdigest()

    def _key(self, secret: str, day: str) -> bytes:
        if self._day[:2] != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, "s3", "aws4_request"):
                key = hmac.new(key, part.encode(), sha256).digest()
            self._day = (secret, day, key)
        return self._day[2]


class BucketSigner:
    """Signs for one set of credentials, which may renew themselves (instance roles, web identity)."""

    def __init__(self, credentials: Credentials, region: str) -> None:
        self._credentials = credentials
        self._region = region
        self._auth = _BucketAuth(credentials, region)
        self._frozen: ReadOnlyCredentials | None = None

    async def ready(self) -> None:
        """Renew credentials that are about to expire, or use those that boto3's client has renewed meanwhile.
        `StoreBroken` where they have expired and cannot be renewed."""
        credentials = self._credentials
        if not isinstance(credentials, RefreshableCredentials):
            return
        if credentials.refresh_needed():  # that may ask a service, so it runs in a thread
            with renewing():
                frozen = await ask_remote(credentials.get_frozen_credentials)
        else:
            frozen = credentials.get_frozen_credentials()
        if frozen is not self._frozen:
            self._frozen = frozen
            self._auth.credentials = Credentials(
                frozen.access_key or "", frozen.secret_key or "", frozen.token
            )

    def headers(self, method: str, url: str, headers: dict[str, str], payload: str) -> dict[str, str]:
        """`headers` with what S3 needs to believe them; `payload` is the body's sha256 in hex, or `UNSIGNED`."""
        request = AWSRequest(method=method, url=url, headers=headers)
        request.context[_PAYLOAD] = payload
        self._auth.add_auth(request)
        return dict(request.headers.items())

    def presign(self, url: str, seconds: int) -> str:
        """A URL that lets its bearer GET for `seconds`; Range and If-Match are not part of the signature."""
        request = AWSRequest(method="GET", url=url)
        S3SigV4QueryAuth(self._auth.credentials, "s3", self._region, expires=seconds).add_auth(request)
        return str(request.url)
