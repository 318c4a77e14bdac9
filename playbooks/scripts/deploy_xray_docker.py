#!/usr/bin/env python3
"""Deploy Xray in a container on this host, by docker or podman. JSON on stdin, one JSON object on stdout (app_deploy).

The container is run in the foreground by a systemd unit: so it is started at boot and again when it ends, with and
without a daemon, and going back to the container before is going back to the unit before.
Variables: docs/deployments.md.
Standard library only, Python 3.9 or newer.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

import app_artifact
from app_artifact import BadArtifact
from app_deploy import answer
from app_host import MARK, Account, Done, HostError, unit_of
from app_place import Generation, Place
from app_release import App, Candidate, Release, Run, refused
from app_request import REMEMBERED, Request
from app_variables import BadVariable, Variables
from deploy_xray import inbound_addresses, xray_version

REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,254}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
BINARY = re.compile(r"/?[A-Za-z0-9][A-Za-z0-9._/-]{0,254}")
USER = re.compile(r"[0-9]{1,10}:[0-9]{1,10}")
ENGINES = ("auto", "docker", "podman")
NETWORKS = ("host", "bridge")
RESTARTS = ("always", "on-failure", "no")
FORMATS = ("json", "yaml", "toml")
PULL_TIMEOUT_S, RUN_TIMEOUT_S = 600, 60
CONFIG_FOLDER = "/etc/myx-xray"
LABEL_FORMAT = '{{index .Config.Labels "managed-by"}}'


class XrayContainer(App):
    """Xray in a container; its release is an image, named by its id."""

    title = "Xray"
    kind = "xray_docker"
    prefix = "xray_"
    name = "xray-docker"
    own_variables = ("image", "image_digest", "artifact_path", "sha256")
    remembered = (*REMEMBERED, "engine", "network", "binary", "user", "restart")
    has_account = False

    def __init__(self) -> None:
        self._engine = ""
        self._brought = ""

    def engine(self, place: Place, variables: Variables | None) -> str:
        """The program that runs containers: the one named, else docker when it is usable, else podman."""
        if not self._engine:
            wanted = variables.choice("engine", "auto", ENGINES) if variables else "auto"
            self._engine = find_engine(place, wanted)
        return self._engine

    def check(self, request: Request) -> None:
        variables = request.variables
        self.config_name(request)
        limits(variables)
        for name, allowed in (("engine", ENGINES), ("network", NETWORKS), ("restart", RESTARTS)):
            variables.choice(name, allowed[0], allowed)

    def config_name(self, request: Request) -> str:
        return f"config.{request.variables.choice('config_format', 'json', FORMATS)}"

    def release(self, run: Run, request: Request, workspace: Path, account: Account) -> Release:
        variables = request.variables
        engine = self.engine(run.place, variables)
        image = variables.text("image", "", REFERENCE, "an image reference such as ghcr.io/xtls/xray-core")
        pin = variables.text("image_digest", "", DIGEST, "sha256: and 64 hex digits")
        must_not_be_foreign_container(run.place, engine)
        if not image and not variables.has("artifact_path"):
            return current_image(run)
        before = image_ids(run, engine)
        found = self._image(run, engine, image, pin, variables)
        self._brought = "" if found in before else found
        done = run.host.run(probe_argv(engine, found, variables, ["version"]), timeout_s=RUN_TIMEOUT_S)
        version = xray_version(done.output)
        if not version:
            raise BadArtifact(f"the image {image or found} does not run Xray:\n{done.tail()}")
        facts = {"image": found, "brought": bool(self._brought) or was_brought(run.place, found), "engine": engine}
        return Release(f"{version}-{found[:12]}", version, None, False, facts)

    def _image(self, run: Run, engine: str, image: str, pin: str, variables: Variables) -> str:
        """The id of the image, which is on the host afterwards."""
        if variables.has("artifact_path"):
            return load_image(run, engine, image, variables)
        reference = f"{without_tag(image)}@{pin}" if pin else image
        found = image_id(run, engine, reference)
        if found:
            return found
        if not pin:
            raise variables.wrong(
                "image_digest", f"given: {image} is not on the host, and nothing is pulled without its digest"
            )
        if run.check:
            raise HostError(
                f"check mode pulls nothing: {reference} is not on the host yet, so the configuration cannot be checked"
            )
        done = run.host.run([engine, "pull", "--quiet", reference], timeout_s=PULL_TIMEOUT_S)
        found = image_id(run, engine, reference) if done.ok else ""
        if not found:
            raise BadArtifact(f"{reference} cannot be pulled:\n{done.tail()}")
        return found

    def unit_text(self, run: Run, request: Request, release: Release) -> str:
        engine = self.engine(run.place, request.variables)
        return container_unit(
            run.place, engine, request, release, f"{run.place.base}/current/{self.config_name(request)}"
        )

    def validate(self, run: Run, candidate: Candidate) -> None:
        variables = candidate.request.variables
        engine = self.engine(run.place, variables)
        uid, gid = (int(part) for part in container_user(variables).split(":"))
        run.host.give(candidate.config, gid, 0o640, uid)
        name = candidate.config.name
        mount = ["-v", f"{candidate.config}:{CONFIG_FOLDER}/{name}:ro"]
        argv = probe_argv(
            engine,
            image_of(candidate.release),
            variables,
            ["run", "-test", "-config", f"{CONFIG_FOLDER}/{name}"],
            mount,
        )
        done = run.host.run(argv, timeout_s=RUN_TIMEOUT_S)
        if not done.ok:
            raise refused(run, candidate, done)

    def abandon(self, run: Run) -> None:
        """Remove the image that this run brought when no generation has it."""
        if self._brought:
            drop_images(run.place, {self._brought: self.engine(run.place, None)})

    def facts(self, run: Run, candidate: Candidate) -> dict[str, Any]:
        return {"listen": inbound_addresses(candidate.config.read_text())}

    def owns(self, place: Place, pid: int) -> bool:
        if unit_of(pid) == place.unit:
            return True
        done = place.host.run([self.engine(place, None), "inspect", "--format", "{{.State.Pid}}", place.name])
        return done.ok and str(pid) == done.output.strip()

    def forget(self, place: Place, generations: list[Generation]) -> None:
        """Remove the images that these generations brought and no other one uses."""
        facts = [generation.record["release_facts"] for generation in generations]
        drop_images(place, {fact["image"]: fact["engine"] for fact in facts if fact.get("brought")})


def drop_images(place: Place, images: dict[str, str]) -> None:
    """Remove images ({id: engine}) unless a generation still has them."""
    used = {generation.record["release_facts"].get("image") for generation in place.all()}
    for image, engine in images.items():
        if image not in used:
            place.host.run([engine, "image", "rm", image])


def must_not_be_foreign_container(place: Place, engine: str) -> None:
    """Raises when a container of that name is not MyX's: the unit would remove it."""
    done = place.host.run([engine, "inspect", "--type=container", "--format", LABEL_FORMAT, place.name])
    if done.ok and done.output.strip() != "myx":
        words = f"there is a container {place.name} that MyX did not make: remove it or choose another xray_name"
        raise HostError(f"{words}. Nothing was changed")


