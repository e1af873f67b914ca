"""SIPApplication: start, stop, again; everything that can go wrong with that."""

from __future__ import annotations

import time

import pytest


def test_once_with_all_its_parts(run):
    run('''
assert (app.state, app.running, app.storage, app.voice_audio_mixer) == (None, False, None, None)
storage = MemoryStorage()
app.start(storage)
assert app.state in ('starting', 'started') and app.storage is storage and SIPApplication.storage is storage
assert app.thread.name == 'SIPSimpleThread' and app.thread.is_alive()
wait('SIPApplicationDidStart')
assert app.state == 'started' and app.running is SIPApplication.running is True
order = [item.name for item in past]
assert order.index('SIPApplicationWillStart') < order.index('SIPEngineWillStart') < order.index('SIPEngineDidStart') < order.index(
    'SIPAccountManagerDidStart') < order.index('SIPSessionManagerDidStart') < order.index('SIPApplicationDidStart'), order
assert app.engine is Engine() and app.engine.is_running
for kind in ('alert', 'voice'):
    mixer, device, bridge = (getattr(app, f'{kind}_audio_{part}') for part in ('mixer', 'device', 'bridge'))
    assert device.mixer is bridge.mixer is mixer and device in bridge, kind
assert app.alert_audio_mixer is not app.voice_audio_mixer and app.alert_audio_mixer.input_device is None
assert app.local_nat_type == 'unknown' and app.video_device is None and app.end_reason is None
assert AccountManager().has_account('bonjour@local') and SIPSimpleSettings().instance_id.startswith('urn:uuid:')
try:
    app.start(storage)
except RuntimeError:
    pass
else:
    raise AssertionError('started twice')
past.clear()
app.stop()
assert app.running is False
data = wait('SIPApplicationDidEnd').data
assert data.end_reason == app.end_reason == 'application request' and app.state == 'stopped'
order = [item.name for item in past if item.name.endswith('End')]
assert order[0] == 'SIPApplicationWillEnd' and order.index('SIPSessionManagerDidEnd') < order.index('SIPEngineDidEnd'), order
assert app.voice_audio_mixer is app.voice_audio_bridge is app.voice_audio_device is app.alert_audio_mixer is app.alert_audio_bridge is None
assert not app.engine.is_running
''')


def test_the_notifications_carry_their_time(run):
    run('''
from datetime import datetime
start()
stop()
mine = [item for item in past if item.name.startswith('SIPApplication')]
assert [item.name.removeprefix('SIPApplication') for item in mine] == ['WillStart', 'DidStart', 'WillEnd', 'DidEnd']
assert all(item.sender is app and isinstance(item.data.timestamp, datetime) and item.data.timestamp.tzinfo for item in mine)
''')


def test_many_times_in_one_process(run):
    """Each start reads its own configuration, and nothing is left of the one before."""
    run('''
def count():
    gc.collect()
    return len(os.listdir('/proc/self/fd')), threading.active_count(), len(os.listdir('/proc/self/task'))
counts = []
for number in range(25):
    storage = MemoryStorage()
    assert start(storage).name == 'SIPApplicationDidStart'
    settings = SIPSimpleSettings()
    assert settings.user_agent.startswith('sipsimple') and [str(account.id) for account in AccountManager().get_accounts()] == ['bonjour@local']
    settings.user_agent = f'agent {number}'
    account = Account(f'user{number}@example.com')
    account.save()
    wait('SIPAccountManagerDidAddAccount')
    stop()
    assert seen() == ['WillStart', 'DidStart', 'WillEnd', 'DidEnd']
    assert list(storage.configuration_backend.load()['Accounts']) == [f'user{number}@example.com']
    del settings, account
    counts.append(count())
assert counts[5] == counts[-1], counts
''')


