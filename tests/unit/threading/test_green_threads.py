"""Workers, the SDK thread, green threads and their primitives; the end of the process."""

import logging
import queue
import subprocess
import sys
import threading
from concurrent.futures import Future

import pytest
from twisted.python.failure import Failure

from sipsimple.threading import ThreadManager, call_in_thread, call_in_twisted_thread, coros, reactor, run_in_thread, run_in_twisted_thread, schedule_in_thread
from sipsimple.threading.green import (
    Command,
    Event,
    InterruptCommand,
    Lock,
    Queue,
    QueueEmpty,
    Timeout,
    Worker,
    call_in_green_thread,
    run_in_green_thread,
    run_in_waitable_green_thread,
    sleep,
    spawn,
    wait_deferred,
)


@pytest.fixture(autouse=True)
def sdk_thread():
    reactor.start()


def green(function):
    """The result of a function run in a green thread."""
    return run_in_waitable_green_thread(function)().result(10)


def in_sdk_thread(function):
    future = Future()

    def call():
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)
    call_in_twisted_thread(call)
    return future.result(10)


def settle():
    """Let the others run until nobody has anything to do at once."""
    for _ in range(20):
        sleep()


# ---- named workers -----------------------------------------------------------------------------------------------


def test_a_worker_keeps_the_order_and_survives(caplog):
    seen = queue.SimpleQueue()
    with caplog.at_level(logging.ERROR):
        for number in range(50):
            call_in_thread('test-order', seen.put, number)
            call_in_thread('test-order', sys.exit)
        schedule_in_thread('test-order', seen.put, 'end')
        assert [seen.get(timeout=10) for _ in range(51)] == [*range(50), 'end']
    assert 'test-order' in caplog.text


def test_inline_in_the_worker_itself_unless_scheduled():
    log, done = [], threading.Event()

    @run_in_thread('test-inline')
    def inline():
        log.append('inline')

    @run_in_thread('test-inline', scheduled=True)
    def later():
        log.append('later')
        done.set()

    @run_in_thread('test-inline')
    def outer():
        later()
        inline()
        log.append(threading.current_thread().name)
    assert outer() is None
    assert done.wait(10)
    assert log == ['inline', 'test-inline', 'later'] and outer.__name__ == 'outer'


def test_stop_carries_out_what_is_queued():
    log, gate = [], threading.Event()
    call_in_thread('test-stop', gate.wait, 10)
    for number in range(100):
        call_in_thread('test-stop', log.append, number)
    gate.set()
    ThreadManager().stop()
    assert log == list(range(100))
    done = threading.Event()
    call_in_thread('test-stop', done.set)
    assert done.wait(10)
    ThreadManager().stop_thread('test-stop')
    with pytest.raises(RuntimeError):
        ThreadManager().stop_thread('thread-ops')


def test_nothing_queued_is_lost_while_workers_are_stopped():
    count = 0

    def add():
        nonlocal count
        count += 1
    done = threading.Event()

    def produce():
        for _ in range(500):
            schedule_in_thread('test-race', add)
        done.set()
    thread = threading.Thread(target=produce)
    thread.start()
    while not done.is_set():
        ThreadManager().stop()
    thread.join()
    ThreadManager().stop()
    assert count == 500


# ---- the SDK thread ----------------------------------------------------------------------------------------------


def test_start_again_is_the_same_thread():
    ident = in_sdk_thread(threading.get_ident)
    reactor.start()
    assert in_sdk_thread(threading.get_ident) == ident and reactor.is_running() and not reactor.is_current()
    assert in_sdk_thread(reactor.is_current)


def test_calls_keep_their_order_and_failures_end_nothing(caplog):
    log = []
    for number in range(20):
        call_in_twisted_thread(log.append, number)
        call_in_twisted_thread(sys.exit, 3)
    assert in_sdk_thread(lambda: list(log)) == list(range(20))
    assert 'SystemExit' in caplog.text

    @run_in_twisted_thread
    def inline():
        log.append('inline')
    assert in_sdk_thread(lambda: (inline(), log[-1])[1]) == 'inline'


def test_system_exit_in_a_green_thread_ends_only_itself(caplog):
    call_in_green_thread(sys.exit, 3)
    assert green(lambda: 5) == 5
    assert 'SystemExit' in caplog.text
    with pytest.raises(SystemExit):
        green(lambda: sys.exit(4))
    assert in_sdk_thread(reactor.is_current)


# ---- where things may be used ------------------------------------------------------------------------------------


