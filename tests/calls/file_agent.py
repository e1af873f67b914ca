"""A `chat_agent` that sends and receives files."""

from __future__ import annotations

import os
import resource
import signal
from types import SimpleNamespace

from chat_agent import ChatAgent, told
from session_agent import Settings

from sipsimple.core import Engine, Route, SIPURI, ToHeader
from sipsimple.session import Session
from sipsimple.streams import AudioStream, FileSelector, FileTransferStream
from sipsimple.streams.msrp import filereceiver

# Little waits for the disk, so that what a receiver had is near to what it was told.
BUFFERS = filereceiver.HIGH, filereceiver.LOW
filereceiver.HIGH, filereceiver.LOW = 1 << 19, 1 << 17
Settings.file_transfer = SimpleNamespace(directory=None)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


class FileAgent(ChatAgent):
    """Also posts what transfers tell, without the bytes."""

    def __init__(self):
        super().__init__()
        self.folder = None
        self.found = None               # what to send to those who ask for a file: a file, or a folder with some
        self.quiet_chunks = False
        self.last = None                # the last stream for a file
        self.rename = None              # what to call files
        self.act_at = None              # a number of bytes transferred, and what to do then

    def handle_notification(self, notification):
        name, sender, data = notification.name, notification.sender, notification.data
        if name == 'SIPSessionNewIncoming' or name == 'SIPSessionGotProposal' and data.originator == 'remote':
            self.get_ready(data.streams)
        if name.startswith('FileTransfer'):
            stream = getattr(sender, 'stream', sender)
            fields = {key: told(value) if key != 'content' else len(value) for key, value in vars(data).items() if key != 'timestamp'}
            if not (self.quiet_chunks and name.endswith(('Chunk', 'Progress')) and 'NotDeliver' not in name):
                self.say(event=name, session=self.name_of(stream.session), state=None, fields=fields)
            reached = {'FileTransferHandlerDidInitialize': -1, 'FileTransferHandlerProgress': getattr(data, 'transferred_bytes', None)}.get(name)
            if reached is not None and self.act_at is not None and reached >= self.act_at[0]:
                action, self.act_at = self.act_at[1], None
                self.act(action, stream)
        else:
            super().handle_notification(notification)

    def name_of(self, session):
        # The last that is told of a file may come when everything was reset.
        return None if session is None or (session.state == 'terminated' and session not in self.sessions.values()) else super().name_of(session)

    def act(self, action, stream):
        if action == 'drop':
            stream.msrp.abort()
        elif action == 'kill':
            kill()
        elif action == 'end':
            stream.session.end()
        elif action == 'remove':
            stream.session.remove_stream(stream)
        elif action == 'scribble':
            os.pwrite(self.scribble, b'other', 0)
        elif action == 'lose':
            self.lose(stream.msrp.transport)
        elif action == 'shorten':
            os.ftruncate(self.scribble, 10)
        else:
            raise ValueError(action)

    @staticmethod
    def lose(transport):
        """Do as if a relay had lost what is written next."""
        original = transport.writeSequence

        def write(buffers):
            if any(b' SEND\r\n' in buffer for buffer in buffers):
                transport.writeSequence = original
            else:
                original(buffers)
        transport.writeSequence = write

    def get_ready(self, streams):
        for stream in streams:
            if stream.type == 'file-transfer':
                self.last = stream
                if stream.direction == 'recvonly':
                    stream.handler.save_directory = self.folder
                elif self.found is not None:
                    path = os.path.join(self.found, stream.file_selector.name) if os.path.isdir(self.found) else self.found
                    stream.file_selector.fd = open(path, 'rb')      # noqa: SIM115 - the stream closes it

    def make_file(self, path=None, direction='sendonly', **selector):
        if path is not None:
            made = FileSelector.for_file(path, **selector)
            made.name = self.rename or made.name
            stream = FileTransferStream(self.account, made)
        else:
            stream = FileTransferStream(self.account, FileSelector(**selector), direction)
        if direction == 'recvonly':
            stream.handler.save_directory = self.folder
        self.last = stream
        return stream

    def do_folder(self, folder=None, found=None):
        """Where files come, and the one to send to those who ask, or a folder with some."""
        self.folder, self.found = folder, found

    def do_transfer_file(self, session, port, audio=False, **options):
        """Call a port to send a file, or ask for one."""
        streams = [AudioStream(self.account)] if audio else []
        self.sessions[session] = new = Session(self.account)
        new.connect(ToHeader(SIPURI('127.0.0.1', user='agent', port=port)), [Route('127.0.0.1', port=port)], [*streams, self.make_file(**options)])

    def do_add_file(self, session, **options):
        self.sessions[session].add_stream(self.make_file(**options))

    def do_facts(self):
        """What is known of the last transfer."""
        stream = self.last
        selector = stream.file_selector
        return {'name': selector.name, 'type': selector.type, 'size': selector.size, 'hash': selector.hash, 'direction': stream.direction, 'id': stream.transfer_id,
                'filename': stream.handler.filename, 'offset': stream.handler.offset, 'state': stream.handler.state,
                'local': [(attribute.name, str(attribute.value)) for attribute in stream.local_media.attributes] if stream.local_media is not None else None}

    def do_rename(self, name):
        self.rename = name

    def do_act_at(self, transferred, action, path=None):
        """Do something when so many bytes are transferred (-1: when the file is ready): 'drop' the connection, 'kill' this process, 'end' the session, 'remove' the stream, 'scribble' into the
        file at a path, 'shorten' it, or 'lose' what is written next."""
        self.act_at = (transferred, action)
        if path is not None:
            self.scribble = os.open(path, os.O_RDWR)

    def do_kill_in(self, function, after=False):
        """Be killed when a file is put into its place, in one of the functions for that."""
        original = getattr(os, function)

        def killed(*arguments, **options):
            if after:
                original(*arguments, **options)
            kill()
        # All of the process: nothing else calls these.
        setattr(os, function, killed)

    def do_quiet_chunks(self, quiet=True):
        self.quiet_chunks = quiet

    def do_buffers(self):
        """As much may wait for the disk as without us."""
        filereceiver.HIGH, filereceiver.LOW = BUFFERS

    def do_limit_files(self, size):
        """No file of ours may be longer, as if the disk were full."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    def do_memory(self):
        """The most memory this process has used, in MB."""
        with open('/proc/self/status', encoding='ascii') as file:
            return {'peak': next(int(line.split()[1]) / 1000 for line in file if line.startswith('VmHWM'))}


if __name__ == '__main__':
    import logging
    import sys
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    agent = FileAgent()
    try:
        agent.run()
    finally:
        Engine().stop()
