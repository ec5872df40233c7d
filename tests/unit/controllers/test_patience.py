from kfx.controllers.patience import Patience
from tests.unit.controllers.parts import KEY, Seconds


def test_a_suspicion_is_certain_after_its_time() -> None:
    clock = Seconds()
    patience = Patience(clock, 60)
    assert patience.left(KEY, "a") == 60
    clock.now += 61
    assert patience.left(KEY, "a") == -1


def test_another_reason_and_an_end_of_it_start_anew() -> None:
    clock = Seconds()
    patience = Patience(clock, 60)
    patience.left(KEY, "a")
    clock.now += 50
    assert patience.left(KEY, "b") == 60
    clock.now += 50
    patience.forget(KEY)
    assert patience.left(KEY, "b") == 60
