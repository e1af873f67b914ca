import errno
import pickle

import pytest

from sipsimple.core.errors import PJSIPError, PJSIPTLSError, SIPCoreError, SIPCoreInvalidStateError, pjsip_error
from sipsimple.core.status import sip_status_messages, sipfrag_re


def test_tree():
    assert issubclass(PJSIPError, SIPCoreError) and issubclass(PJSIPTLSError, PJSIPError)
    assert issubclass(SIPCoreInvalidStateError, SIPCoreError) and not issubclass(SIPCoreInvalidStateError, PJSIPError)


def test_status_and_errno():
    error = PJSIPError('could not bind: address in use', 120000 + errno.EADDRINUSE)
    assert (error.errno, str(error)) == (errno.EADDRINUSE, 'could not bind: address in use')
    assert PJSIPError('x', 0).errno == 0
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is PJSIPError and copy.status == error.status and str(copy) == str(error)


@pytest.mark.parametrize('status, cls', [
    (171159, PJSIPError), (171160, PJSIPTLSError), (171166, PJSIPTLSError), (171167, PJSIPError), (120098, PJSIPError)])
def test_class_by_status(status, cls):
    error = pjsip_error('start: failed', status)
    assert type(error) is cls and error.status == status


def test_status_messages():
    assert sip_status_messages[200] == 'OK' and sip_status_messages[486] == 'Busy Here'
    for unknown in (0, 299, 1400, -1):
        with pytest.raises(IndexError):
            sip_status_messages[unknown]


def test_sipfrag_pattern():
    match = sipfrag_re.match('SIP/2.0 180 Ringing\r\nFoo: bar')
    assert match.groupdict() == {'code': '180', 'reason': 'Ringing'}
    assert sipfrag_re.match('SIP/2.0 18 Ringing') is None
