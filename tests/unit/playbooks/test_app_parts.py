"""The parts of deployments that need no host: variables, archives, addresses, texts."""

import ast
import io
import os
import platform
import tarfile
import zipfile
from pathlib import Path

import app_artifact
import pytest
from app_artifact import BadArtifact, check_architecture, fetch, unpack
from app_deploy import env_file
from app_host import Host, words
from app_place import Place
from app_switch import listen_targets
from app_unit import unit_text
from app_variables import BadVariable, Variables, fill, listen_port, mask
from deploy_caddy import admin_address, listen_addresses
from deploy_xray import inbound_addresses, without_comments, xray_version
from deploy_xray_docker import without_tag

SCRIPTS = Path(app_artifact.__file__).parent
OURS = [*SCRIPTS.glob("app_*.py"), *SCRIPTS.glob("deploy_*.py"), SCRIPTS / "check_service.py"]


def elf(machine=None):
    number = app_artifact.MACHINES[app_artifact.architecture()] if machine is None else machine
    return b"\x7fELF\x02\x01" + bytes(12) + number.to_bytes(2, "little") + bytes(40)


def tar(path, *members):
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_a_tar_gives_only_the_wanted_regular_file(tmp_path):
    link = tarfile.TarInfo("caddy")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
    archive = tar(
        tmp_path / "a.tar.gz",
        (link, b""),
        (tarfile.TarInfo("../../caddy-evil"), b"evil"),
        (tarfile.TarInfo("deep/er/caddy"), b"deep"),
        (tarfile.TarInfo("dir/caddy"), b"right"),
        (tarfile.TarInfo("dir/README"), b"no"),
    )
    out = tmp_path / "out"
    out.mkdir()

    program = unpack(archive, out, "caddy")

    assert program.read_bytes() == b"right"
    assert not program.is_symlink()
    assert os.access(program, os.X_OK)
    assert [path.name for path in out.iterdir()] == ["caddy"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "out"]


