"""`DataQueue`: bytes in order between a stream and who works with them, never more than some."""

from __future__ import annotations

from collections.abc import Callable

from sipsimple.threading.coros import Queue, _check_sender, _Waiters, in_green_thread

__all__ = ['LIMIT', 'DataQueue']

LIMIT = 256 * 1024      # bytes


class DataQueue(Queue[bytes]):
    """A queue of `bytes` that is full when so many wait in it, and has room again when half of them are gone.

    A green thread that puts something into a full queue waits for room first. A callback of the reactor cannot wait: what it puts is taken, and it has to look
    at `full` and to stop until `on_room` is called.

    Args:
        limit: bytes.
    Attributes:
        size: bytes that wait.
        on_data: called when something was put and no green thread waits for it; None for nobody.
        on_room: called when a queue that was full has room again; None for nobody.
        closed: nobody takes anything any more; what is put is dropped.
    Thread: that of the SDK.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        super().__init__()
        self.limit = limit
        self.size = 0
        self.on_data: Callable[[], object] | None = None
        self.on_room: Callable[[], object] | None = None
        self.closed = False
        self._was_full = False
        self._producers = _Waiters()
        self._gone = 0          # bytes of the first item that were taken already

    @property
    def full(self) -> bool:
        """Whether a producer has to wait."""
        return self._was_full

    def put(self, item: bytes) -> None:
        """Add bytes; a green thread waits while the queue is full. RuntimeError outside the SDK thread."""
        _check_sender()
        while self._was_full and not self.closed and in_green_thread():
            self._producers.wait(None)
        if self.closed or not item or self._waiters.wake_one(item) is not None:
            return
        self._items.append(item)
        self.size += len(item)
        if self.size >= self.limit:
            self._was_full = True
        if self.on_data is not None:
            self.on_data()

    send = put

    def _put_back(self, item: bytes) -> None:
        if self._waiters.wake_one(item) is None:
            rest = self._items.popleft()[self._gone:] if self._gone else b''
            self._gone = 0
            self._items.appendleft(item + rest)
            self.size += len(item)

    def get(self, timeout: float | None = None) -> bytes:
        """Wait for bytes, as many as were put at once; QueueEmpty after `timeout` seconds."""
        waiting = bool(self._items)
        item = super().get(timeout)
        if waiting:
            item, self._gone = item[self._gone:], 0
            self._taken(len(item))
        return item

    wait = get

    def take(self, size: int, whole: bool = False) -> bytes:
        """What waits, joined, but no more than `size` bytes; b'' if there is nothing. Never waits.

        Args:
            whole: items are not cut: the first is taken although it is bigger, and no other that would make it too much.
        """
        taken: list[bytes] = []
        left = size
        while self._items and left > 0:
            first = self._items[0]
            if whole and taken and len(first) > left:
                break
            piece = first[self._gone:] if whole else first[self._gone:self._gone + left]
            self._gone += len(piece)
            if self._gone == len(first):
                self._items.popleft()
                self._gone = 0
            taken.append(piece)
            left -= len(piece)
        self._taken(size - left)
        return taken[0] if len(taken) == 1 else b''.join(taken)

    def clear(self) -> None:
        """Forget what waits."""
        super().clear()
        self._gone = 0
        self._taken(self.size)

    def close(self) -> None:
        """Forget what waits and drop what is still put; producers wait no longer."""
        self.closed = True
        self.on_data = self.on_room = None
        self.clear()
        self._producers.wake_all()

    def _taken(self, size: int) -> None:
        self.size -= size
        if self._was_full and self.size <= self.limit // 2:
            self._was_full = False
            self._producers.wake_all()
            if self.on_room is not None:
                self.on_room()
