from myx_heartbeat.usecases.pauses import PauseWatch


def test_ticks_in_time_are_no_pause(clock):
    watch = PauseWatch(clock)
    for _ in range(10):
        clock.now += 1.5
        assert watch.tick() == 0

    assert not watch.paused_since(1000)


def test_a_late_tick_is_a_pause_for_what_began_before_it(clock):
    watch = PauseWatch(clock)
    clock.now += 60

    assert watch.tick() == 60
    assert watch.paused_since(1030)
    assert not watch.paused_since(1060.1)


def test_a_pause_is_seen_before_its_tick_comes(clock):
    watch = PauseWatch(clock)
    clock.now += 60

    assert watch.paused_since(1000)
