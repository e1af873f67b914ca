"""TraceLog: traces as files and as records of logging."""

import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sipsimple.logging import TRACE_KINDS, TraceLog
from sipsimple.notification import NotificationCenter, NotificationData

ROOT = Path(__file__).resolve().parents[3]
INVITE = (b'INVITE sip:bob@192.0.2.1 SIP/2.0\r\nAuthorization: Digest username="alice", response="0123abc", uri="sip:x"\r\n\r\n'
          b'v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0IGtleQ==|2^31\r\na=ice-pwd:hidden\r\ns=\xff\r\n')
SIP = {'received': False, 'source_ip': '192.0.2.7', 'source_port': 5060, 'destination_ip': '192.0.2.1', 'destination_port': 5070, 'data': INVITE,
       'transport': 'UDP'}


def post(name, **data):
    NotificationCenter().post_notification(name, sender='tester', data=NotificationData(**data))


def post_all():
    post('SIPEngineSIPTrace', **SIP)
    post('SIPEngineLog', level=3, message='a line of the log\n')
    post('MSRPTransportTrace', direction='incoming', data='MSRP abc SEND')
    post('MSRPLibraryLog', level='INFO', message='connected')
    post('DNSLookupTrace', query_type='A', query_name='example.com', answer=['192.0.2.1', '192.0.2.2'], error=None, context='lookup_sip_proxy',
         uri='sip:example.com', nameservers=['192.0.2.53'])
    post('DNSLookupTrace', query_type='SRV', query_name='_sip._udp.example.com', answer=None, error=ValueError('bad'), context='lookup_sip_proxy',
         uri='sip:example.com', nameservers=['192.0.2.53', ('192.0.2.54', 5353)])
    post('SIPSessionDidStart', streams=['audio'])


def test_files(tmp_path):
    folder = tmp_path / 'new' / 'folder'
    with TraceLog(folder, TRACE_KINDS):
        post_all()
    post_all()                                  # not any more
    texts = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(texts) == {f'{kind}.log' for kind in TRACE_KINDS}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    assert texts['sip.log'][24:] == (
        'SENT UDP 192.0.2.7:5060 -> 192.0.2.1:5070\nINVITE sip:bob@192.0.2.1 SIP/2.0\nAuthorization: Digest username="alice", response="...", uri="sip:x"\n\n'
        'v=0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:...|2^31\na=ice-pwd:...\ns=\\xff\n\n')
    assert texts['sip.log'][:4].isdigit() and texts['sip.log'][19] == '.'
    assert texts['pjsip.log'][24:] == '(3) a line of the log\n'
    assert [line[24:] for line in texts['dns.log'].splitlines()] == [
        'lookup_sip_proxy(sip:example.com) example.com A at 192.0.2.53: 192.0.2.1; 192.0.2.2',
        "lookup_sip_proxy(sip:example.com) _sip._udp.example.com SRV at 192.0.2.53, ('192.0.2.54', 5353): ValueError: bad"]
    assert 'INCOMING\nMSRP abc SEND\n' in texts['msrp.log'] and 'INFO: connected\n' in texts['msrp.log']
    assert "SIPSessionDidStart from 'tester': NotificationData(streams=['audio'])" in texts['notifications.log']
    assert texts['notifications.log'].count('\n') == 1


def test_only_some_kinds_and_all_secrets(tmp_path):
    log = TraceLog(tmp_path, ['sip'], secrets=True)
    log.start()
    log.start()
    post_all()
    log.stop()
    log.stop()
    assert [path.name for path in tmp_path.iterdir()] == ['sip.log']
    text = (tmp_path / 'sip.log').read_text()
    assert text.count('INVITE') == 1 and 'response="0123abc"' in text and 'inline:c2VjcmV0IGtleQ==|2^31' in text and 'a=ice-pwd:hidden' in text


def test_started_again_it_goes_on(tmp_path):
    log = TraceLog(tmp_path, ['pjsip'])
    for number in range(3):
        with log:
            post('SIPEngineLog', level=number, message='x')
    assert [line[24:] for line in (tmp_path / 'pjsip.log').read_text().splitlines()] == ['(0) x', '(1) x', '(2) x']


def test_files_do_not_grow_for_ever(tmp_path):
    with TraceLog(tmp_path, ['pjsip'], max_bytes=1000, backups=2):
        for number in range(200):
            post('SIPEngineLog', level=1, message=f'{number:050}')
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {'pjsip.log', 'pjsip.log.1', 'pjsip.log.2'} and max(sizes.values()) <= 1000
    assert (tmp_path / 'pjsip.log').read_text().endswith(f'{199:050}\n')
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.iterdir())


def test_to_the_handlers_of_the_program(caplog):
    with caplog.at_level(logging.INFO, 'sipsimple.trace.dns'), TraceLog():
        post_all()
    assert [record.name for record in caplog.records] == ['sipsimple.trace.dns'] * 2            # the others are off


def test_files_keep_it_from_the_handlers_of_the_program(tmp_path, caplog):
    with caplog.at_level(logging.DEBUG), TraceLog(tmp_path):
        post_all()
    assert caplog.records == []


def test_from_many_threads(tmp_path):
    def some(thread):
        for number in range(200):
            post('SIPEngineLog', level=thread, message=f'{number}')
    threads = [threading.Thread(target=some, args=[thread]) for thread in range(5)]
    with TraceLog(tmp_path, ['pjsip']):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = [line[24:] for line in (tmp_path / 'pjsip.log').read_text().splitlines()]
    assert len(lines) == 1000 and [line for line in lines if line.startswith('(3)')] == [f'(3) {number}' for number in range(200)]


def test_what_cannot_be_written_is_told(tmp_path):
    (tmp_path / 'file').write_text('')
    before = threading.active_count()
    with pytest.raises(OSError):
        TraceLog(tmp_path / 'file').start()
    (tmp_path / 'pjsip.log').mkdir()
    with pytest.raises(OSError):
        TraceLog(tmp_path, ['sip', 'pjsip']).start()
    assert threading.active_count() == before
    with pytest.raises(ValueError):
        TraceLog(tmp_path, ['sip', 'smoke'])


def test_what_was_posted_is_in_the_file_when_the_process_ends(tmp_path):
    script = '''
import sys
from sipsimple.logging import TraceLog
from sipsimple.notification import NotificationCenter, NotificationData
TraceLog(sys.argv[1], ['pjsip']).start()
for number in range(1000):
    NotificationCenter().post_notification('SIPEngineLog', data=NotificationData(level=1, message=str(number)))
'''
    done = subprocess.run([sys.executable, '-c', script, str(tmp_path)], cwd=ROOT, capture_output=True, timeout=60,
                          check=True)
    assert done.stderr == b'' and len((tmp_path / 'pjsip.log').read_text().splitlines()) == 1000
