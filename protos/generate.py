"""Generate the typed gRPC stubs of all protos into `gen/` (`python protos/generate.py`, or by the build hook)."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent


def generate(out: Path = ROOT / "gen") -> None:
    """Write `out/myx/**` anew; `out` is replaced as a whole, so that no stub outlives its proto.

    Raises RuntimeError when protoc refuses a file; `out` is untouched then.
    """
    sources = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "myx").rglob("*.proto"))
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".gen-") as temp:
        arguments = ["protoc", f"-I{ROOT}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
        arguments += [f"--{plugin}_out={temp}" for plugin in ("python", "grpc_python", "mypy", "mypy_grpc")]
        if protoc.main(arguments + sources) != 0:
            raise RuntimeError("protoc failed; its messages are above")
        package = Path(temp) / "myx"
        for folder in [package, *(p for p in package.rglob("*") if p.is_dir())]:
            (folder / "__init__.py").touch()
        (package / "py.typed").touch()
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        package.rename(out / "myx")


if __name__ == "__main__":
    generate()
