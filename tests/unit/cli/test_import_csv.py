"""Servers from CSV: what is taken, and that what is wrong is named with line and field."""

import pytest

from myx_cli.errors import UsageError
from myx_cli.importing.csv_form import rows_of
from myx_cli.importing.rows import contents_of

HEAD = "name,address,user,port,labels"


def contents(text, folder=None, credential="fleet"):
    content = text if isinstance(text, bytes) else text.encode()
    return contents_of(rows_of(content, "fleet.csv"), folder, credential, accept_host_key=False)


def wrong(text, capfd, folder=None):
    """What is told about the file, the last line is the error itself."""
    with pytest.raises(UsageError) as caught:
        contents(text, folder)
    return [*capfd.readouterr().err.splitlines(), caught.value.message]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_line_is_a_server_however_lines_end(end, mark):
    lines = (HEAD, "web-1,192.0.2.1,ops,2222,role=web", "", "# old: db-0", " db-1 , 2001:db8::1 ", ",,,,")
    assert contents(mark + end.join(lines) + end) == [
        {
            "name": "web-1",
            "address": "192.0.2.1",
            "ssh": {"user": "ops", "port": 2222, "credential": "fleet"},
            "labels": {"role": "web"},
        },
        {"name": "db-1", "address": "2001:db8::1", "ssh": {"credential": "fleet"}},
    ]


@pytest.mark.parametrize(
    "text",
    [
        'Address,NAME,labels\n192.0.2.1,web,"role=web,env=prod"\n',
        "name;address;labels\nweb;192.0.2.1;role=web env=prod\n",
        "# from a list, kept by hand, of all\n\nname;address;labels\nweb;192.0.2.1;role=web,env=prod\n",
        'name,address,labels\n"web","192.0.2.1","role=web\nenv=prod"\n',
    ],
    ids=["quoted comma", "semicolons", "commas in a comment before", "quoted line end"],
)
def test_separators_may_stand_in_cells(text):
    assert contents(text, credential="") == [
        {"name": "web", "address": "192.0.2.1", "labels": {"role": "web", "env": "prod"}}
    ]