def test_a_stored_configuration_is_read_again(run, tmp_path):
    run('''
storage = FileStorage('storage')
start(storage)
SIPSimpleSettings().user_agent = 'kept'
saved()
account = Account('alice@example.com')
account.display_name = 'Alice'
account.save()
wait('CFGSettingsObjectWasCreated')
instance_id = SIPSimpleSettings().instance_id
stop()
start(FileStorage('storage'))
assert app.engine.user_agent == SIPSimpleSettings().user_agent == 'kept' and SIPSimpleSettings().instance_id == instance_id
assert AccountManager().get_account('alice@example.com').display_name == 'Alice'
stop()
''')
    assert (tmp_path / 'storage' / 'config').stat().st_mode & 0o777 == 0o600


def test_a_damaged_configuration_is_told_and_left_alone(run, tmp_path):
    (tmp_path / 'storage').mkdir()
    damaged = b'SIPSimpleSettings:\n    user_agent = "half a tex'
    (tmp_path / 'storage' / 'config').write_bytes(damaged)
    run('''
from sipsimple.configuration.backend.file import FileParserError
for attempt in range(2):
    try:
        app.start(FileStorage('storage'))
    except FileParserError as error:
        assert 'line 2' in str(error) or ':2' in str(error), error
    else:
        raise AssertionError('it starts with half a file')
    assert app.state is app.storage is None and not app.running
start()
assert stop().data.end_reason == 'application request'
assert seen() == ['WillStart', 'DidStart', 'WillEnd', 'DidEnd']
''')
    assert (tmp_path / 'storage' / 'config').read_bytes() == damaged


def test_values_that_cannot_be_read_or_written_are_told(run, tmp_path):
    """A stored value that is none of its setting, and a folder that is gone when the next one is saved."""
    (tmp_path / 'storage').mkdir()
    (tmp_path / 'storage' / 'config').write_bytes(b'SIPSimpleSettings:\n    sip:\n        udp_port = nowhere\n')
    run('''
from sipsimple.configuration.backend import ConfigurationBackendError
app.start(FileStorage('storage'))
failed = wait('CFGManagerLoadFailed')
assert failed.sender is ConfigurationManager() and isinstance(failed.data.error, ValueError)
assert (failed.data.attribute, failed.data.container) == ('udp_port', SIPSimpleSettings().sip)
wait('SIPApplicationDidStart')
settings = SIPSimpleSettings()
settings.user_agent = before = 'kept'
saved()
os.rename('storage', 'elsewhere')
open('storage', 'w').close()
settings.user_agent = 'lost'
settings.save()
failed = wait('CFGManagerSaveFailed')
assert failed.sender is ConfigurationManager() and isinstance(failed.data.exception, ConfigurationBackendError)
assert (failed.data.object, failed.data.operation) == (settings, 'save')
assert [(change.old, change.new) for name, change in failed.data.modified.items()] == [(before, 'lost')] and settings.user_agent == 'lost'
os.remove('storage')
os.rename('elsewhere', 'storage')
stop()
''')


def test_the_default_account_changes(run):
    run('''
start()
manager, bonjour = AccountManager(), BonjourAccount()
assert manager.default_account is bonjour
alice = Account('alice@example.com')
alice.enabled = True
alice.sip.register.enabled = False
alice.save()
wait('SIPAccountDidActivate')
manager.default_account = alice
changed = wait('SIPAccountManagerDidChangeDefaultAccount').data
assert (changed.old_account, changed.account) == (bonjour, alice)
alice.enabled = False
alice.save()
changed = wait('SIPAccountManagerDidChangeDefaultAccount').data
assert (changed.old_account, changed.account) == (alice, bonjour) and manager.default_account is bonjour
stop()
''')


def test_what_is_no_storage_is_refused(run):
    run('''
for storage in (None, 'folder', object()):
    try:
        app.start(storage)
    except TypeError:
        pass
    else:
        raise AssertionError(storage)
assert app.state is None and not past
app.stop()                                  # nothing to stop
assert app.state is None
''')


