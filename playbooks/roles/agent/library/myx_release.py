"""Ansible module: build a release of the agent from an uploaded archive, beside what runs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import re
import shutil
import tarfile
import time
from collections.abc import Iterator
from typing import IO, Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.myx_agent_host import (
    CURRENT,
    RELEASES,
    RESTART_NEEDED,
    SPOOL,
    Failure,
    current_release,
    read_release,
    restore_labels,
    run,
    sync_folder,
    write_file,
)  # fmt: skip

DOCUMENTATION = """
module: myx_release
short_description: Builds a release of the MyX agent from an uploaded archive
description: A virtual environment in its final place, with RELEASE.json written last; a half-made one is made again.
options:
  archive: {description: tar with uv, wheels, requirements.txt and RELEASE.json, type: path, required: true}
  release: {description: name that the archive must hold, type: str, default: ""}
  python: {description: interpreter of the host, type: str, default: ""}
  index_url: {description: package index; empty means only what is in the archive, type: str, default: ""}
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_PARTS = (
    re.compile(r"uv"),
    re.compile(r"wheels/[A-Za-z0-9._+!-]+\.whl"),
    re.compile(r"requirements\.txt"),
    re.compile(r"RELEASE\.json"),
)
_LARGEST = 1 << 30
_ROOM_BYTES = 32 << 20
_OUTPUT_BYTES = 260 << 20  # the agent keeps no output with less than 256 MB
_BUILD_S = 600


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "archive": {"type": "path", "required": True},
            "release": {"type": "str", "default": ""},
            "python": {"type": "str", "default": ""},
            "index_url": {"type": "str", "default": "", "no_log": True},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**build(module.params, check=module.check_mode))
    except Failure as failure:
        module.fail_json(msg=str(failure))
    except OSError as error:
        module.fail_json(msg=f"the new release cannot be built: {error}")


