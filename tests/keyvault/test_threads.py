"""Work shared out among threads: everything is done once, also in nested and failing calls and after a fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from keyvault import threads
from keyvault.threads import each, share


@pytest.fixture(autouse=True)
def four_processors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(threads, "processors", lambda: 4)
    threads._kept_threads.cache_clear()
    yield
    threads._kept_threads.cache_clear()


@pytest.mark.parametrize("number", [1, 2, 4, 9])
def test_every_item_is_taken_once(number: int) -> None:
    taken: list[int] = []
    share(taken.extend, range(1000), number)
    assert sorted(taken) == list(range(1000))


def test_results_come_in_order() -> None:
    assert each(lambda item: item * item, range(257)) == [item * item for item in range(257)]
    assert each(lambda item: item, []) == []


def test_several_threads_do_work() -> None:
    barrier = threading.Barrier(4, timeout=30)
    names = each(lambda _: (barrier.wait(), threading.current_thread().name)[1], range(4))
    assert len(set(names)) == 4


def test_calls_inside_calls_end() -> None:
    totals = each(lambda outer: sum(each(lambda inner: outer * inner, range(50))), range(50))
    assert totals == [outer * sum(range(50)) for outer in range(50)]


def test_an_error_of_any_thread_is_raised_and_nothing_runs_on() -> None:
    running = threading.Semaphore(0)

    def work(item: int) -> None:
        running.release()
        if item == 700:
            raise ArithmeticError("item 700")

    with pytest.raises(ArithmeticError, match="item 700"):
        each(work, range(1000))
    done = running._value
    each(lambda item: item, range(10))
    assert running._value == done


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_works_too() -> None:
    each(lambda item: item, range(100))
    child = os.fork()
    if child == 0:
        os._exit(0 if each(lambda item: item, range(100)) == list(range(100)) else 1)
    assert os.waitpid(child, 0)[1] == 0
