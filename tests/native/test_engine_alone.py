"""A program that has imported nothing but the Engine gets what comes from the network."""

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = '''
import queue
from sipsimple.core import Engine
from sipsimple.notification import NotificationQueue
from tests.support.sip_peer import UDPPeer, audio_sdp

seen = NotificationQueue()
seen.start()

def wait(name):
    while (notification := seen.get(20)).name != name:
        pass
    return notification

engine = Engine()
engine.start(udp_port=0, ip_address='127.0.0.1', incoming_requests={'PING'})
wait('SIPEngineDidStart')
with UDPPeer(engine.udp_port) as peer:
    peer.send(peer.request('PING'))
    request = wait('SIPIncomingRequestGotRequest')
    request.sender.answer(202)
    peer.expect(202)
    peer.send(peer.request('INVITE', headers='Content-Type: application/sdp\\r\\n', body=audio_sdp()))
    invitation = wait('SIPInvitationChangedState')
    assert invitation.data.state == 'incoming'
    invitation.sender.send_response(486)
    peer.expect(486)
engine.stop()
wait('SIPEngineDidEnd')
print('well done')
'''


def test_requests_reach_a_program_that_names_only_the_engine():
    done = subprocess.run([sys.executable, '-c', textwrap.dedent(PROGRAM)], cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0 and 'well done' in done.stdout, done.stdout + done.stderr
