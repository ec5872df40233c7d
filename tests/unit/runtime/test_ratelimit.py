import pytest

from kfx.runtime.ratelimit import ExponentialBackoff, MaxOf, TokenBucket


def test_each_failure_doubles_the_wait_until_the_cap():
    limiter = ExponentialBackoff()
    waits = [limiter.when("a") for _ in range(20)]
    assert waits[:4] == [0.005, 0.01, 0.02, 0.04]
    assert waits[17] == pytest.approx(655.36)
    assert waits[18:] == [1000.0, 1000.0]


def test_items_fail_apart_and_are_forgotten_apart():
    limiter = ExponentialBackoff()
    for _ in range(3):
        limiter.when("a")
    limiter.when("b")
    assert (limiter.failures("a"), limiter.failures("b")) == (3, 1)
    limiter.forget("a")
    assert (limiter.failures("a"), limiter.failures("b")) == (0, 1)
    assert limiter.when("a") == 0.005


def test_a_million_failures_do_not_overflow():
    limiter = ExponentialBackoff(base=1.0, cap=30.0)
    limiter._failures["a"] = 1_000_000
    assert limiter.when("a") == 30.0


def test_a_bucket_lets_a_burst_through_and_then_one_at_a_time():
    now = [100.0]
    bucket = TokenBucket(rate=10.0, burst=3, clock=lambda: now[0])
    assert [bucket.when("any") for _ in range(3)] == [0, 0, 0]
    assert [round(bucket.when("any"), 3) for _ in range(3)] == [0.1, 0.2, 0.3]
    now[0] += 0.25  # not yet as much as is reserved
    assert bucket.when("any") == pytest.approx(0.15)


def test_a_bucket_left_alone_is_full_again_but_never_fuller():
    now = [0.0]
    bucket = TokenBucket(rate=10.0, burst=3, clock=lambda: now[0])
    for _ in range(5):
        bucket.when("any")
    now[0] += 3600
    waits = [bucket.when("any") for _ in range(4)]
    assert [round(wait, 3) for wait in waits] == [0, 0, 0, 0.1]


def test_the_longest_wait_wins():
    now = [0.0]
    limiter = MaxOf(ExponentialBackoff(base=1.0), TokenBucket(rate=1.0, burst=1, clock=lambda: now[0]))
    assert limiter.when("a") == 1  # the backoff's
    assert limiter.when("b") == 1  # both
    assert limiter.when("c") == 2  # the bucket's
    assert limiter.failures("a") == 1
    limiter.forget("a")
    assert limiter.failures("a") == 0
