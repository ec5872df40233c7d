from datetime import UTC, datetime, timedelta

from kfx.runtime.event_correlator import (
    BURST,
    GATHERED,
    EventCorrelator,
    Occurrence,
)
from kfx.runtime.memory import LARGEST_CACHE

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
THING = ("Thing", "ns", "t", "u1", "example.com/v1")
OTHER = ("Thing", "ns", "other", "u2", "example.com/v1")


def happened(message="m", *, about=THING, reason="R", type_="Warning", after=0.0):
    return Occurrence(about, type_, reason, message, START + timedelta(seconds=after))


def store_all(correlator, occurrences):
    """What is stored, as the recorder would: (name, message, count)."""
    found = []
    for number, occurrence in enumerate(occurrences):
        event = correlator.correlate(occurrence)
        if event is None:
            found.append(None)
            continue
        name = event.name or f"e{number}"
        correlator.stored(event, name)
        found.append((name, event.occurrence.message, event.count))
    return found


def test_the_same_again_is_counted_up():
    found = store_all(EventCorrelator(), [happened(after=n) for n in range(3)])
    assert found == [("e0", "m", 1), ("e0", "m", 2), ("e0", "m", 3)]


def test_a_count_keeps_the_time_of_the_first():
    correlator = EventCorrelator()
    store_all(correlator, [happened()])
    event = correlator.correlate(happened(after=60))
    assert (event.first, event.occurrence.time) == (START, START + timedelta(seconds=60))


def test_what_could_not_be_stored_is_counted_all_the_same():
    correlator = EventCorrelator()
    assert correlator.correlate(happened()).name == ""
    second = correlator.correlate(happened())
    assert (second.name, second.count) == ("", 2)


def test_other_objects_reasons_and_types_are_other_events():
    occurrences = [happened(), happened(about=OTHER), happened(reason="S"), happened(type_="Normal")]
    assert {count for _, _, count in store_all(EventCorrelator(), occurrences)} == {1}


def test_from_the_tenth_message_on_similar_ones_are_gathered():
    found = store_all(EventCorrelator(), [happened(f"m{n}") for n in range(12)])
    assert [message for _, message, _ in found[:9]] == [f"m{n}" for n in range(9)]
    assert found[9:] == [
        ("e9", f"{GATHERED}m9", 1),
        ("e9", f"{GATHERED}m10", 2),
        ("e9", f"{GATHERED}m11", 3),
    ]


def test_gathering_ends_after_ten_quiet_minutes():
    correlator = EventCorrelator()
    store_all(correlator, [happened(f"m{n}") for n in range(10)])
    assert store_all(correlator, [happened("later", after=601)]) == [("e0", "later", 1)]


def test_gathering_goes_on_for_as_long_as_they_keep_coming():
    correlator = EventCorrelator()
    found = store_all(correlator, [happened(f"m{n}", after=500 * n) for n in range(10)])
    assert found[-1][1] == f"{GATHERED}m9"


def test_an_object_has_25_events_and_then_one_every_five_minutes():
    correlator = EventCorrelator()
    found = store_all(correlator, [happened() for _ in range(BURST + 5)])
    assert [event is None for event in found] == [False] * BURST + [True] * 5
    assert store_all(correlator, [happened(after=299)]) == [None]
    assert store_all(correlator, [happened(after=300), happened(after=301)]) == [("e0", "m", 32), None]


def test_a_noisy_object_takes_nothing_from_others():
    correlator = EventCorrelator()
    store_all(correlator, [happened() for _ in range(BURST + 5)])
    assert store_all(correlator, [happened(about=OTHER), happened(type_="Normal")]) == [
        ("e0", "m", 1),
        ("e1", "m", 1),
    ]


def test_memory_is_bounded():
    correlator = EventCorrelator()
    for number in range(LARGEST_CACHE + 100):
        correlator.correlate(happened(about=("Thing", "ns", str(number), "u", "v1")))
    caches = (correlator._similar, correlator._known, correlator._buckets)
    assert [len(cache) for cache in caches] == [LARGEST_CACHE] * 3
