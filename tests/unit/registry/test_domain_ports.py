from myx_registry.domain import ports


def test_ports_lie_in_the_ranges_and_are_not_well_known() -> None:
    assert min(ports.ALLOWED) >= 8000
    assert max(ports.ALLOWED) <= 65535
    assert not any(32768 <= port <= 60999 for port in ports.ALLOWED)
    assert not {8080, 8443, 9090, 9100, 11211, 27017, 61616, 10250} & set(ports.ALLOWED)
    assert len(ports.ALLOWED) > 29_000


def test_every_well_known_port_lies_in_the_ranges() -> None:
    assert all(any(port in allowed for allowed in ports.RANGES) for port in ports.WELL_KNOWN)


def test_candidates_are_different_and_not_always_the_same() -> None:
    one, other = ports.candidates(16), ports.candidates(16)
    assert len(set(one)) == 16
    assert one != other
    assert set(one) <= set(ports.ALLOWED)


def test_the_last_free_port_is_found() -> None:
    taken = set(ports.ALLOWED) - {12_000}
    assert ports.candidates(32, taken) == [12_000]
    assert ports.candidates(32, set(ports.ALLOWED)) == []