def find_engine(place: Place, wanted: str) -> str:
    """docker or podman as a path; raises when the host has none that works."""
    names = ("docker", "podman") if wanted == "auto" else (wanted,)
    path = None if place.host.is_root else place.host.path("/usr/bin")
    for name in names:
        program = shutil.which(name, path=str(path) if path else "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        if program and place.host.run([program, "info"], timeout_s=30).ok:
            return program
    words = "neither docker nor podman is" if wanted == "auto" else f"{wanted} is not"
    raise HostError(f"{words} installed and working on this host: install one of them (apt-get install podman)")


def image_of(release: Release) -> str:
    return str(release.facts["image"])


def current_image(run: Run) -> Release:
    """The image that is deployed; raises when there is none."""
    if run.current is None:
        raise BadVariable(
            "xray_image (a reference, with xray_image_digest unless it is on the host) or xray_artifact_path (an "
            "archive of docker save) is needed: nothing is deployed here yet"
        )
    record = run.current.record
    return Release(record["release"], record["version"], None, False, record["release_facts"])


def was_brought(place: Place, image: str) -> bool:
    """Whether an earlier deployment brought that image."""
    facts = [generation.record["release_facts"] for generation in place.all()]
    return any(fact.get("image") == image and fact.get("brought") for fact in facts)


def without_tag(reference: str) -> str:
    """The reference without its tag; a port of the registry stays."""
    head, _, last = reference.rpartition("/")
    return f"{head}/{last.split(':')[0]}" if head else last.split(":")[0]


def image_id(run: Run, engine: str, reference: str) -> str:
    """The image's id, 64 hex digits, or empty when it is not on the host."""
    done = run.host.run([engine, "image", "inspect", "--format", "{{.Id}}", reference])
    found = done.output.strip().removeprefix("sha256:")
    return found if done.ok and re.fullmatch(r"[0-9a-f]{64}", found) else ""


def image_ids(run: Run, engine: str) -> set[str]:
    """All images on the host."""
    done = run.host.run([engine, "images", "--no-trunc", "--quiet", "--all"])
    return {line.strip().removeprefix("sha256:") for line in done.output.splitlines()} if done.ok else set()


def load_image(run: Run, engine: str, image: str, variables: Variables) -> str:
    """Load the archive that lies on the host; the id of its image."""
    path = app_artifact.readable(variables.path("artifact_path"), f"{variables.prefix}artifact_path")
    wanted = str(variables.get("sha256") or "").lower()
    if wanted and app_artifact.digest_of(path) != wanted:
        raise BadArtifact(f"{variables.prefix}artifact_path: {path} does not have the SHA-256 {wanted}")
    identity = archive_image(path)
    if image_id(run, engine, identity) if identity else "":
        return identity
    if run.check:
        raise HostError(f"check mode loads nothing: the image of {path} is not on the host, so nothing can be checked")
    done = run.host.run([engine, "load", "--quiet", "-i", str(path)], timeout_s=PULL_TIMEOUT_S)
    found = loaded_image(run, engine, done, image) if done.ok else ""
    if not found:
        raise BadArtifact(f"{path} is no image that {Path(engine).name} can load:\n{done.tail()}")
    return found


def archive_image(path: Path) -> str:
    """The id of the one image in an archive of `docker save`; empty when it cannot be told."""
    try:
        with tarfile.open(path) as archive:
            source = archive.extractfile("manifest.json")
            entries = json.loads(source.read(1024 * 1024)) if source else []
    except (tarfile.TarError, KeyError, ValueError, OSError):
        return ""
    found = re.search(r"([0-9a-f]{64})", str(entries[0].get("Config", ""))) if len(entries) == 1 else None
    return found[1] if found else ""


def loaded_image(run: Run, engine: str, done: Done, image: str) -> str:
    """The id of what `load` says that it loaded."""
    said = [
        line.split(": ", 1)[1].strip()
        for line in done.output.splitlines()
        if line.startswith("Loaded image") and ": " in line
    ]
    for reference in [*said, image]:
        if reference and (found := image_id(run, engine, reference.removeprefix("sha256:"))):
            return found
    return ""


def container_user(variables: Variables) -> str:
    return variables.text("user", "0:0", USER, "numbers uid:gid such as 0:0")


def limits(variables: Variables) -> list[str]:
    """What every container of Xray is held to."""
    return [
        f"--user={container_user(variables)}",
        "--cap-drop=all",
        "--cap-add=NET_BIND_SERVICE",
        "--security-opt=no-new-privileges",
        "--security-opt=label=disable",
        "--read-only",
        "--tmpfs=/tmp",
        f"--entrypoint={variables.text('binary', 'xray', BINARY, 'the name or path of xray in the image')}",
    ]


def probe_argv(
    engine: str, image: str, variables: Variables, arguments: list[str], more: list[str] | None = None
) -> list[str]:
    """A throw-away container without a network."""
    return [
        engine,
        "run",
        "--rm",
        "--network=none",
        "--pull=never",
        *limits(variables),
        *(more or []),
        image,
        *arguments,
    ]


def container_unit(place: Place, engine: str, request: Request, release: Release, config: str) -> str:
    """The unit that keeps the container running."""
    variables, name = request.variables, place.name
    inside = f"{CONFIG_FOLDER}/{Path(config).name}"
    network = variables.choice("network", "host", NETWORKS)
    restart = variables.choice("restart", "always", RESTARTS)
    ports = [] if network == "host" else published(request)
    docker = Path(engine).name == "docker"
    argv = [
        *[
            engine,
            "run",
            "--rm",
            f"--name={name}",
            f"--network={network}",
            "--pull=never",
            "--label=managed-by=myx",
            "--log-driver=none",
        ],
        *([] if docker else ["--cgroups=no-conmon"]),
        *limits(variables),
        *ports,
        *["-v", f"{config}:{inside}:ro", image_of(release), "run", "-config", inside],
    ]
    lines = [
        MARK,
        "[Unit]",
        "Description=Xray in a container (deployed by MyX)",
        f"Wants=network-online.target{' docker.service' if docker else ''}",
        f"After=network-online.target{' docker.service' if docker else ''}",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStartPre=-{engine} rm -f {name}",
        f"ExecStart={' '.join(argv)}",
        f"ExecStop=-{engine} stop -t 8 {name}",
        f"ExecStopPost=-{engine} rm -f {name}",
        f"Restart={restart}",
        "RestartSec=1",
        "TimeoutStartSec=60",
        "TimeoutStopSec=20",
        "KillMode=mixed",
        "Delegate=yes",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
        "",
    ]
    return "\n".join(lines)


def published(request: Request) -> list[str]:
    """The ports of the configuration, opened on the host (bridge network)."""
    found = dict.fromkeys(port for _, port in inbound_addresses(request.config().decode()))
    return [f"--publish={port}:{port}/{kind}" for port in found for kind in ("tcp", "udp")]


def main(document: Any) -> int:
    """Deploy Xray in a container; the exit code says how it went."""
    return answer(XrayContainer(), document)


if __name__ == "__main__":
    sys.exit(main(json.load(sys.stdin)))
