"""What mappings forget."""

from kfx.runtime.memory import Expiring, LeastRecentlyUsed


def test_what_was_asked_for_last_is_dropped_last():
    cache = LeastRecentlyUsed(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]
    assert cache.get_or("b", lambda: 4) == 4
    assert len(cache) == 2


def test_what_is_too_old_is_not_there_any_more():
    now = 0.0
    cache = Expiring(lambda: now, size=2)
    cache.put("a", 1, 10)
    cache.put("b", 2, float("inf"))
    now = 9.9
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, 2, None)
    now = 10.0
    assert (cache.get("a"), cache.get("b")) == (None, 2)
    cache.put("c", 3, 1)
    cache.put("d", 4, 1)
    assert [cache.get(key) for key in "abcd"] == [None, None, 3, 4]