def test_wrong_threads():
    event, things, lock = Event(), Queue(), Lock()
    for wrong in (lambda: event.send(1), lambda: event.send_exception(ValueError()), lambda: things.put(1), lock.acquire, sleep, event.wait, things.get,
                  lambda: Timeout(1), lambda: spawn(print), lambda: Worker(print).start(), lock.release):
        with pytest.raises(RuntimeError):
            wrong()
    for wrong in (sleep, event.wait, things.get, lock.acquire, lambda: Timeout(1)):
        with pytest.raises(RuntimeError):
            in_sdk_thread(wrong)                            # a reactor callback cannot wait
    with pytest.raises(RuntimeError):
        in_sdk_thread(lambda: run_in_waitable_green_thread(sleep)(0.01).result())
    assert not event.ready() and len(things) == 0


# ---- primitives --------------------------------------------------------------------------------------------------


def test_events():
    def body():
        event, failed, log = Event(), Event(), []
        for number in range(3):
            spawn(lambda number=number: log.append((number, event.wait())))
        assert event.wait(0) is None and not event.ready()
        settle()
        event.send('x')
        settle()
        assert log == [(0, 'x'), (1, 'x'), (2, 'x')] and event.wait() == 'x'
        with pytest.raises(RuntimeError):
            event.send('y')
        failed.send_exception(ValueError('bad'))
        with pytest.raises(ValueError):
            failed.wait()
    green(body)


def test_a_late_wake_up_does_not_end_the_next_wait():
    def body():
        things, log = Queue(), []

        def waiter():
            try:
                with Timeout(0):
                    log.append(things.get())
            except Timeout:
                pass
            sleep(0.02)
            log.append('slept')
            try:
                log.append(things.get(0))
            except QueueEmpty:
                pass
        thread = spawn(waiter)
        sleep()
        things.put('value')             # wake-up and timeout are due in the same turn of the loop
        begin = reactor.get_loop().time()
        while not thread.dead:
            sleep(0.001)
        return log, reactor.get_loop().time() - begin
    log, elapsed = green(body)
    assert sorted(log) == ['slept', 'value']            # whichever came first, nothing is lost
    assert elapsed >= 0.02


def test_a_value_handed_to_an_interrupted_thread_goes_to_the_next():
    def body():
        things, log = Queue(), []

        def waiter(label):
            log.append((label, things.get()))
        first, second = spawn(waiter, 'first'), spawn(waiter, 'second')
        settle()
        first.kill()                    # due before the wake-up below
        things.put('value')
        settle()
        assert log == [('second', 'value')] and first.dead and second.dead
        third = spawn(waiter, 'third')
        settle()
        third.kill()
        things.put('kept')
        settle()
        assert things.get(0) == 'kept'
    green(body)


def test_queues_are_fair():
    def body():
        things, log = Queue(), []

        def consumer(label):
            for _ in range(3):
                log.append((label, things.get()))
        for label in 'ab':
            spawn(consumer, label)
        settle()
        for number in range(6):
            things.put(number)
            if number == 0:
                with pytest.raises(QueueEmpty):
                    things.get(0)       # it is promised to the one that waits
            settle()
        assert log == [('a', 0), ('b', 1), ('a', 2), ('b', 3), ('a', 4), ('b', 5)]
        things.put(1)
        things.put(2)
        assert len(things) == things.qsize() == 2 and things.get() == 1
        things.clear()
        with pytest.raises(QueueEmpty):
            things.get(0.001)
    green(body)


def test_locks_are_fair_and_survive_kills():
    def body():
        lock, log = Lock(), []

        def worker(label):
            for _ in range(2):
                with lock:
                    log.append(label)
                    sleep()
        with lock:
            with pytest.raises(RuntimeError):
                lock.acquire()
            threads = [spawn(worker, label) for label in 'abc']
            settle()
            threads[0].kill()
            assert lock.locked
        settle()
        assert log == ['b', 'c', 'b', 'c'] and not lock.locked
        with pytest.raises(RuntimeError):
            lock.release()
    green(body)


def test_timeouts():
    def body():
        with Timeout(0.001, False):
            sleep(10)
        with pytest.raises(Timeout):
            with Timeout(0.001):
                sleep(10)
        with pytest.raises(KeyError):
            with Timeout(0.001, KeyError):
                sleep(10)
        with Timeout(None):
            sleep()
        timeout = Timeout(10)
        assert timeout.pending
        timeout.cancel()
        assert not timeout.pending
        with Timeout(0.01):
            pass
        sleep(0.02)                     # a cancelled one does not fire
    green(body)


def test_kill():
    def body():
        log = []

        def victim():
            try:
                sleep(10)
            finally:
                log.append('cleaned')
        thread, unborn = spawn(victim), spawn(log.append, 'never')
        unborn.kill()
        sleep()
        thread.kill()
        thread.kill()
        settle()
        thread.kill()
        return log, thread.dead
    assert green(body) in ((['cleaned'], True), (['never', 'cleaned'], True))