def build(params: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
    os.umask(0o022)
    archive = params["archive"]
    facts = read_archive(archive)
    name = release_name(facts)
    if params["release"] and params["release"] != name:
        raise Failure(f"{archive} holds {name}, not {params['release']}")
    check_arch(facts)
    result = {"changed": False, "release": name, "version": facts["version"], "previous": current_release()}
    if is_whole(name, facts):
        return result
    result["changed"] = True
    check_room(archive)
    python = find_python(params["python"], facts["python"])
    if not check:
        os.makedirs(RELEASES, mode=0o755, exist_ok=True)
        with one_at_a_time():
            make(archive, name, facts, python, params["index_url"])
    return result


def read_archive(path: str) -> dict[str, str]:
    """RELEASE.json of the archive. Raises Failure."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if (
                    not member.isfile()
                    or not any(part.fullmatch(member.name) for part in _PARTS)
                    or member.size > _LARGEST
                ):
                    raise Failure(f"{path}: {member.name} has no place in it")
            document: dict[str, str] = json.loads(_content(archive, "RELEASE.json").read())
    except OSError as error:
        raise Failure(f"{path}: {error.strerror or error}")
    except (tarfile.TarError, KeyError, ValueError, EOFError) as error:
        raise Failure(f"{path} is not a whole archive of the agent ({error})")
    for key in ("version", "digest", "arch", "python"):
        if not isinstance(document.get(key), str) or not _NAME.fullmatch(document[key]):
            raise Failure(f"{path}: its RELEASE.json says no {key}")
    return document


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo | str) -> IO[bytes]:
    file = archive.extractfile(member)
    if file is None:
        raise KeyError(str(member))
    return file


def release_name(facts: dict[str, str]) -> str:
    return f"{facts['version']}-{facts['digest'][:12]}"


def check_arch(facts: dict[str, str]) -> None:
    machine = platform.machine()
    if facts["arch"] not in ("any", machine):
        raise Failure(f"the archive is for {facts['arch']}, this host is {machine}")


def is_whole(name: str, facts: dict[str, str]) -> bool:
    """Complete, of this very bundle, and its interpreter still there."""
    done = read_release(name)
    if done is None or any(done.get(key) != facts[key] for key in ("version", "digest", "python")):
        return False
    return runs(name, facts["version"])


def runs(name: str, version: str) -> bool:
    with contextlib.suppress(Failure):
        code, text = run([RELEASES + "/" + name + "/bin/myx-agent", "--version"], timeout_s=60, check=False)
        return bool(code == 0 and text.split()[-1:] == [version])
    return False


def check_room(archive: str) -> None:
    """Enough for the build, and for the output of commands, which the agent drops when less is left. Raises Failure."""
    build, spool = existing(RELEASES), existing(SPOOL)
    needed = {build: os.stat(archive).st_size * 2 + _ROOM_BYTES, spool: _OUTPUT_BYTES}
    if os.stat(build).st_dev == os.stat(spool).st_dev:
        needed = {build: sum(needed.values())}
    for folder, bytes_needed in needed.items():
        free = shutil.disk_usage(folder).free
        if free < bytes_needed:
            asked = -(-bytes_needed >> 20)
            raise Failure(f"not enough room in {folder}: {free >> 20} MB are free, {asked} MB are needed")


def existing(folder: str) -> str:
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def find_python(given: str, wanted: str) -> str:
    """The interpreter for the wheels in the archive. Raises Failure."""
    choices = [given] if given else [CURRENT + "/bin/python", "python" + wanted, "python3"]
    for choice in choices:
        path = choice if choice.startswith("/") else shutil.which(choice)
        if path and version_of(path) == wanted:
            return os.path.realpath(path)
    if given:
        raise Failure(f"{given} is not the Python {wanted} that the archive is for")
    raise Failure(f"there is no Python {wanted} on this host")


def version_of(python: str) -> str:
    with contextlib.suppress(Failure):
        code, text = run(
            [python, "-c", "import sysconfig; print(sysconfig.get_python_version())"], timeout_s=30, check=False
        )
        return text if code == 0 else ""
    return ""


def make(archive: str, name: str, facts: dict[str, str], python: str, index_url: str) -> None:
    place = RELEASES + "/" + name
    parts = RELEASES + "/." + name + ".parts"
    sweep()
    if name == current_release():
        # systemd may start the agent from what is half made again; it must not stay.
        write_file(RESTART_NEEDED, b"", 0o644)
    remove(place)
    try:
        unpack(archive, parts)
        install(place, parts, python, index_url)
        if not runs(name, facts["version"]):
            raise Failure(f"the new agent does not start: {why_not(place)}")
        document = {"version": facts["version"], "digest": facts["digest"], "arch": platform.machine()}
        document.update(python=facts["python"], installed_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        restore_labels(place)
        run(["sync", "-f", place], check=False)
        write_file(place + "/RELEASE.json", json.dumps(document).encode(), 0o644)
        sync_folder(RELEASES)
    except BaseException:
        remove(place)
        raise
    finally:
        remove(parts)


def sweep() -> None:
    """Remove what builds left that were killed."""
    for entry in list(os.scandir(RELEASES)):
        half_made = entry.name.startswith(".") or not os.path.exists(entry.path + "/RELEASE.json")
        if half_made and entry.is_dir(follow_symlinks=False) and entry.name != current_release():
            remove(entry.path)


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    fd = os.open(RELEASES, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Failure("another release is being built on this host")
    finally:
        os.close(fd)


def unpack(archive: str, parts: str) -> None:
    os.mkdir(parts, 0o700)
    os.mkdir(parts + "/wheels")
    with tarfile.open(archive) as tar:
        for member in tar:  # read_archive has seen that there is nothing else in it
            if member.isfile() and any(part.fullmatch(member.name) for part in _PARTS):
                with open(parts + "/" + member.name, "wb") as file:
                    shutil.copyfileobj(_content(tar, member), file)


def install(place: str, parts: str, python: str, index_url: str) -> None:
    uv = parts + "/uv"
    os.chmod(uv, 0o700)
    env = {"UV_CACHE_DIR": parts + "/cache", "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
    env.update(UV_LINK_MODE="hardlink", TMPDIR=parts, HOME=parts, UV_CONCURRENT_BUILDS="1")
    run([uv, "venv", "--quiet", "--no-project", "--python", python, place], env=env)
    source = ["--offline", "--no-index", "--find-links", parts + "/wheels"]
    if index_url:
        source = ["--find-links", parts + "/wheels"]
        env.update(UV_DEFAULT_INDEX=index_url, UV_SYSTEM_CERTS="1", UV_NATIVE_TLS="1")
    pip = [uv, "pip", "install", "--quiet", "--python", place + "/bin/python", "--require-hashes", "--compile-bytecode"]
    run([*pip, "--only-binary", ":all:", *source, "-r", parts + "/requirements.txt"], timeout_s=_BUILD_S, env=env)


def why_not(place: str) -> str:
    with contextlib.suppress(Failure):
        _code, text = run([place + "/bin/myx-agent", "--version"], timeout_s=60, check=False)
        return text.splitlines()[-1][-300:] if text else "it says nothing"
    return "it cannot be executed"


def remove(path: str) -> None:
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)


if __name__ == "__main__":
    main()
