"""Reading ahead: one thread makes, another takes, so that both kinds of work go on at once."""

import threading
from collections.abc import Callable, Generator, Iterator
from queue import Full, Queue

BATCH = 500
HEAVY = 1 << 20
WAITING = 24
LOOK_UP = 0.1


def read_ahead[T](things: Iterator[T], *, weigh: Callable[[T], int]) -> Generator[T]:
    """Go through an iterator in a thread of its own and give what it gives, in order.

    At most about ``WAITING`` batches wait, each of at most 500 things and, but for its last thing,
    of less than 1 MiB by ``weigh`` (bytes or characters), so memory is bounded. What the iterator raises is
    raised here, after all that came before it. Closing this generator ends the thread. The iterator
    must not use the database, for its thread would have a connection of its own.
    """
    waiting: Queue[list[T] | BaseException | None] = Queue(WAITING)
    closed = threading.Event()

    def hand_over(given: list[T] | BaseException | None) -> bool:
        while not closed.is_set():
            try:
                waiting.put(given, timeout=LOOK_UP)
            except Full:
                continue
            return True
        return False

    def work() -> None:
        batch: list[T] = []
        weight = 0
        ended: BaseException | None = None
        try:
            for thing in things:
                batch.append(thing)
                weight += weigh(thing)
                if len(batch) >= BATCH or weight >= HEAVY:
                    if not hand_over(batch):
                        return
                    batch, weight = [], 0
        except BaseException as error:
            ended = error
        hand_over(batch)
        hand_over(ended)

    thread = threading.Thread(target=work, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            given = waiting.get()
            if given is None:
                return
            if isinstance(given, BaseException):
                raise given
            yield from given
    finally:
        closed.set()
        thread.join()
