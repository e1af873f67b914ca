"""A `file_agent` that may be killed at any moment: what it is told, it writes into a file, one line for one fact, at once."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time

from file_agent import FileAgent

from sipsimple.core import Engine, Route, SIPURI, ToHeader
from sipsimple.session import IllegalStateError, Session, SessionManager
from sipsimple.streams import ChatStream
from sipsimple.streams.msrp.chat import ChatStreamError
from sipsimple.threading import call_in_twisted_thread

WINDOW = 8          # messages that are under way at once


def flood_text(number):
    """The text of a message, which says its number: most are short, some longer than what sockets hold."""
    randomly = random.Random(number)
    size = randomly.randrange(100_000, 1_500_000) if randomly.random() < 0.1 else randomly.randrange(200)
    return f'{number}:' + f'{randomly.getrandbits(64):016x}' * (size // 16)


def in_sdk_thread(function):
    """Call it there, and wait for that."""
    done = threading.Event()

    def call():
        try:
            function()
        finally:
            done.set()
    call_in_twisted_thread(call)
    assert done.wait(60)


class Notes:
    """What has happened. A line is in the file as soon as it is written, whatever becomes of the process."""

    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def add(self, *facts):
        os.write(self._file, (' '.join(map(str, facts)) + '\n').encode())


class Flood:
    """Numbered messages over a chat, always some of them under way. In the SDK thread."""

    def __init__(self, notes, stream, first, count):
        self.notes = notes
        self.stream = stream
        self.number, self.stop = first, first + count
        self.numbers = {}           # by message id
        self.early = {}             # what was told of a message before we knew its id

    def begin(self):
        for _ in range(WINDOW):
            self.send()

    def send(self):
        if self.number == self.stop:
            return
        number, self.number = self.number, self.number + 1
        self.notes.add('sent', number)
        try:
            identity = self.stream.send_message(flood_text(number))
        except ChatStreamError:
            self.notes.add('refused', number)
            return
        self.numbers[identity] = number
        for fact in self.early.pop(identity, ()):
            self.notes.add(fact, number)

    def told(self, name, data):
        if name == 'ChatStreamGotMessage':
            text = data.message.content
            number = int(text.partition(':')[0])
            self.notes.add('got', number, text == flood_text(number))
        elif name in ('ChatStreamDidDeliverMessage', 'ChatStreamDidNotDeliverMessage'):
            fact = 'delivered' if name == 'ChatStreamDidDeliverMessage' else 'failed'
            if fact == 'delivered':
                self.send()         # before the other is noted: as long as it goes on, some are not told of
            if data.message_id in self.numbers:
                self.notes.add(fact, self.numbers[data.message_id])
            else:
                self.early.setdefault(data.message_id, []).append(fact)


class KillAgent(FileAgent):
    """Takes every call."""

    def __init__(self):
        super().__init__()
        self.auto = 'accept'
        self.quiet_chunks = True
        self.user = None            # who we are, for calls: one that comes late, for who we were before, is refused
        self.notes = None
        self.handlers = []
        self.flood = None
        self.expected = None        # what to send to who calls for a chat: the first number, and how many

    def handle_notification(self, notification):
        name, sender, data = notification.name, notification.sender, notification.data
        if name == 'SIPSessionNewIncoming' and self.expected is not None:
            chat = next((stream for stream in data.streams if stream.type == 'chat'), None)
            if chat is not None:
                self.begin(chat, *self.expected)
        if name.startswith('ChatStream'):
            if self.flood is not None and sender is self.flood.stream:
                self.flood.told(name, data)
            return
        if name == 'MediaStreamDidStart' and isinstance(sender, ChatStream):
            self.notes.add('started')
        if name.startswith('FileTransfer') and self.notes is not None:
            self.note_file(name, sender, data)
        super().handle_notification(notification)

    def note_file(self, name, sender, data):
        handler = getattr(sender, 'handler', sender)
        called = handler.selector.name
        if name == 'FileTransferStreamDidDeliverChunk':
            self.notes.add('confirmed', called, data.transferred_bytes)
        elif name == 'FileTransferStreamDidFinish':
            self.notes.add('finished', called)
        elif name == 'FileTransferHandlerDidStart':
            self.notes.add('offset', called, handler.offset)

    def get_ready(self, streams):
        super().get_ready(streams)
        self.handlers += [stream.handler for stream in streams if stream.type == 'file-transfer']

    def make_file(self, **options):
        stream = super().make_file(**options)
        self.handlers.append(stream.handler)
        return stream

    def begin(self, chat, first, count):
        self.flood = Flood(self.notes, chat, first, count)
        self.flood.begin()

    def do_start(self, **options):
        ports = super().do_start(**options)
        SessionManager().find_account = lambda uri: self.account if uri.user == self.user else None
        return ports

    def do_begin(self, user, path, expected=None):
        """Be somebody else, who takes notes in another file."""
        def begin():
            self.user, self.notes, self.flood, self.expected = user, Notes(path), None, expected
        in_sdk_thread(begin)

    def call(self, session, port, streams):
        self.sessions[session] = new = Session(self.account)
        new.connect(ToHeader(SIPURI('127.0.0.1', user=self.user, port=port)), [Route('127.0.0.1', port=port)], streams)

    def do_chat(self, session, port, first, count):
        """Call a port for a chat, and send so many numbered messages as fast as they are delivered."""
        def chat():
            stream = ChatStream(self.account)
            self.call(session, port, [stream])
            self.begin(stream, first, count)
        in_sdk_thread(chat)

    def do_transfer_files(self, session, port, files):
        """Call a port to send files, or ask for some, all at once."""
        self.call(session, port, [self.make_file(**options) for options in files])

    def do_end_all(self):
        """End all sessions, as whoever gives up waiting."""
        for session in SessionManager().sessions:
            with contextlib.suppress(IllegalStateError):
                session.end()

    def do_settle(self):
        """Wait until transfers have let go of their files; those that were never initialised have none."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            in_sdk_thread(lambda: None)
            self.handlers = [handler for handler in self.handlers if not handler._closed and handler.state != 'NULL']
            if not self.handlers:
                return {'settled': True}
            time.sleep(0.005)
        return {'settled': False, 'handlers': [str(handler) for handler in self.handlers]}


if __name__ == '__main__':
    import logging
    import sys
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    agent = KillAgent()
    try:
        agent.run()
    finally:
        Engine().stop()
