"""What a deployment is asked for: the user's variables together with those that the host remembers, checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from app_artifact import architecture, readable
from app_variables import MAX_CONFIG_BYTES, SHA256, VERSION, BadVariable, Variables, fill
from check_service import BadProbe, HttpCheck, address, http_check

HIDDEN = "(its words are not shown: hide_config is set)"
ACTIONS = ("deploy", "rollback", "remove")
ARTIFACT = ("version", "url", "sha256", "artifact_path")
ONE_RUN = ("name", "action", "config_file", "config_path", "keep", "takeover", "purge")
SINGLES = (("value_", "config_values"), ("env_", "environment"))
REMEMBERED = (
    "config",
    "config_format",
    "config_values",
    "probe_ports",
    "probe_urls",
    "probe_timeout_s",
    "probe_stay_s",
    "hide_config",
)


@dataclass(frozen=True)
class Probing:
    """How the new state is proved; `ports` None: those of the configuration."""

    ports: tuple[tuple[str, int], ...] | None
    urls: tuple[HttpCheck, ...]
    timeout_s: int
    stay_s: int


@dataclass(frozen=True)
class Request:
    """One checked request; `remembered` are the variables to keep for later runs."""

    variables: Variables
    remembered: dict[str, Any]
    template: str
    is_json: bool
    values: dict[str, str]
    environment: dict[str, str]
    probing: Probing
    keep: int
    hide_config: bool

    def config(self) -> bytes:
        """The configuration as the program will read it."""
        return fill(self.template, self.values, self.variables.prefix, self.is_json).encode()

    def secrets(self) -> set[str]:
        return set(self.values.values()) | set(self.environment.values())


def split_singles(values: dict[str, Any], known: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The variables without `value_NAME` and `env_NAME`, and these as entries of `config_values` and `environment`."""
    plain, singles = dict(values), {}
    for begin, whole in SINGLES:
        if whole in known:
            names = [name for name in plain if name.startswith(begin)]
            singles[whole] = {name[len(begin) :]: plain.pop(name) for name in names}
    return plain, singles


def given_config(variables: Variables, files: dict[str, str]) -> dict[str, Any]:
    """{"config": …} when the user gives one, inline or in a file; raises when it comes twice."""
    ways = [name for name in ("config", "config_file", "config_path") if variables.has(name)]
    if len(ways) > 1:
        raise BadVariable(f"give only one of {', '.join(variables.prefix + way for way in ways)}")
    if not ways:
        return {}
    if ways == ["config"]:
        return {"config": variables.get("config")}
    if ways == ["config_file"]:
        if "config_file" not in files:
            raise variables.wrong("config_file", "a file of the project, relative to its folder")
        return {"config": files["config_file"]}
    path = readable(variables.path("config_path"), f"{variables.prefix}config_path")
    try:
        return {"config": path.read_bytes()[: MAX_CONFIG_BYTES + 1].decode()}
    except UnicodeDecodeError as error:
        raise variables.wrong("config_path", f"a text file; {path} is not UTF-8") from error


def merge(given: dict[str, Any], config: dict[str, Any], remembered: dict[str, Any]) -> dict[str, Any]:
    """What holds: variables that are not named stay as they are on the host; a configuration brings its own format."""
    kept = {name: value for name, value in remembered.items() if not (config and name == "config_format")}
    named = {
        name: value for name, value in given.items() if value is not None and name not in {"config_file", "config_path"}
    }
    return {**kept, **named, **config}


def read_request(variables: Variables, remembered: tuple[str, ...]) -> Request:
    """The request of merged variables; raises `BadVariable`."""
    template, is_json = _template(variables)
    keep = variables.integer("keep", 3, 1, 50)
    return Request(
        variables=variables,
        remembered={name: variables.get(name) for name in remembered if variables.get(name) is not None},
        template=template,
        is_json=is_json,
        values=variables.mapping("config_values") or {},
        environment=variables.mapping("environment") or {},
        probing=_probing(variables),
        keep=keep,
        hide_config=variables.flag("hide_config"),
    )


def _template(variables: Variables) -> tuple[str, bool]:
    config = variables.get("config")
    if isinstance(config, (dict, list)):
        text, is_json = json.dumps(config, indent=2, ensure_ascii=False) + "\n", True
    elif isinstance(config, str) and config.strip():
        text, is_json = config if config.endswith("\n") else config + "\n", _looks_like_json(config)
    else:
        first = f"{variables.prefix}config (text or object)"
        raise BadVariable(
            f"{first}, {variables.prefix}config_file or {variables.prefix}config_path is needed: "
            "nothing is deployed here yet"
            if config is None
            else f"{first} must not be empty"
        )
    if len(text.encode()) > MAX_CONFIG_BYTES:
        raise variables.wrong("config", f"at most {MAX_CONFIG_BYTES // 1024 // 1024} MB")
    return text, is_json


def _looks_like_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _probing(variables: Variables) -> Probing:
    ports, urls = variables.items("probe_ports"), variables.items("probe_urls")
    try:
        return Probing(
            ports=None if ports is None else tuple(address(p, f"{variables.prefix}probe_ports") for p in ports),
            urls=tuple(http_check(url, f"{variables.prefix}probe_urls") for url in urls or ()),
            timeout_s=variables.integer("probe_timeout_s", 15, 1, 600),
            stay_s=variables.integer("probe_stay_s", 3, 0, 300),
        )
    except BadProbe as error:
        raise BadVariable(str(error)) from error


@dataclass(frozen=True)
class Source:
    """Where a new program comes from."""

    url: str
    path: str
    sha256: str
    version: str


def read_source(variables: Variables, default_url: str) -> Source | None:
    """The artifact that is asked for, or None: the program that is deployed stays."""
    version = variables.text("version", "", VERSION, "a version such as 1.2.3").removeprefix("v")
    path, sha256 = variables.path("artifact_path"), _sha256(variables)
    if path:
        return Source("", path, sha256, version)
    url = variables.text("url")
    if not url and not sha256:
        if version:
            raise _no_digest(variables)
        return None
    if not sha256:
        raise _no_digest(variables)
    url = url or default_url
    if "{version}" in url and not version:
        raise variables.wrong("version", "given: the download URL holds {version}")
    return Source(url, "", sha256, version)


def _no_digest(variables: Variables) -> BadVariable:
    return variables.wrong("sha256", "the SHA-256 of the download (64 hex digits): nothing is downloaded without it")


def _sha256(variables: Variables) -> str:
    value = variables.get("sha256")
    if isinstance(value, dict):
        names = {architecture(), {"x86_64": "amd64", "aarch64": "arm64"}.get(architecture(), "")}
        value = next((digest for arch, digest in value.items() if arch in names), None)
        if value is None:
            raise variables.wrong(
                "sha256", f"a digest or a mapping with an entry for {architecture()}, this host's architecture"
            )
    text = str(value or "").lower().removeprefix("sha256:")
    if text and not SHA256.fullmatch(text):
        raise variables.wrong("sha256", f"64 hex digits, not {value!r}")
    return text
