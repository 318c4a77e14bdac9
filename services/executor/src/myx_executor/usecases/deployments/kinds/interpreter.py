"""A Python for a host that has none that fits, brought from the control plane."""

from myx_executor.domain.deployment import StepFailed
from myx_executor.domain.ssh import PreflightResult
from myx_executor.usecases.deployments.run import Run

_ARCHIVE = "/opt/myx-agent/.python.tar.gz"
_UNPACK_S = 300.0
# Arguments: archive, name of the folder. It is in its place only when it is whole and runs on this host.
_UNPACK = r"""
set -eu
umask 022
base=/opt/myx-agent/python
trap 'rm -rf -- "$base/.new" "$1"; rmdir -- "$base" /opt/myx-agent 2>/dev/null || true' EXIT
rm -rf -- "$base/.new"
mkdir -p -- "$base/.new"
tar -xzf "$1" -C "$base/.new" --no-same-owner
"$base/.new/python/bin/python3" -I -c 'import ctypes, json, ssl, zlib'
rm -rf -- "${base:?}/$2"
mv -T -- "$base/.new/python" "$base/$2"
if [ -x /usr/sbin/restorecon ]; then /usr/sbin/restorecon -R "$base/$2" || true; fi
ln -sfn -- "$2" "$base/.current"
mv -T -f -- "$base/.current" "$base/current"
sync -f "$base" 2>/dev/null || true
"""


def is_all_that_lacks(result: PreflightResult) -> bool:
    """Whether the host would do if it had a Python."""
    return {problem.reason for problem in result.problems if problem.fatal} == {"PYTHON_MISSING"}


async def bring(run: Run, arch: str) -> bool:
    """Puts a Python into /opt/myx-agent/python; false when the control plane has none for such a host.

    StepFailed `PYTHON_NOT_BROUGHT`: the build cannot be read, is damaged or does not run there.
    """
    session = await run.session()
    try:
        build = await run.tools.pythons.build_for(arch)
        if build is None:
            return False
        await run.say(f"The host has no Python that fits: {build.name} is brought")
        await session.put(build.path, _ARCHIVE)
    except OSError as error:
        message = f"the control plane cannot read its Python: {error.strerror or error}"
        cure = "let the executor read that folder and what is in it"
        raise StepFailed("PYTHON_NOT_BROUGHT", message, cure) from error
    result = await session.run(["/bin/sh", "-c", _UNPACK, "sh", _ARCHIVE, build.name], timeout_s=_UNPACK_S)
    if result.code != 0:
        words = result.stderr.decode(errors="replace").strip().splitlines()
        why = words[-1][-300:] if words else f"code {result.code}"
        message = f"{build.name} cannot be used on the host: {why}"
        cure = "install Python 3.11 or newer there by hand, or put another build into the control plane's folder"
        raise StepFailed("PYTHON_NOT_BROUGHT", message, cure)
    return True