def test_a_zip_gives_only_the_wanted_regular_file(tmp_path):
    link = zipfile.ZipInfo("xray")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/shadow")
        archive.writestr("../../xray", b"outside is as good as inside: only its name counts")
        archive.writestr("geoip.dat", b"geo")
    out = tmp_path / "out"
    out.mkdir()

    unpack(tmp_path / "a.zip", out, "xray", ("geoip.dat", "geosite.dat"))

    assert sorted(path.name for path in out.iterdir()) == ["geoip.dat", "xray"]
    assert (out / "xray").read_bytes().startswith(b"outside")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "out"]


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut off", b"\x1f\x8b\x08 cut off"])
def test_what_is_no_artifact_is_refused(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(BadArtifact):
        unpack(tmp_path / "a", tmp_path, "caddy")


def test_an_archive_that_grows_without_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(app_artifact, "MAX_ARTIFACT_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("caddy", bytes(1_000_000))
    (tmp_path / "out").mkdir()
    with pytest.raises(BadArtifact, match="larger"):
        unpack(tmp_path / "a.zip", tmp_path / "out", "caddy")


def test_a_program_for_another_machine_is_refused(tmp_path):
    program = tmp_path / "caddy"
    program.write_bytes(elf())
    check_architecture(program)
    other = "aarch64" if app_artifact.architecture() == "x86_64" else "x86_64"
    program.write_bytes(elf(app_artifact.MACHINES[other]))
    with pytest.raises(BadArtifact, match=f"made for {other}, this host is {app_artifact.architecture()}"):
        check_architecture(program)
    program.write_bytes(b"#!/bin/sh\n")
    check_architecture(program)


def test_architectures_have_the_names_of_uname(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert app_artifact.architecture() == "aarch64"


@pytest.mark.parametrize("url", ["ftp://x/y", "/etc/passwd", "data:,x", "gopher://x"])
def test_other_schemes_are_not_opened(tmp_path, url):
    with pytest.raises(BadVariable, match="must begin with https://"):
        fetch(url, tmp_path / "x", "0" * 64)


def test_a_url_is_told_without_its_query(tmp_path):
    url = "https://127.0.0.1:1/file?token=hush"
    with pytest.raises(BadArtifact) as caught:
        fetch(url, tmp_path / "x", "0" * 64)
    assert "https://127.0.0.1:1/file cannot be downloaded" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_placeholders_are_filled_only_where_values_are_given():
    assert fill("a @@B@@", {}, "x_", as_json=False) == "a @@B@@"
    assert fill("a @@B@@", {"B": 'q"'}, "x_", as_json=False) == 'a q"'
    assert fill('{"a": "@@B@@"}', {"B": 'q"\\'}, "x_", as_json=True) == '{"a": "q\\"\\\\"}'
    with pytest.raises(BadVariable, match="x_config_values has no C"):
        fill("@@C@@", {"B": "1"}, "x_", as_json=False)


def test_secrets_are_masked_also_as_json_and_the_longer_one_first():
    assert mask('hush hush-hush "hu\\"sh"', {"hush", "hush-hush", 'hu"sh', "abc"}) == '******** ******** "********"'
    assert mask("abc", {"abc"}) == "abc"


def test_variables_take_what_a_command_line_gives():
    given = Variables({"a": "[80, 443]", "b": "80,443", "c": "yes", "d": '{"K": 1}', "e": "7"}, "x_", tuple("abcde"))
    assert given.items("a") == [80, 443]
    assert given.items("b") == ["80", "443"]
    assert given.flag("c") is True
    assert given.mapping("d") == {"K": "1"}
    assert given.integer("e", 1, 1, 9) == 7


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (":443", ("127.0.0.1", 443)),
        ("0.0.0.0:80", ("127.0.0.1", 80)),
        ("[::]:80", ("::1", 80)),
        ("tcp/127.0.0.2:8080", ("127.0.0.2", 8080)),
        ("udp/:443", None),
        ("unix//run/x.sock", None),
        (":8000-8010", None),
        (":0", None),
    ],
)
def test_listen_addresses_of_caddy(text, found):
    assert listen_port(text) == found


def test_what_caddy_will_listen_on_is_read_from_its_json():
    servers = {"a": {"listen": [":443", "unix//x"]}, "b": {"listen": ["10.0.0.1:80"]}, "c": {}}
    assert listen_addresses({"apps": {"http": {"servers": servers}}}) == [("", 443), ("10.0.0.1", 80)]
    assert listen_addresses({}) == []
    assert admin_address({}, "unix/x") == "unix/x"
    assert admin_address({"admin": {"listen": "localhost:2020"}}, "unix/x") == "localhost:2020"
    assert admin_address({"admin": {"disabled": True}}, "unix/x") == "off"


def test_what_xray_will_listen_on_is_read_from_json_with_comments():
    config = """{ // "inbounds": []
      "log": {"access": "http://x/*y*/"}, /* more */
      "inbounds": [
        {"port": 443, "protocol": "vless"}, # here
        {"port": "1080", "listen": "127.0.0.1", "protocol": "socks"},
        {"port": "1000-2000", "protocol": "vmess"},
        {"port": 53, "protocol": "dokodemo-door", "settings": {"network": "udp"}},
        {"port": 444, "protocol": "vless", "streamSettings": {"network": "kcp"}},
        {"listen": "/run/x.sock", "port": 1, "protocol": "vless"}]}"""
    assert inbound_addresses(config) == [("", 443), ("127.0.0.1", 1080)]
    assert '"http://x/*y*/"' in without_comments(config)
    assert inbound_addresses("not json") == inbound_addresses("[]") == []


def test_versions_and_references():
    assert xray_version("Xray 25.1.30 (Xray, Penetrates Everything.) abc (go1.23 linux/amd64)") == "25.1.30"
    assert xray_version("bash: xray: not found") == ""
    assert without_tag("registry:5000/xtls/xray:1.8") == "registry:5000/xtls/xray"
    assert without_tag("xray") == "xray"


def test_an_environment_file_keeps_every_character():
    assert env_file({"B": 'a "b" $c \\ `d`', "A": "x # y"}) == 'A="x # y"\nB="a \\"b\\" \\$c \\\\ \\`d\\`"\n'


def test_words_of_json_loggers_are_told_as_text():
    log = '{"level":"info","msg":"using config"}\n\x1b[31m{"level":"error","msg":"adapting","error":"line 2"}\x1b[0m\n'
    assert words(log) == "adapting: line 2"
    assert words('{"level":"info","msg":"only this"}') == '{"level":"info","msg":"only this"}'
    assert words("plain\n\n") == "plain"


def test_the_unit_gives_the_service_only_what_it_was_asked_for():
    place = Place(Host(Path("/")), "web", "caddy")
    text = unit_text(
        place,
        title="Caddy",
        kind="notify",
        start="/x run",
        reload="",
        environment=["A=b"],
        capabilities=["CAP_NET_BIND_SERVICE"],
        home="yes",
        writable=["/srv/a b", "/srv/100%"],
    )
    lines = text.splitlines()
    assert "User=web" in lines
    assert "CapabilityBoundingSet=CAP_NET_BIND_SERVICE" in lines
    assert "NoNewPrivileges=yes" in lines
    assert 'ReadWritePaths="/srv/a b"' in lines
    assert 'ReadWritePaths="/srv/100%%"' in lines
    assert not [line for line in lines if line.startswith("ExecReload")]


def test_a_record_without_addresses_listens_nowhere():
    assert listen_targets(type("G", (), {"record": {}})) == []


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_the_scripts_need_nothing_but_python_3_9(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    own = {path.stem for path in OURS}
    known = __import__("sys").stdlib_module_names
    assert {name.split(".")[0] for name in names if name} <= known | own
