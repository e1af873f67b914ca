"""What an XCAP manager does about failures, and about what a server may lose."""

import pytest

from sipsimple.account.xcap import patience, unconfirmed
from sipsimple.account.xcap.errors import CapabilityError, ConflictError, PreconditionError, ServerError, TransportError
from sipsimple.account.xcap.patience import Patience
from sipsimple.account.xcap.unconfirmed import Unconfirmed


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(unconfirmed.time, 'monotonic', lambda: now[0])
    return now


def test_the_first_lost_connection_is_tried_again_soon():
    waits = Patience()
    lost = TransportError('gone')
    assert patience.RETRY_LOST / 2 <= waits.after(lost) <= patience.RETRY_LOST and waits.after(lost) == waits.after(lost) == patience.RETRY
    waits.answered()
    assert waits.after(lost) <= patience.RETRY_LOST and waits.after(CapabilityError('none')) == patience.RETRY_CAPABILITIES


@pytest.mark.parametrize(('asked', 'seconds'), [(None, patience.RETRY), (1, patience.RETRY), (600, 600), (10**6, patience.MAX_RETRY_AFTER)])
def test_a_server_may_ask_for_more_time(asked, seconds):
    error = ServerError(503, 'Unavailable')
    error.retry_after = asked
    assert Patience().after(error) == seconds


def test_conflicts():
    waits, changed, refused = Patience(), PreconditionError(412, 'Precondition Failed'), ConflictError(409, 'Conflict')
    assert [waits.conflict(changed) for _ in range(3)] == [0, 0, 0]
    later = [waits.conflict(changed) for _ in range(patience.MAX_CONFLICTS - 3)]
    assert all(0 <= seconds <= 2 for seconds in later) and any(later) and waits.conflict(changed) is None
    assert waits.conflict(refused) == 0 and waits.conflict(refused) is None         # the second time it is not for somebody else's write
    assert waits.conflict(changed) == 0
    waits.succeeded()
    assert waits.conflict(refused) == 0


def test_what_was_written_is_kept_until_it_was_seen(clock):
    written = Unconfirmed()
    written.written(['a', 'b'])
    written.merged(['a'])                               # with our own copy, which says nothing of the server
    assert written.operations == ['a', 'b']
    written.fetched(exists=True, is_ours=False)
    written.merged(['b'])
    assert written.operations == ['b']
    written.fetched(exists=True, is_ours=True)
    assert written.operations == []


def test_a_new_document_may_still_be_overwritten(clock):
    written = Unconfirmed()
    written.created()
    written.written(['a'])
    written.fetched(exists=True, is_ours=True)
    written.merged([])
    assert written.operations == ['a']
    clock[0] += unconfirmed.CREATED_LIMIT
    written.fetched(exists=True, is_ours=True)
    assert written.operations == []


def test_who_deletes_the_document_means_all_of_it(clock):
    written = Unconfirmed()
    written.created()
    written.written(['a'])
    written.fetched(exists=False, is_ours=False)
    assert written.operations == []
