"""State machines made from tables."""

from __future__ import annotations

import threading
from enum import Enum, StrEnum

import pytest

from sipsimple.statemachine import InvalidTransition, StateMachine, describe


class Light(StrEnum):
    RED = 'red'
    GREEN = 'green'


class What(Enum):
    GO = 1
    STOP = 2


TABLE = {(None, What.STOP): Light.RED, (Light.RED, What.GO): Light.GREEN, (Light.GREEN, What.STOP): Light.RED, (Light.RED, What.STOP): Light.RED}


def test_transitions():
    seen = []
    machine = StateMachine(TABLE, None, lambda *step: seen.append(step))
    assert machine.state is None and machine.check(What.STOP) and not machine.check(What.GO)
    assert machine.fire(What.STOP) is Light.RED
    assert machine.fire(What.GO) is Light.GREEN is machine.state
    assert seen == [(None, What.STOP, Light.RED), (Light.RED, What.GO, Light.GREEN)]


def test_illegal_input_changes_nothing():
    machine = StateMachine(TABLE, Light.GREEN)
    with pytest.raises(InvalidTransition) as caught:
        machine.fire(What.GO)
    assert machine.state is Light.GREEN and caught.value.state is Light.GREEN and caught.value.input is What.GO


def test_one_of_many_threads_wins():
    machine = StateMachine(TABLE, Light.RED)
    barrier = threading.Barrier(8)
    won = []

    def run():
        barrier.wait()
        try:
            machine.fire(What.GO)
        except InvalidTransition:
            return
        won.append(True)
    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [True]


def test_describe():
    assert describe(TABLE).splitlines()[1] == 'red    GO    -> green'
