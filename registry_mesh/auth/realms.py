"""Which token service may be asked on a parent's word, and which may be told a parent's credentials."""

from __future__ import annotations

from typing import Final

from registry_mesh.auth.hosts import host_of, inner_address, inner_host, inner_name, place, same_place, split

_PRESETS: Final = {
    "registry-1.docker.io": "https://auth.docker.io",
    "index.docker.io": "https://auth.docker.io",
    "docker.io": "https://auth.docker.io",
    "registry.digitalocean.com": "https://api.digitalocean.com",
}
"""Hosts of registries, and the token service that is theirs alone."""

_SHARED: Final = frozenset(
    """
    azurecr.io azurewebsites.net azurecontainer.io cloudapp.net amazonaws.com on.aws cloudfront.net appspot.com run.app
    web.app firebaseapp.com pkg.dev jfrog.io gitlab.io github.io githubusercontent.com github.dev herokuapp.com
    netlify.app vercel.app pages.dev workers.dev fly.dev onrender.com ngrok.io ngrok.app ngrok-free.app nip.io sslip.io
    xip.io duckdns.org dyndns.org no-ip.org scw.cloud aliyuncs.com tencentyun.com myqcloud.com ondigitalocean.app
    """.split()  # noqa: SIM905 (read as one text)
)
"""Domains whose hosts belong to different owners: one is not told what is meant for another."""

_SECOND_LEVEL: Final = frozenset(
    {"info", "name", "asso", "gouv", "firm", "priv", "coop", "mobi", "govt", "school"}
)
"""Second labels of more than three letters under which countries hand out names."""


def may_ask(realm: str, parent: str, token_service: str = "") -> bool:
    """Return whether a token may be asked for at `realm` on the word of `parent` (both URLs), with nothing to tell.

    The configured `token_service` (a URL, or empty) always may, and so may the parent's own scheme, host and port.
    Any other needs http or https, no user in it, no way down from https, no literal address, no localhost, and
    no name of an inner network where the parent itself has none: a hostile parent must not lead us inward.
    """
    parts, here = split(realm), place(parent)
    if parts is None or here is None or place(realm) is None or parts.username is not None:
        return False
    if same_place(realm, parent) or (token_service and same_place(realm, token_service)):
        return True
    if here[0] == "https" and parts.scheme != "https":
        return False
    host = host_of(realm)
    return not inner_address(host) and (not inner_name(host) or inner_host(parent))


def may_tell(realm: str, parent: str, token_service: str = "") -> bool:
    """Return whether the credentials of `parent` may be shown to `realm` (both URLs).

    Where a `token_service` is configured or known for the parent, only it may, and the parent's own scheme, host and
    port. Else https on the standard port is asked of both: the parent's host itself, a domain above or below it
    (the owner of the upper one rules the lower), or a neighbour in the domain right above it, unless such neighbours
    may be strangers (`example.co.uk`, `team.azurecr.io`).
    """
    there, here = place(realm), place(parent)
    if there is None or here is None or not may_ask(realm, parent, token_service):
        return False
    if same_place(realm, parent):
        return True
    if known := token_service or _PRESETS.get(here[1], ""):
        return same_place(realm, known)
    if (there[0], here[0], there[2]) != ("https", "https", 443) or inner_address(there[1]):
        return False
    return _of_one_owner(there[1], here[1])


def _of_one_owner(realm: str, parent: str) -> bool:
    above = parent.partition(".")[2]
    if realm == parent or realm.endswith("." + parent):
        return True
    if parent.endswith("." + realm):
        return not _shared(realm)
    return realm.endswith("." + above) and not _shared(above)


def _shared(domain: str) -> bool:
    """Return whether hosts in `domain` may have different owners: it is a top domain, known for that, or looks like
    `co.uk`."""
    if "." not in domain:
        return True
    if any(domain == each or domain.endswith("." + each) for each in _SHARED):
        return True
    second, _, top = domain.partition(".")
    return len(top) == 2 and (len(second) <= 3 or second in _SECOND_LEVEL)