def test_deferreds():
    def body():
        from twisted.internet.defer import CancelledError, Deferred, fail, succeed
        assert wait_deferred(succeed(5)) == 5
        with pytest.raises(ValueError):
            wait_deferred(fail(Failure(ValueError())))
        later = Deferred()
        reactor.call_later(0, later.callback, 'late')
        assert wait_deferred(later, 10) == 'late'
        cancelled = []
        never = Deferred(cancelled.append)
        with pytest.raises(TimeoutError):
            wait_deferred(never, 0.001)
        assert cancelled == [never]
        interrupted = Deferred(cancelled.append)
        with Timeout(0.001, False):
            wait_deferred(interrupted)
        assert cancelled == [never, interrupted]
        assert CancelledError
    green(body)


# ---- commands, workers, waitables --------------------------------------------------------------------------------


def test_commands():
    Command.register_defaults('test', colour='red', size=1)

    def body():
        command = Command('test', size=2)
        assert (command.name, command.colour, command.size) == ('test', 'red', 2) and command.timestamp.utcoffset().total_seconds() == 0
        command.signal('done')
        failed = Command('other')
        failed.signal(ValueError('bad'))
        with pytest.raises(ValueError):
            failed.wait()
        assert not hasattr(failed, 'colour') and issubclass(InterruptCommand, Exception)
        return command.wait()
    assert green(body) == 'done'


def test_workers():
    def body():
        assert Worker.spawn(lambda value: value + 1, 1).wait() == 2
        failing = Worker.spawn(lambda: {}['x'])
        assert isinstance(failing.wait_ex(), KeyError)
        with pytest.raises(KeyError):
            failing.wait()
        with pytest.raises(RuntimeError):
            failing.start()
        slow = Worker.spawn(sleep, 10)
        with pytest.raises(Timeout):    # the waiter's own, not the worker's outcome
            with Timeout(0.001):
                slow.wait_ex()
    green(body)


def test_waitables():
    @run_in_waitable_green_thread
    def double(value):
        sleep()
        return value * 2

    @run_in_green_thread
    def report(future):
        future.set_result(double(4).wait())
    future = Future()
    assert report(future) is None and future.result(10) == 8
    waitable = double(1)
    assert waitable.result(10) == 2 and waitable.done()
    with pytest.raises(TypeError):
        double(None).result(10)
    import asyncio

    async def main():
        return await double(3)
    assert asyncio.run(main()) == 6


def test_switching_is_cheap_enough_to_be_right():
    """A chain of ten thousand hand-overs ends, in order, without deep recursion."""
    def body():
        first = there = Queue()
        for _ in range(100):
            here, there = there, Queue()
            spawn(lambda here=here, there=there: [there.put(here.get() + 1) for _ in range(100)])
        for number in range(100):
            first.put(number)
        return [there.get() for _ in range(100)]
    assert green(body) == [number + 100 for number in range(100)]


def test_a_hub_is_needed():
    assert coros._hub is not None


# ---- the end of the process --------------------------------------------------------------------------------------


@pytest.mark.parametrize('stop', ['', 'ThreadManager().stop()'])
def test_the_process_ends_quietly_and_loses_nothing(tmp_path, stop):
    script = f'''
import sys
from sipsimple.configuration import ConfigurationManager
from sipsimple.configuration.backend.file import FileBackend
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.threading import ThreadManager, call_in_twisted_thread, reactor
from sipsimple.threading.green import call_in_green_thread, sleep
reactor.start()
call_in_green_thread(sleep, 1000)
ConfigurationManager().start(FileBackend(sys.argv[1]))
for number in range(20):
    SIPSimpleSettings().user_agent = f'agent {{number}}'
    SIPSimpleSettings().save()
{stop}
'''
    path = tmp_path / 'config'
    done = subprocess.run([sys.executable, '-c', script, str(path)], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b'', b'')
    assert 'user_agent = "agent 19"' in path.read_text()


def test_calls_at_exit_are_carried_out_inline(tmp_path):
    script = '''
import atexit
from sipsimple.threading import ThreadManager, call_in_thread
atexit.register(lambda: call_in_thread('file-io', print, 'saved', flush=True))
ThreadManager()
'''
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr, done.stdout.strip()) == (0, b'', b'saved')


def test_importing_starts_nothing():
    script = '''
import sys, threading
import sipsimple.threading, sipsimple.threading.green, sipsimple.notification, sipsimple.util, sipsimple.configuration
assert threading.active_count() == 1, threading.enumerate()
assert not [name for name in sys.modules if name.startswith('twisted.internet')]
'''
    assert subprocess.run([sys.executable, '-c', script], capture_output=True, timeout=60, check=False).stderr == b''
