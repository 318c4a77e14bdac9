from myx_kit.retry import RetryPolicy


def test_the_seeds_rule_is_the_default():
    assert list(RetryPolicy().delays()) == [1, 2, 4]


def test_delays_are_capped():
    assert list(RetryPolicy(max_retries=5, max_delay_s=3).delays()) == [1, 2, 3, 3, 3]


def test_jitter_only_shortens():
    for delay, full in zip(RetryPolicy(jitter=0.5).delays(), (1, 2, 4), strict=True):
        assert full / 2 <= delay <= full


def test_no_retries_means_no_delays():
    assert list(RetryPolicy(max_retries=0).delays()) == []
