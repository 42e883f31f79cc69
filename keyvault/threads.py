"""Work on large arrays, shared out among threads.

The threads are kept from call to call: starting them anew would cost more than many a frame.  The
caller always works too, so a call ends even if every kept thread is busy with other calls, or is
itself the one that calls.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share(work: Callable[[Iterator[_Item]], None], items: Iterable[_Item], threads: int) -> None:
    """Run ``work`` in up to ``threads`` threads, each with an iterator that takes from the same items.

    Returns when all have ended.  Raises what any of them raised, the caller's own first.
    """
    if threads == 1:
        work(iter(items))
        return
    queue = deque(items)
    helpers = [_kept_threads().submit(work, _taken(queue)) for _ in range(min(threads, len(queue)) - 1)]
    try:
        work(_taken(queue))
    finally:
        queue.clear()
        started = [helper for helper in helpers if not helper.cancel()]
        wait(started)
    for helper in started:
        helper.result()


def each(work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """``work`` of every item, in the items' order, on all processors; one item alone stays with the caller."""
    results: list[_Result | None] = [None] * len(items)

    def some(numbers: Iterator[int]) -> None:
        for number in numbers:
            results[number] = work(items[number])

    share(some, range(len(items)), min(processors(), max(1, len(items))))
    return results  # type: ignore[return-value]  # every item has been worked on


def _taken(queue: deque[_Item]) -> Iterator[_Item]:
    while True:
        try:
            yield queue.popleft()
        except IndexError:
            return


@cache
def _kept_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, processors() - 1), thread_name_prefix="privcam")


if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=_kept_threads.cache_clear)