def test_all_fields_arrive_with_files_below_the_folder_of_the_file(tmp_path):
    (tmp_path / "pw").write_text("one\n")
    (tmp_path / "sudo").write_text("two\n")
    head = "name,address,user,port,ssh_address,password_file,sudo,sudo_password_file,jump,host_key,repair"
    key = f"SHA256:{'A' * 43}"
    told = contents(f"{head}\na,192.0.2.1,ops,22,192.0.2.9,pw,always,sudo,hop other,{key},ask\n", tmp_path)
    assert told == [
        {
            "name": "a",
            "address": "192.0.2.1",
            "ssh": {
                "user": "ops",
                "address": "192.0.2.9",
                "port": 22,
                "sudo": "always",
                "jump_servers": ["hop", "other"],
            },
            "credential": {"password": "one", "sudo_password": "two"},
            "host_key_fingerprint": key,
            "repair_policy": "ask",
        }
    ]


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("name,adress", "fleet.csv:3: 'adress' is not known; known are name, address, "),
        ("name,user", "fleet.csv:3: the head needs name and address, and each field once"),
        ("name,address,name", "fleet.csv:3: the head needs name and address, and each field once"),
        ("name,address,password", "fleet.csv:3: 'password' is not known"),
    ],
)
def test_a_wrong_head_is_named_with_its_line(head, told, capfd):
    (message,) = wrong(f"# servers\n\n{head}\nweb,192.0.2.1\n", capfd)
    assert message.startswith(told)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("web,", "address: is missing"),
        (",192.0.2.1", "name: '' is none"),
        ("Web 1,192.0.2.1", "name: 'Web 1' is none"),
        (f"{'a' * 64},192.0.2.1", f"name: '{'a' * 64}' is none"),
        ("web,http://192.0.2.1", "address: must be a host name or an IP address"),
        ("web,{{ secret }}", "address: holds a template or a vault"),
        ("web,\x1b[2J", "address: must be a plain text"),
        ("web,a\0b", "address: must be a plain text"),
        ("web,192.0.2.1,,ssh", "port: must be a number from 1 to 65535"),
        ("web,192.0.2.1,,0", "port: must be a number from 1 to 65535"),
        ("web,192.0.2.1,,65536", "port: must be a number from 1 to 65535"),
        (f"web,192.0.2.1,,{'9' * 5000}", "port: must be a number from 1 to 65535"),
        ("web,192.0.2.1,,²", "port: must be a number from 1 to 65535"),
        ("web,192.0.2.1,,,-x=1", "labels: -x is not one"),
        ("web,192.0.2.1,,,x=a/b", "labels: x is not one"),
        ("first,192.0.2.2", "name: first is in fleet.csv:2 already"),
    ],
)
def test_a_wrong_line_is_named_with_its_field(line, told, capfd):
    lines = wrong(f"{HEAD}\nfirst,192.0.2.1\n\n{line}\n", capfd)
    assert lines[0].startswith(f"myx: fleet.csv:4: {told}")
    assert lines[1:] == ["1 of 2 servers are wrong; nothing was done"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"password_file": "none"}, "password_file: none cannot be read: No such file or directory"),
        ({"key_file": "pw"}, "key_file: pw holds no private key"),
        ({"password_file": "pw", "credential": "c"}, "credential: and a login of its own exclude each other"),
        ({"password_file": "pw", "passphrase_file": "pw"}, "passphrase_file: belongs to key_file"),
        ({"sudo_password_file": "pw"}, "password_file: and key_file: exactly one of them, please"),
        ({"sudo": "sometimes"}, "sudo: must be one of auto, always, never"),
        ({"repair": "later"}, "repair: must be one of automatic, ask, off"),
        ({"host_key": "SHA256:short"}, "host_key: must be SHA256: and 43 characters"),
        ({"host_key": f"SHA256:{'A' * 43}", "accept_host_key": "yes"}, "host_key: and accept_host_key exclude"),
        ({"accept_host_key": "perhaps"}, "accept_host_key: must be true or false"),
    ],
)
def test_a_wrong_login_is_named_and_shows_no_secret(fields, told, capfd, tmp_path):
    (tmp_path / "pw").write_text("hidden-word\n")
    text = f"name,address,{','.join(fields)}\nweb,192.0.2.1,{','.join(fields.values())}\n"
    lines = wrong(text, capfd, tmp_path)
    assert lines[0].startswith(f"myx: fleet.csv:2: {told}")
    assert "hidden-word" not in "".join(lines)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{HEAD}\nweb,192.0.2.1,ops,22,a=b,more\n", "fleet.csv:2: more cells than the head has"),
        (f'{HEAD}\nweb,"192.0.2.1\n', "fleet.csv:2: unexpected end of data"),
        (f'{HEAD}\nweb,"192.0.2.1"x\n', "fleet.csv:2: ',' expected after '\"'"),
        (f"{HEAD}\nweb,192.0.2.1\n".encode("utf-16"), "fleet.csv is not UTF-8 text"),
    ],
)
def test_what_is_no_csv_is_said(text, told, capfd):
    assert wrong(text, capfd) == [told]


def test_every_mistake_of_a_file_is_told_at_once(capfd):
    lines = wrong(f"{HEAD}\nweb,\nweb-2,192.0.2.1,,x\nweb-3,192.0.2.1\n", capfd)
    assert lines == [
        "myx: fleet.csv:2: address: is missing",
        "myx: fleet.csv:3: port: must be a number from 1 to 65535",
        "2 of 3 servers are wrong; nothing was done",
    ]


def test_jump_servers_come_first_and_none_waits_for_itself(capfd):
    head = "name,address,jump"
    ordered = contents(f"{head}\na,192.0.2.1,b\nb,192.0.2.2,c\nc,192.0.2.3,\n")
    assert [content["name"] for content in ordered] == ["c", "b", "a"]
    (message,) = wrong(f"{head}\na,192.0.2.1,b\nb,192.0.2.2,a\n", capfd)
    assert message == "fleet.csv:2: jump: servers of this file wait for each other: a, b"
