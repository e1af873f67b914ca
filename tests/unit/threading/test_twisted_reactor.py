"""Twisted's reactor: there when it is asked for, and not before. Each test in a process of its own, because there can be one reactor only."""

import subprocess
import sys
import textwrap

import pytest

PREAMBLE = '''
import sys, threading
from sipsimple.threading import call_in_twisted_thread, reactor as sdk

def in_sdk_thread(function):
    result, done = [], threading.Event()
    def call():
        try:
            result.append(function())
        finally:
            done.set()
    call_in_twisted_thread(call)
    assert done.wait(20)
    return result[0]

def check():
    from twisted.internet import defer, reactor, threads
    from twisted.python import threadable
    assert reactor is sdk.get_reactor() and reactor.running
    assert in_sdk_thread(threadable.isInIOThread) and not threadable.isInIOThread()
    seen, done = [], threading.Event()
    def work():
        seen.append(threading.current_thread() is not sdk.get_thread())
        return 7
    def call():
        threads.deferToThread(work).addCallback(later)
    def later(value):
        seen.append((value, sdk.is_current()))
        reactor.callLater(0.01, done.set)
    reactor.callFromThread(call)
    assert done.wait(20) and seen == [True, (7, True)], seen
'''


def run(code):
    done = subprocess.run([sys.executable, '-c', PREAMBLE + textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_it_is_not_loaded_without_need():
    run('''
        sdk.start()
        in_sdk_thread(sdk.get_loop)
        assert not [name for name in sys.modules if name.startswith('twisted')]
    ''')


def test_made_by_an_import_in_another_thread():
    run('''
        sdk.start()
        from twisted.internet import reactor
        assert reactor.running
        check()
    ''')


def test_made_by_an_import_in_the_sdk_thread():
    run('''
        sdk.start()
        def load():
            from twisted.internet import reactor
            from twisted.python import threadable
            assert reactor.running and threadable.isInIOThread()
            return reactor
        in_sdk_thread(load)
        check()
    ''')


def test_made_by_many_threads_at_a_time():
    run('''
        sdk.start()
        found, gate = [], threading.Barrier(8)
        def load():
            gate.wait(20)
            from twisted.internet import reactor
            found.append((reactor, reactor.running))
        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(found) == 8 and {item for item in found} == {(sdk.get_reactor(), True)}, found
        check()
    ''')


def test_a_program_that_has_installed_it_before():
    run('''
        import asyncio
        from twisted.internet import asyncioreactor
        asyncioreactor.install(asyncio.SelectorEventLoop())
        from twisted.internet import reactor
        sdk.start()
        assert sdk.get_reactor() is reactor and sdk.get_loop() is reactor._asyncioEventloop
        check()
    ''')


@pytest.mark.parametrize('early', [False, True])
def test_another_reactor_is_refused(early):
    """Twisted says so when it is known to be in use, else we do when ours is wanted."""
    run(f'''
        if {early}:
            from twisted.internet import asyncioreactor, error
        sdk.start()
        from twisted.internet import asyncioreactor, error
        try:
            asyncioreactor.install()
        except error.ReactorAlreadyInstalledError:
            assert {early}
        else:
            try:
                sdk.get_reactor()
                raise SystemExit('it was taken')
            except RuntimeError:
                assert not {early}
    ''')