@pytest.mark.parametrize('transport, kind', [('udp', 'SOCK_DGRAM'), ('tcp', 'SOCK_STREAM')])
def test_a_port_in_use_ends_the_start(run, transport, kind):
    """Told as a fatal error; after it the application can be started again."""
    run(f'''
taken = socket.socket(type=socket.{kind})
taken.bind(('0.0.0.0', 0))
if '{transport}' == 'tcp':
    taken.listen()
storage = MemoryStorage()
storage.configuration_backend.data = {{'SIPSimpleSettings': {{'sip': {{'{transport}_port': str(taken.getsockname()[1])}}}}}}
end = start(storage)
assert end.name == 'SIPApplicationDidEnd' and end.data.end_reason == app.end_reason == 'engine failed'
fatal = [item.data for item in past if item.name == 'SIPApplicationGotFatalError']
assert len(fatal) == 1 and isinstance(fatal[0].value, fatal[0].type) and 'Traceback' in fatal[0].traceback, fatal
assert seen() == ['WillStart', 'GotFatalError', 'WillEnd', 'DidEnd'] and app.state == 'stopped' and not app.engine.is_running
taken.close()
assert start(storage).name == 'SIPApplicationDidStart' and app.engine.{transport}_port == SIPSimpleSettings().sip.{transport}_port
stop()
''', traceback=True)


def test_an_error_in_the_start_ends_it(run):
    """Whatever part it is: the application does not stay half started for ever."""
    run('''
def broken(self):
    raise ZeroDivisionError('broken')
original, devices.AudioDevices.start = devices.AudioDevices.start, broken
end = start()
assert end.data.end_reason == 'start failed' and seen() == ['WillStart', 'GotFatalError', 'WillEnd', 'DidEnd']
devices.AudioDevices.start = original
original, SessionManager.start = SessionManager.start, broken
assert start().data.end_reason == 'start failed' and SessionManager().state in (None, 'stopped')
SessionManager.start = original
assert start().name == 'SIPApplicationDidStart'
stop()
''', traceback=True)


@pytest.mark.parametrize('error, setting', [('ValueError', "settings.tls.certificate = '/nowhere/certificate.pem'"),
                                            ('PJSIPTLSError', "settings.tls.certificate = garbage"),
                                            ('PJSIPError', 'settings.sip.tls_port = port')])
def test_without_tls_if_tls_does_not_start(run, tmp_path, error, setting):
    run(f'''
garbage = os.path.abspath('garbage.pem')
with open(garbage, 'w') as file:
    file.write('-----BEGIN CERTIFICATE-----')
taken = socket.create_server(('0.0.0.0', 0))
port = taken.getsockname()[1]
storage = MemoryStorage()
start(storage)
settings = SIPSimpleSettings()
{setting}
saved()
stop()
past.clear()
assert start(storage).name == 'SIPApplicationDidStart'
failure = [item.data.error for item in past if item.name == 'SIPApplicationFailedToStartTLS']
assert len(failure) == 1 and type(failure[0]).__name__ == '{error}', failure
assert seen() == ['WillStart', 'FailedToStartTLS', 'DidStart'] and app.engine.tls_port is None and app.engine.udp_port
settings = SIPSimpleSettings()
settings.tls.certificate, settings.sip.tls_port = None, 0
saved()
changed = wait('TLSTransportHasChanged').data if not any(item.name == 'TLSTransportHasChanged' for item in past) else [
    item.data for item in past if item.name == 'TLSTransportHasChanged'][0]
assert changed.port == app.engine.tls_port and changed.port and (changed.verify_server, changed.certificate, changed.ca_file) == (False, None, None)
stop()
''')


@pytest.mark.parametrize('moment', ['time.sleep(0)', "wait('SIPApplicationWillStart')", "wait('SIPEngineDidStart')", "wait('SIPSessionManagerDidStart')"])
def test_stop_during_the_start(run, moment):
    run(f'''
app.start(MemoryStorage())
{moment}
app.stop()
app.stop()
wait('SIPApplicationDidEnd')
assert seen() == ['WillStart', 'DidStart', 'WillEnd', 'DidEnd'] and app.state == 'stopped'
start()
stop()
assert seen() == ['WillStart', 'DidStart', 'WillEnd', 'DidEnd']
''')


