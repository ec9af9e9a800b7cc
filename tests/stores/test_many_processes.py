"""Several processes change one tag of one store on a disk at once: each change is made once, and none is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from registry_mesh.oci.reference import Tag
from registry_mesh.repositories.push_policy import PushPolicy
from tests.simulators.origins import disk_origin, push_image, repository

WRITER = """
import asyncio, json, sys
from pathlib import Path
from registry_mesh.repositories.push_policy import PushPolicy
from registry_mesh.oci.refusals import Conflict
from registry_mesh.oci.reference import Tag
from tests.simulators.origins import ALICE, disk_origin, push_image, pushes, repository

async def main(root, me):
    repo = repository(await disk_origin(root, PushPolicy(history=1000)))
    mine = [await push_image(repo, f"{me} {i}") for i in range(12)]
    won = []
    for manifest in mine:
        while True:
            standing = (await repo.tags.resolve(Tag("t"))).descriptor.digest
            try:
                await pushes(repo).put_manifest(ALICE, manifest, [Tag("t")], if_match=f'"{standing}"')
            except Conflict:
                continue
            won.append([str(standing), str(manifest.digest)])
            break
    print(json.dumps(won))

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


async def test_compare_and_set_among_processes(tmp_path: Path) -> None:
    origin = await disk_origin(tmp_path, PushPolicy(history=1000))
    await push_image(repository(origin), "first", "t")
    here = Path(__file__).parents[2]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), name], stdout=subprocess.PIPE, text=True, cwd=here
        )
        for name in "abc"
    ]
    told = [json.loads(writer.communicate()[0]) for writer in writers]
    entries = await origin.history(repository(origin).name).entries(Tag("t"))
    assert [entry.number for entry in entries] == list(range(1, 38))
    made = {(str(entry.previous), str(entry.digest)) for entry in entries[1:]}
    assert made == {(before, after) for changes in told for before, after in changes}
    assert all(after.previous == before.digest for before, after in pairwise(entries))
