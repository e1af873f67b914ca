"""Answer calls like a machine: play a greeting, record what the caller says, print what is pressed. answer.py GREETING.wav FOLDER"""
import os
import sys
import threading
import time

from sipsimple.account import BonjourAccount, ContactURIFactory
from sipsimple.application import SIPApplication
from sipsimple.audio import AudioBridge, WavePlayer, WaveRecorder
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.notification import NotificationCenter
from sipsimple.storage import MemoryStorage


class AnsweringMachine:
    def __init__(self, greeting, folder):
        self.greeting = greeting
        self.folder = folder
        self.count = 0
        self.calls = {}
        self.ended = threading.Event()

    def handle_notification(self, notification):
        handler = getattr(self, f'_NH_{notification.name}', None)
        if handler is not None:
            handler(notification)

    def _NH_SIPApplicationWillStart(self, notification):
        settings = SIPSimpleSettings()
        settings.audio.input_device = None              # no microphone, no loudspeaker
        settings.audio.output_device = None
        settings.save()
        BonjourAccount().contact = ContactURIFactory('machine')

    def _NH_SIPApplicationDidStart(self, notification):
        print(f'call sip:machine@127.0.0.1:{SIPApplication().engine.udp_port}', flush=True)

    def _NH_SIPSessionNewIncoming(self, notification):
        audio = [stream for stream in notification.data.streams if stream.type == 'audio']
        if audio:
            notification.sender.accept(audio[:1])
        else:
            notification.sender.reject(488)

    def _NH_SIPSessionDidStart(self, notification):
        stream = notification.data.streams[0]
        self.count += 1
        player = WavePlayer(stream.mixer, self.greeting)
        recorder = WaveRecorder(stream.mixer, os.path.join(self.folder, f'{time.strftime("%Y%m%d-%H%M%S")}-{self.count}.wav'))
        listening = AudioBridge(stream.mixer)           # the peer alone; stream.start_recording() records both directions
        listening.add(stream)
        listening.add(recorder)
        stream.bridge.add(player)                       # the peer hears what is in the stream's own bridge
        self.calls[stream] = player, recorder, listening        # bridges hold their ports weakly: somebody has to keep them
        recorder.start()
        player.start()

    def _NH_MediaStreamDidEnd(self, notification):
        for part in self.calls.pop(notification.sender, ()):
            part.stop()

    def _NH_AudioStreamGotDTMF(self, notification):
        print('pressed', notification.data.digit, flush=True)

    def _NH_SIPSessionDidEnd(self, notification):
        print('call ended', flush=True)

    def _NH_SIPApplicationDidEnd(self, notification):
        self.ended.set()


if __name__ == '__main__':
    machine = AnsweringMachine(sys.argv[1], sys.argv[2])
    NotificationCenter().add_observer(machine)
    SIPApplication().start(MemoryStorage())
    sys.stdin.read()                                    # until the end of the input: Control-D
    SIPApplication().stop()
    machine.ended.wait(15)