def test_stop_and_start_from_many_threads(run):
    """One start wins, one stop ends it, no stop is lost."""
    run('''
def together(function):
    barrier, results = threading.Barrier(8), []
    def call():
        barrier.wait()
        try:
            results.append(function())
        except RuntimeError as error:
            results.append(error)
    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return results
for number in range(10):
    results = together(lambda: app.start(MemoryStorage()))
    assert sum(result is None for result in results) == 1, results
    if number % 2:
        wait('SIPApplicationDidStart')
    together(app.stop)
    wait('SIPApplicationDidEnd')
    assert seen() == ['WillStart', 'DidStart', 'WillEnd', 'DidEnd']
''')


def test_stop_from_inside_a_notification(run):
    run('''
class Stopper:
    def handle_notification(self, notification):
        app.stop()
stopper = Stopper()
NotificationCenter().add_observer(stopper, name='SIPApplicationDidStart')
app.start(MemoryStorage())
wait('SIPApplicationDidEnd')
assert seen() == ['WillStart', 'DidStart', 'WillEnd', 'DidEnd']
''')


def test_the_engine_breaks(run):
    run('''
from sipsimple.core import _events
start()
past.clear()
def broken(*args):
    raise MemoryError('out of luck')
original, _events.serve = _events.serve, broken
begun = time.monotonic()
while True:
    _events.interrupt()                 # again: the engine's thread may not have begun to serve yet, or be at the end of a turn
    try:
        wait('SIPEngineDidFail', limit=0.2)
        break
    except AssertionError:
        assert time.monotonic() < begun + 30, 'it does not break'
_events.serve = original
assert wait('SIPApplicationDidEnd').data.end_reason == 'engine failed'
names = seen()
assert names[-2:] == ['WillEnd', 'DidEnd'] and 'GotFatalError' in names and app.state == 'stopped', names
assert SessionManager().state == 'stopped'
start()
assert app.engine.is_running
stop()
assert seen() == ['WillStart', 'DidStart', 'WillEnd', 'DidEnd']
''', traceback=True)


@pytest.mark.parametrize('end', ['', 'sys.exit(0)', 'del app', 'app.stop()', "app.stop(); wait('SIPApplicationWillEnd')"])
@pytest.mark.parametrize('started', [True, False])
def test_the_process_may_end_at_any_moment(run, tmp_path, end, started):
    """Without stop() as well; what was saved is in the file."""
    begin = time.monotonic()
    run(f'''
app.start(FileStorage('storage'))
if {started}:
    wait('SIPApplicationDidStart')
SIPSimpleSettings().user_agent = 'saved at the end'
SIPSimpleSettings().save()
{end}
''')
    assert 'user_agent = "saved at the end"' in (tmp_path / 'storage' / 'config').read_text()
    assert time.monotonic() - begin < 60


def test_an_error_in_the_program_is_seen(run):
    run('''
start()
raise SystemExit(3)
''', status=3)


def test_a_subclass(run):
    run('''
class MyApplication(SIPApplication):
    extra = 1
mine = MyApplication()
assert SIPApplication() is MyApplication() is mine
mine.start(MemoryStorage())
started = wait('SIPApplicationDidStart')
assert started.sender is mine and SIPApplication.running is MyApplication.running is True
assert SIPApplication.voice_audio_mixer is MyApplication.voice_audio_mixer is mine.voice_audio_mixer is not None
class Another(SIPApplication):
    pass
try:
    Another()
except RuntimeError:
    pass
else:
    raise AssertionError('two applications')
SIPApplication().stop()
wait('SIPApplicationDidEnd')
assert mine.state == SIPApplication.state == 'stopped' and mine.voice_audio_mixer is None
MyApplication.local_nat_type = 'open'
assert SIPApplication.local_nat_type == mine.local_nat_type == 'open'
''')
