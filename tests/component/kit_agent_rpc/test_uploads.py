"""Uploads: in pieces, resumed where they broke off, tried by the policy, verified."""

import hashlib
import io
import json
import os
import tarfile

import pytest

from myx_kit.agent_rpc import uploads
from myx_kit.agent_rpc.errors import AgentCallError, Cause
from myx_kit.agent_rpc.uploads import upload

PIECE = 10_000


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(uploads, "PIECE_BYTES", PIECE)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(os.urandom(3 * PIECE + 123))
    return path


class BrokenOff(Exception):
    pass


def break_off_at(place):
    def break_off(received, _size):
        if received >= place:
            raise BrokenOff

    return break_off


class TestRealAgent:
    async def test_a_file_arrives(self, client, real_agent, source):
        seen = []
        done = await upload(
            client, real_agent.target, "files", "a/b", source, on_progress=lambda got, size: seen.append((got, size))
        )

        size = source.stat().st_size
        assert (real_agent.folder / "files/a/b").read_bytes() == source.read_bytes()
        assert (done.size, done.sent_bytes) == (size, size)
        assert done.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
        assert seen == [(0, size), (PIECE, size), (2 * PIECE, size), (3 * PIECE, size), (size, size)]

    async def test_what_is_there_is_not_sent_again(self, client, real_agent, source):
        await upload(client, real_agent.target, "files", "f", source)

        assert (await upload(client, real_agent.target, "files", "f", source)).sent_bytes == 0

    async def test_an_empty_file_arrives(self, client, real_agent, tmp_path):
        (tmp_path / "empty").touch()
        await upload(client, real_agent.target, "files", "f", tmp_path / "empty", mode=0o644)

        assert (real_agent.folder / "files/f").stat().st_size == 0
        assert (real_agent.folder / "files/f").stat().st_mode & 0o777 == 0o644

    async def test_another_process_goes_on_where_one_broke_off(self, client, real_agent, source):
        with pytest.raises(BrokenOff):
            await upload(client, real_agent.target, "files", "f", source, on_progress=break_off_at(2 * PIECE))
        real_agent.kill9()
        real_agent.restart()
        done = await upload(client, real_agent.target, "files", "f", source)

        assert done.sent_bytes == PIECE + 123
        assert (real_agent.folder / "files/f").read_bytes() == source.read_bytes()

    async def test_an_archive_becomes_the_current_release(self, client, real_agent, tmp_path):
        with tarfile.open(tmp_path / "tool.tgz", "w:gz") as tar:
            info = tarfile.TarInfo("VERSION")
            info.size = 3
            tar.addfile(info, io.BytesIO(b"1.0"))
        done = await upload(client, real_agent.target, "deployment-tool", "myx", tmp_path / "tool.tgz", extract=True)
        status = await client.call(real_agent.target, "get_status", {})

        assert status["deployment_tool"] == {"version": "1.0", "digest": done.sha256, "projects": {}}

    async def test_what_an_earlier_upload_left_wrong_is_sent_anew(self, client, real_agent, source):
        with pytest.raises(BrokenOff):
            await upload(client, real_agent.target, "files", "f", source, on_progress=break_off_at(PIECE))
        (part,) = (real_agent.folder / "files/.uploads").glob("*.part")
        part.write_bytes(bytes(PIECE))
        done = await upload(client, real_agent.target, "files", "f", source)

        assert done.sent_bytes > source.stat().st_size
        assert (real_agent.folder / "files/f").read_bytes() == source.read_bytes()

    async def test_a_source_that_is_not_what_its_digest_says_is_an_error(self, client, real_agent, source):
        with pytest.raises(AgentCallError) as caught:
            await upload(client, real_agent.target, "files", "f", source, sha256="0" * 64)

        assert caught.value.rpc_error.reason == "DIGEST_MISMATCH"
        assert not (real_agent.folder / "files/f").exists()

    async def test_a_refusal_is_raised(self, client, real_agent, source):
        with pytest.raises(AgentCallError) as caught:
            await upload(client, real_agent.target, "files", "../f", source)

        assert caught.value.rpc_error.code == -32602


class TestRogueAgent:
    def answers(self, *results):
        """Behaviours that answer with these results or errors, one after the other."""

        def behave(outcome):
            async def one(request, writer):
                number = json.loads(request.body)["id"]
                body = json.dumps({"jsonrpc": "2.0", "id": number, **outcome}).encode()
                writer.write(f"HTTP/1.1 200 X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()

            return one

        return [behave(outcome) for outcome in results]

    def result(self, received, *, done=False):
        return {"result": {"received": received, "done": done}}

    async def test_a_lost_connection_is_tried_again_at_the_same_place(self, client, agent, behaviours, source):
        agent.script = [
            *self.answers(self.result(0)),
            behaviours["reset"],
            *self.answers(*(self.result(PIECE * number) for number in (1, 2, 3)), self.result(30_123, done=True)),
        ]
        await upload(client, agent.target(), "files", "f", source)

        offsets = [json.loads(request.body)["params"]["offset"] for request in agent.requests]
        assert offsets == [0, 0, 0, PIECE, 2 * PIECE, 3 * PIECE]

    async def test_a_full_disk_is_tried_by_the_policy_and_then_raised(self, client, agent, behaviours, source):
        full = {"error": {"code": -32013, "message": "full", "data": {"reason": "DISK_FULL", "retryable": True}}}
        agent.script = self.answers(self.result(0), *[full] * 4)
        with pytest.raises(AgentCallError) as caught:
            await upload(client, agent.target(), "files", "f", source)

        assert (caught.value.rpc_error.reason, len(agent.requests)) == ("DISK_FULL", 5)

    async def test_an_agent_that_never_goes_on_is_given_up(self, client, agent, source):
        moved = {"error": {"code": -32010, "message": "x", "data": {"reason": "UPLOAD_OFFSET", "received": 0}}}
        agent.script = self.answers(self.result(0), *[moved] * (uploads.MAX_MOVES + 5))
        with pytest.raises(AgentCallError):
            await upload(client, agent.target(), "files", "f", source)

        assert len(agent.requests) == uploads.MAX_MOVES + 2

    @pytest.mark.parametrize("received", [-1, 1 << 40, "0", None, True])
    async def test_an_answer_that_cannot_be_is_an_error(self, client, agent, source, received):
        agent.script = self.answers(self.result(received))
        with pytest.raises(AgentCallError) as caught:
            await upload(client, agent.target(), "files", "f", source)

        assert caught.value.cause is Cause.RPC_ERROR
