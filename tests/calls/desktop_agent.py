"""A `chat_agent` that shares desktops: streams of the kinds 'viewer' and 'server', with the handlers that `do_handlers` chose."""

from __future__ import annotations

import hashlib
import queue

from chat_agent import ChatAgent, told

from msrplib.headers import UseNicknameHeader
from sipsimple.core import Engine
from sipsimple.streams import (
    DesktopSharingStream,
    ExternalVNCServerHandler,
    ExternalVNCViewerHandler,
    InternalVNCServerHandler,
    InternalVNCViewerHandler,
)
from sipsimple.threading import call_in_twisted_thread

TYPES = {'viewer': 'active', 'server': 'passive'}


class DesktopAgent(ChatAgent):
    """Also posts what handlers tell; keeps what they have got."""

    def __init__(self):
        super().__init__()
        self.options = {'internal': True}
        self.contrary = False       # say that we are what the peer is
        self.got = {}               # handler -> [bytes, hash]

    def do_handlers(self, internal=True, port=None, connect_timeout=20):
        """How to make the handlers from now on: a server is at `port`."""
        self.options = {'internal': internal, 'port': port, 'connect_timeout': connect_timeout}

    def handler(self, type):
        options = self.options
        if options['internal']:
            return InternalVNCViewerHandler() if type == 'active' else InternalVNCServerHandler()
        if type == 'active':
            return ExternalVNCViewerHandler(connect_timeout=options['connect_timeout'])
        return ExternalVNCServerHandler(('127.0.0.1', options['port']), options['connect_timeout'])

    def make(self, kinds):
        return [DesktopSharingStream(self.account, self.handler(TYPES[kind])) if kind in TYPES else super(DesktopAgent, self).make([kind])[0] for kind in kinds]

    def prepare(self, streams):
        for stream in streams:
            if stream.type == 'desktop-sharing':
                stream.handler = self.handler(stream.handler.type)
                if self.contrary:
                    stream._handler = self.handler({'active': 'passive', 'passive': 'active'}[stream.handler.type])

    def do_accept(self, session, only=None):
        self.prepare(self.sessions[session].proposed_streams)
        super().do_accept(session, only)

    def do_accept_proposal(self, session):
        self.prepare(self.sessions[session].proposed_streams)
        super().do_accept_proposal(session)

    def desktop(self, session):
        target = self.sessions[session]
        return next(stream for stream in (*target.streams, *(target.proposed_streams or ())) if stream.type == 'desktop-sharing')

    def handle_notification(self, notification):
        name, sender, data = notification.name, notification.sender, notification.data
        if not name.startswith('DesktopSharing'):
            super().handle_notification(notification)
            return
        fields = {key: type(value).__name__ if key == 'failure' else told(value) for key, value in vars(data).items() if key != 'timestamp'}
        if name == 'DesktopSharingStreamGotData':
            count = self.got.setdefault(sender, [0, hashlib.sha256()])
            count[0] += len(data.data)
            count[1].update(data.data)
            fields = {'size': len(data.data), 'total': count[0]}
        self.say(event=name, session=None if sender.stream is None else self.name_of(sender.stream.session), state=None, fields=fields)

    def do_address(self, session):
        """Where a viewer of ours can connect."""
        return {'address': self.desktop(session).handler.address}

    def do_write(self, session, text='', size=0):
        """Send RFB data, or so many bytes of no meaning; answers whether there is room for more."""
        return {'room': self.desktop(session).handler.send(text.encode('latin-1') or bytes(range(256)) * (size // 256))}

    def do_flow(self, session, method):
        """Pause or resume the internal handler."""
        getattr(self.desktop(session).handler, method)()

    def do_got(self, session):
        """What the internal handler has got: bytes, hash; what waits in the queues."""
        stream = self.desktop(session)
        size, digest = self.got.get(stream.handler, (0, hashlib.sha256()))
        return {'size': size, 'hash': digest.hexdigest(), 'incoming': stream.incoming_queue.size, 'outgoing': stream.outgoing_queue.size}

    def _answered(self, begin):
        """The code of the answer to what `begin(done)` sends."""
        answers = queue.SimpleQueue()
        call_in_twisted_thread(begin, answers.put)
        return {'code': answers.get(timeout=20)}

    def do_nickname_code(self, session):
        """Ask for a nickname; answers with the code."""
        header = UseNicknameHeader('"x"')
        msrp_session = self.desktop(session).msrp_session
        return self._answered(lambda done: msrp_session.request('NICKNAME', [header]).addCallback(lambda event: done(event.code)))

    def do_send_other(self, session):
        """Send what is no RFB data; answers with the code."""
        msrp_session = self.desktop(session).msrp_session
        return self._answered(lambda done: msrp_session.send_chunk(msrp_session.make_message(b'x', 'text/plain'), lambda chunk: done(chunk.code)))

    def do_drop_desktop(self, session):
        """Break the connection of a desktop."""
        call_in_twisted_thread(self.desktop(session).msrp.abort)

    def do_reset(self):
        self.got.clear()
        self.options = {'internal': True}
        return super().do_reset()


if __name__ == '__main__':
    import logging
    import sys
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    agent = DesktopAgent()
    try:
        agent.run()
    finally:
        Engine().stop()
