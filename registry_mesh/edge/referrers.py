"""GET of referrers (distribution-spec end-12): never 404, an empty index where there are none."""

from __future__ import annotations

import json

from registry_mesh.edge.call import Call
from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.pages import answer, link, page, within
from registry_mesh.edge.respond import provenance_fields
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_INDEX
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown
from registry_mesh.ports.repositories import Referrers


async def get_referrers(exchange: Exchange, call: Call) -> None:
    """Answer with the index of what refers to a subject, filtered by type where that is asked for."""
    assert call.repository is not None
    subject = Digest.parse(call.reference)
    artifact_type = (call.query.one("artifactType") or "").replace(" ", "+")  # a type has no blank
    limit, last = page(call, exchange.settings.page_limit)
    try:
        found = await call.repository.referrers.referrers(subject)
    except (NameUnknown, ManifestUnknown):
        found = Referrers()
    descriptors = sorted(
        (each for each in found.descriptors if not artifact_type or each.artifact_type == artifact_type),
        key=lambda each: str(each.digest),
    )
    after = [each for each in descriptors if str(each.digest) > last]
    given = within(after[: max(limit, 1)], lambda each: len(json.dumps(each.document())))
    fields = provenance_fields(exchange, found.provenance, cache=call.role.name != "origin")
    if artifact_type:
        fields.append(("OCI-Filters-Applied", "artifactType"))
    if len(after) > len(given):
        params = {"artifactType": artifact_type} if artifact_type else {}
        params |= {"n": str(limit), "last": str(given[-1].digest)}
        fields.append(link(call, f"referrers/{subject}", **params))
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [each.document() for each in given]}
    await answer(exchange, index, fields, OCI_INDEX)
