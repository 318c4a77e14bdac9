from myx_kit.agent_rpc.signature import sign

NONCE = "000102030405060708090a0b0c0d0e0f"


def test_the_signature_covers_every_part_of_the_request():
    base = ("key", "POST", "/p/rpc", b"{}", 1_700_000_000, NONCE)
    changed = ("yek", "GET", "/p/rpc?x=1", b"[]", 1_700_000_001, NONCE[::-1])
    macs = {sign(*base).rsplit("s=", 1)[1]}
    for position, value in enumerate(changed):
        macs.add(sign(*base[:position], value, *base[position + 1 :]).rsplit("s=", 1)[1])

    assert len(macs) == 1 + len(changed)


def test_the_value_has_the_form_of_the_contract():
    value = sign("key", "POST", "/p/rpc", b"{}", 1_700_000_000, NONCE)

    assert value.startswith(f"v1;t=1700000000;n={NONCE};s=")
    assert len(value.rsplit("s=", 1)[1]) == 64
