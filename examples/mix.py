"""Play two .wav files into one bridge and record what it carries, without a call: mix.py A.wav B.wav OUT.wav"""
import sys

from sipsimple.application import SIPApplication
from sipsimple.audio import AudioBridge, WavePlayer, WaveRecorder
from sipsimple.core import AudioMixer
from sipsimple.notification import NotificationQueue
from sipsimple.storage import MemoryStorage

with NotificationQueue() as events:

    def wait_for(name):
        while events.get(timeout=60).name != name:
            pass

    SIPApplication().start(MemoryStorage())
    wait_for('SIPApplicationDidStart')
    mixer = AudioMixer(None, None, 16000)               # no sound card; it runs on a clock of its own
    bridge = AudioBridge(mixer)
    recorder = WaveRecorder(mixer, sys.argv[3])
    players = [WavePlayer(mixer, filename) for filename in sys.argv[1:3]]
    for port in (recorder, *players):
        bridge.add(port)
    recorder.start()
    for player in players:
        player.start()
    for _ in players:
        wait_for('WavePlayerDidEnd')
    recorder.stop()
    bridge.stop()
    SIPApplication().stop()
    wait_for('SIPApplicationDidEnd')
