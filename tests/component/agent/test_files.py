"""put_file: in pieces, resumable, visible only when whole and right, never outside of its root."""

import asyncio
import hashlib
import io
import os
import resource
import stat
import tarfile
import time
from pathlib import Path

import pytest

from myx_testkit.wait import until


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def put(tools):
    """One piece."""

    async def put(call, piece, *, whole=None, **params):
        whole = piece if whole is None else whole
        params = {
            "upload_id": "u",
            "root": "files",
            "path": "f",
            "size": len(whole),
            "sha256": sha256(whole),
            "data": tools.b64(piece),
        } | params
        return await call("put_file", **params)

    return put


def archive(**members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return file.getvalue()


@pytest.fixture
def install(put):
    """Put an archive whole, as a release of the tool."""

    async def install(call, data, path="myx", **params):
        return await put(
            call, data, root="deployment-tool", path=path, extract=True, final=True, upload_id=sha256(data), **params
        )

    return install


@pytest.fixture
def files(own_agent):
    return Path(own_agent.configuration["files_dir"])


@pytest.fixture
def home(own_agent):
    return Path(own_agent.configuration["deployment_tool_dir"]) / "myx"


def limit_files(agent, size):
    """No file of the agent grows beyond `size`: the nearest to a full disk that needs no root."""
    hard = resource.prlimit(agent.program.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(agent.program.pid, resource.RLIMIT_FSIZE, (size, hard))


def visible(folder):
    """What anybody would find."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if ".uploads" not in path.parts)


class TestPieces:
    async def test_a_file_is_there_only_when_it_is_whole(self, own, files, put):
        whole = os.urandom(3000)
        params = {"whole": whole, "path": "a/b/f", "mode": 0o640}

        assert await put(own, whole[:1000], **params) == {"received": 1000, "done": False}
        assert await put(own, whole[1000:], offset=1000, **params) == {"received": 3000, "done": False}
        assert [path for path in visible(files) if (files / path).is_file()] == []
        assert await put(own, b"", offset=3000, final=True, **params) == {"received": 3000, "done": True}

        assert (files / "a/b/f").read_bytes() == whole
        modes = [stat.S_IMODE((files / name).stat().st_mode) for name in ("a/b/f", "a/b", "a", ".")]
        assert modes == [0o640, 0o700, 0o700, 0o700]
        assert list((files / ".uploads").iterdir()) == []

    async def test_an_empty_file_is_a_file(self, own, files, put):
        assert await put(own, b"", final=True) == {"received": 0, "done": True}

        assert (files / "f").read_bytes() == b""

    async def test_a_piece_that_comes_again_changes_nothing(self, own, files, put):
        whole = os.urandom(3000)
        await put(own, whole[:2000], whole=whole)

        again = await put(own, whole[:2000], whole=whole)
        overlapping = await put(own, whole[1500:], whole=whole, offset=1500, final=True)

        assert (again["received"], overlapping) == (2000, {"received": 3000, "done": True})
        assert (files / "f").read_bytes() == whole

    async def test_pieces_at_the_same_time_do_not_mix(self, own, files, put):
        whole = os.urandom(500_000)
        await asyncio.gather(*(put(own, whole[:300_000], whole=whole) for _ in range(5)))
        await asyncio.gather(*(put(own, whole[300_000:], whole=whole, offset=300_000, final=True) for _ in range(5)))

        assert (files / "f").read_bytes() == whole

    async def test_a_gap_is_refused_and_says_where_to_go_on(self, own, put, tools):
        whole = os.urandom(3000)
        await put(own, whole[:1000], whole=whole)
        for offset, final in ((2000, False), (1000, True)):
            with pytest.raises(tools.RpcFailure) as caught:
                await put(own, b"", whole=whole, offset=offset, final=final)

            assert (caught.value.code, caught.value.reason) == (-32010, "UPLOAD_OFFSET")
            assert (caught.value.data["received"], caught.value.data["retryable"]) == (1000, False)

    async def test_an_upload_goes_on_after_the_agent_died(self, own, own_agent, files, put):
        whole = os.urandom(3000)
        await put(own, whole[:1000], whole=whole)
        own_agent.kill9()
        own_agent.restart()

        assert (await put(own, b"", whole=whole))["received"] == 1000
        await put(own, whole[1000:], whole=whole, offset=1000, final=True)
        assert (files / "f").read_bytes() == whole

    async def test_the_end_may_be_said_again(self, own, files, put):
        await put(own, b"abc", final=True)

        assert await put(own, b"", whole=b"abc", offset=3, final=True) == {"received": 3, "done": True}
        assert await put(own, b"", whole=b"abc", upload_id="another") == {"received": 3, "done": True}
        assert (files / "f").read_bytes() == b"abc"

    async def test_what_is_there_already_is_not_asked_for_and_gets_its_mode(self, own, files, put):
        files.mkdir()
        (files / "f").write_bytes(b"abc")

        assert await put(own, b"", whole=b"abc", mode=0o600) == {"received": 3, "done": True}
        assert stat.S_IMODE((files / "f").stat().st_mode) == 0o600

    async def test_a_new_file_takes_the_place_of_an_old_one(self, own, files, put):
        await put(own, b"old", final=True)
        await put(own, b"newer", final=True)

        assert (files / "f").read_bytes() == b"newer"

    @pytest.mark.parametrize("change", [{"path": "g"}, {"size": 9}, {"sha256": "0" * 64}, {"mode": 0o644}])
    async def test_one_id_is_one_file(self, own, put, tools, change):
        await put(own, b"a", whole=b"abc")
        with pytest.raises(tools.RpcFailure) as caught:
            await put(own, b"a", whole=b"abc", **change)

        assert (caught.value.code, caught.value.reason) == (-32011, "UPLOAD_CONFLICT")

    async def test_what_is_not_what_was_announced_is_dropped(self, own, files, put, tools):
        with pytest.raises(tools.RpcFailure) as caught:
            await put(own, b"abd", whole=b"abc", final=True)

        assert (caught.value.code, caught.value.reason) == (-32014, "DIGEST_MISMATCH")
        assert visible(files) == []
        assert await put(own, b"abc", final=True) == {"received": 3, "done": True}


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        ["", ".", "..", "/etc/x", "../x", "a/../../x", "a//b", "a/", "./a", ".uploads/x.part", "a\0b", "x" * 300],
    )
    async def test_a_path_that_leaves_its_root_is_refused(self, own, own_agent, put, tools, path):
        before = sorted(own_agent.folder.iterdir())
        with pytest.raises(tools.RpcFailure) as caught:
            await put(own, b"x", path=path, final=True)

        assert (caught.value.code, caught.value.data["field"]) == (-32602, "path")
        assert sorted(own_agent.folder.iterdir()) == before

    async def test_links_are_not_followed(self, own, files, put, tools, tmp_path):
        files.mkdir()
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "f").write_bytes(b"theirs")
        (files / "link").symlink_to(tmp_path / "outside")
        (files / "f").symlink_to(tmp_path / "outside" / "f")
        for extract in (False, True):
            with pytest.raises(tools.RpcFailure) as caught:
                await put(own, b"theirs", path="link/f", final=True, extract=extract, upload_id=f"u{extract}")
            assert (caught.value.code, caught.value.data.get("field")) == (-32602, "path"), caught.value

        await put(own, b"ours", final=True)
        assert ((files / "f").is_symlink(), (files / "f").read_bytes()) == (False, b"ours")
        assert (tmp_path / "outside" / "f").read_bytes() == b"theirs"

    async def test_a_folder_or_a_file_in_the_way_is_said(self, own, files, put, tools):
        (files / "folder").mkdir(parents=True)
        (files / "file").touch()
        for path in ("folder", "file/f"):
            with pytest.raises(tools.RpcFailure) as caught:
                await put(own, b"x", path=path, final=True, upload_id=path.replace("/", "-"))
            assert (caught.value.code, caught.value.data.get("field")) == (-32602, "path"), caught.value

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("root", "spool"),
            ("sha256", "A" * 64),
            ("sha256", "0" * 63),
            ("size", -1),
            ("size", 1 << 60),
            ("data", "!"),
            ("mode", 0o4755),
            ("offset", -1),
            ("upload_id", "../x"),
        ],
    )
    async def test_a_wrong_parameter_is_named(self, call, put, tools, field, value):
        with pytest.raises(tools.RpcFailure) as caught:
            await put(call, b"x", **{field: value})

        assert (caught.value.code, caught.value.data["field"]) == (-32602, field)

    async def test_more_than_announced_is_refused(self, own, put, tools):
        with pytest.raises(tools.RpcFailure) as caught:
            await put(own, b"abcd", whole=b"abc")

        assert (caught.value.code, caught.value.data["field"]) == (-32602, "data")


class TestLimits:
    async def test_uploads_are_bounded_and_the_idle_one_gives_way(self, own_agent, files, put, tools):
        own_agent.configuration["max_uploads"] = 2
        own_agent.start()
        async with tools.calling(own_agent) as own:
            for name in ("a", "b"):
                await put(own, b"x", whole=b"xyz", upload_id=name, path=name)
            with pytest.raises(tools.RpcFailure) as caught:
                await put(own, b"x", whole=b"xyz", upload_id="c", path="c")
            assert (caught.value.code, caught.value.reason) == (-32012, "TOO_MANY_UPLOADS")
            assert caught.value.data["retryable"]

            idle = files / ".uploads" / "a.part"
            os.utime(idle, (time.time() - 700,) * 2)
            await put(own, b"x", whole=b"xyz", upload_id="c", path="c")

            assert sorted(path.name for path in (files / ".uploads").glob("*.part")) == ["b.part", "c.part"]

    async def test_abandoned_uploads_are_swept(self, own_agent, files, put, tools):
        own_agent.start()
        async with tools.calling(own_agent) as own:
            for name in ("old", "young"):
                await put(own, b"x", whole=b"xyz", upload_id=name, path=name)
            for path in (files / ".uploads").glob("old.*"):
                os.utime(path, (time.time() - 90_000,) * 2)
            own_agent.stop()
            own_agent.restart()

            await until(lambda: len(list((files / ".uploads").iterdir())) == 2, 10)
            assert (await put(own, b"", whole=b"xyz", upload_id="young", path="young"))["received"] == 1
            assert (await put(own, b"", whole=b"xyz", upload_id="old", path="old"))["received"] == 0

    async def test_what_was_staged_and_forgotten_is_swept(self, own_agent, tools):
        staging = Path(own_agent.configuration["staging_dir"])
        for name, age_s in (("upgrade-1", 8 * 86400), ("upgrade-2", 60)):
            (staging / name).mkdir(parents=True)
            (staging / name / "bundle.tar").touch()
            os.utime(staging / name, (time.time() - age_s,) * 2)
        own_agent.start()

        await until(lambda: [path.name for path in staging.iterdir()] == ["upgrade-2"], 10)

    async def test_artifacts_of_a_week_ago_are_swept_but_not_one_that_is_wanted_again(self, own, own_agent, files, put):
        folder, names = files / "artifacts", {}
        for word in (b"old", b"wanted", b"young"):
            names[word] = sha256(word)
            await put(own, word, path=f"artifacts/{names[word]}", final=True)
        (folder / "mine").touch()
        for path in (folder / names[b"old"], folder / names[b"wanted"], folder / "mine"):
            os.utime(path, (time.time() - 8 * 86400,) * 2)
        await put(own, b"", whole=b"wanted", path=f"artifacts/{names[b'wanted']}")
        own_agent.stop()
        own_agent.restart()

        left = {names[b"wanted"], names[b"young"], "mine"}
        await until(lambda: {path.name for path in folder.iterdir()} == left, 10)

    async def test_a_disk_that_has_too_little_room_is_said_at_once(self, own_agent, put, tools):
        own_agent.configuration["max_upload_bytes"] = 1 << 60
        own_agent.start()
        async with tools.calling(own_agent) as own:
            with pytest.raises(tools.RpcFailure) as caught:
                await put(own, b"x", size=1 << 59)

        assert (caught.value.code, caught.value.reason) == (-32013, "DISK_FULL")
        assert caught.value.data["retryable"]

    async def test_a_disk_that_gets_full_is_said_and_the_upload_goes_on_later(self, own, own_agent, files, put, tools):
        whole = os.urandom(200_000)
        await put(own, whole[:50_000], whole=whole)
        limit_files(own_agent, 80_000)
        with pytest.raises(tools.RpcFailure) as caught:
            await put(own, whole[50_000:], whole=whole, offset=50_000, final=True)
        assert (caught.value.code, caught.value.reason) == (-32013, "DISK_FULL")
        assert caught.value.data["retryable"]

        received = caught.value.data["received"]
        limit_files(own_agent, resource.RLIM_INFINITY)
        assert 50_000 <= received <= 80_000
        await put(own, whole[received:], whole=whole, offset=received, final=True)
        assert (files / "f").read_bytes() == whole


class TestReleases:
    async def test_an_archive_becomes_a_release_in_one_step(self, own, home, install):
        data = archive(VERSION="1.2.3\n", **{"playbooks/x.yml": "- x"})

        assert await install(own, data) == {"received": len(data), "done": True}

        release = home / "releases" / sha256(data)[:16]
        assert (home / "current").readlink() == Path("releases") / release.name
        assert (release / "playbooks/x.yml").read_text() == "- x"
        assert (release / ".digest").read_text() == sha256(data) + "\n"
        tool = (await own("get_status"))["deployment_tool"]
        assert tool == {"version": "1.2.3", "digest": sha256(data), "projects": {}}

    async def test_a_project_is_told_by_name_and_digest(self, own, install):
        data = archive(VERSION="1")
        await install(own, data, path="projects/shop")

        assert (await own("get_status"))["deployment_tool"] == {
            "version": None,
            "digest": None,
            "projects": {"shop": sha256(data)},
        }

    async def test_what_was_unpacked_before_is_switched_to_without_data(self, own, home, install, put):
        first, second = archive(VERSION="1"), archive(VERSION="2")
        await install(own, first)
        await install(own, second)
        params = {"root": "deployment-tool", "path": "myx", "extract": True, "upload_id": "x"}

        assert await put(own, b"", whole=first, **params) == {"received": len(first), "done": True}
        assert (home / "current" / "VERSION").read_text() == "1"
        assert (await own("get_status"))["deployment_tool"]["digest"] == sha256(first)

    async def test_three_releases_are_kept(self, own, home, install):
        archives = [archive(VERSION=str(number)) for number in range(5)]
        for data in archives:
            await install(own, data)

        assert sorted(path.name for path in (home / "releases").iterdir()) == sorted(
            sha256(data)[:16] for data in archives[-3:]
        )

    @pytest.mark.parametrize("name", ["../evil", "/evil", ".digest"])
    async def test_an_archive_that_is_refused_changes_nothing(self, own, home, install, tools, name):
        good = archive(VERSION="1")
        await install(own, good)
        with pytest.raises(tools.RpcFailure) as caught:
            await install(own, archive(VERSION="2", **{name: "x"}))

        assert (caught.value.code, caught.value.reason) == (-32015, "ARCHIVE_REFUSED")
        assert caught.value.data["retryable"] is False
        assert [path.name for path in (home / "releases").iterdir()] == [sha256(good)[:16]]
        assert (home / "current" / "VERSION").read_text() == "1"
        assert not (home.parent / ".uploads").exists() or list((home.parent / ".uploads").iterdir()) == []

    async def test_a_full_disk_in_the_middle_of_unpacking_changes_nothing(self, own, own_agent, home, install, tools):
        await install(own, archive(VERSION="1"))
        large = archive(VERSION="2", big="x" * 500_000)
        limit_files(own_agent, 100_000)
        with pytest.raises(tools.RpcFailure) as caught:
            await install(own, large)
        assert (caught.value.code, caught.value.reason) == (-32013, "DISK_FULL")
        assert caught.value.data["retryable"]
        assert (home / "current" / "VERSION").read_text() == "1"
        assert len(list((home / "releases").iterdir())) == 1

        limit_files(own_agent, resource.RLIM_INFINITY)
        await install(own, large)
        assert (home / "current" / "VERSION").read_text() == "2"

    async def test_what_a_crash_left_half_unpacked_is_cleared_away(self, own, home, install):
        (home / "releases" / ".new-0123456789abcdef").mkdir(parents=True)
        data = archive(VERSION="1")
        await install(own, data)

        assert [path.name for path in (home / "releases").iterdir()] == [sha256(data)[:16]]

    async def test_files_cannot_be_put_into_the_current_release(self, own, install, put, tools):
        await install(own, archive(VERSION="1"))
        with pytest.raises(tools.RpcFailure) as caught:
            await put(own, b"x", root="deployment-tool", path="myx/current/VERSION", final=True)

        assert (caught.value.code, caught.value.data["field"]) == (-32602, "path")
