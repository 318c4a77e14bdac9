"""Artifacts whose row may or may not be stored keep their bytes; and what is damaged is not sent."""

import hashlib
from types import SimpleNamespace
from uuid import uuid4

import pytest

from myx_executor.domain.deployment import StepFailed
from myx_executor.usecases.deployments import deliveries
from myx_executor.usecases.deployments.pushes import Artifacts
from myx_kit.errors import InvalidArgument, Unavailable

DATA = b"content"
SHA256 = hashlib.sha256(DATA).hexdigest()


class Files:
    """Stores nothing; `error` is what becomes of the answer that the artifact is named."""

    def __init__(self, error=None, *, known=False):
        self.error, self.known = error, known
        self.dropped = []

    async def artifact_bytes(self):
        return 0

    async def add_chunk(self, blob, n, data):
        pass

    async def add_artifact(self, sha256, *_):
        if self.error is not None:
            raise self.error
        return None if self.known else sha256

    async def artifact(self, sha256):
        return SimpleNamespace(sha256=sha256, blob_id=uuid4())

    async def drop_blobs(self, blobs):
        self.dropped += blobs


async def push(files, sha256=SHA256):
    async def data():
        yield DATA

    return await Artifacts(files, bytes_max=1 << 20).push("tool", sha256, "token:a", data())


async def test_bytes_stay_when_the_answer_that_they_are_named_was_lost():
    files = Files(Unavailable("DATABASE_UNAVAILABLE", "away"))
    with pytest.raises(Unavailable):
        await push(files)
    assert not files.dropped


async def test_bytes_go_when_they_are_certainly_not_named():
    known, wrong = Files(known=True), Files()
    await push(known)
    with pytest.raises(InvalidArgument):
        await push(wrong, "0" * 64)
    assert (len(known.dropped), len(wrong.dropped)) == (1, 1)


@pytest.mark.parametrize("stored", [b"", b"contents"])
async def test_what_is_not_what_was_pushed_is_not_put_on_a_host(tmp_path, stored):
    put = []

    async def chunks(blob_id):
        if stored:
            yield stored

    async def put_file(source, remote):
        put.append(remote)

    async def session():
        return SimpleNamespace(put=put_file)

    files = Files()
    files.chunks = chunks
    run = SimpleNamespace(
        session=session,
        state=lambda _: "",
        deployment=SimpleNamespace(plan=SimpleNamespace(artifact_sha256=SHA256)),
        tools=SimpleNamespace(files=files, work_dir=tmp_path),
    )
    with pytest.raises(StepFailed) as caught:
        await deliveries.put_artifact(run)
    assert (caught.value.reason, put) == ("STORED_FILE_DAMAGED", [])
