"""A `session_agent` that chats: the account has settings for MSRP, and notifications of chat streams are told with what is in them."""

from __future__ import annotations

import datetime
import threading
from types import SimpleNamespace

import session_agent
from session_agent import Agent, Settings

from sipsimple.account.tls import tls_credentials
from sipsimple.core import Engine
from sipsimple.payloads.cpim import ChatIdentity, CPIMHeader
from sipsimple.streams import MediaStreamRegistry
from sipsimple.util import MultilingualText

MediaStreamRegistry.remove(session_agent.PlainStream)
Settings.tls = SimpleNamespace(certificate=None, ca_list=None, verify_server=True)
Settings.logs = SimpleNamespace(trace_msrp=False)


def told(value):
    """A value as JSON has it."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, bytes):
        return value.decode('latin-1')
    if isinstance(value, (list, tuple)):
        return [told(item) for item in value]
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if hasattr(value, 'recipients'):
        names = ('content', 'content_type', 'sender', 'recipients', 'courtesy_recipients', 'required', 'timestamp')
        return {'class': type(value).__name__, 'subject': None if value.subject is None else [str(value.subject), dict(value.subject.translations)],
                'headers': [(header.name, str(header.namespace), header.value) for header in value.additional_headers],
                **{name: told(getattr(value, name)) for name in names}}
    if hasattr(value, 'first_line'):
        return {'class': type(value).__name__, 'first_line': value.first_line, 'message_id': value.message_id, 'size': value.size,
                'headers': {name: header.encoded for name, header in value.headers.items()}}
    return str(value)


class ChatAgent(Agent):
    """Also posts what chat streams and MSRP connections tell."""

    def __init__(self):
        super().__init__()
        account = self.account
        account.msrp = SimpleNamespace(transport='tcp', connection_model='acm')
        account.nat_traversal.msrp_relay = None
        account.nat_traversal.use_msrp_relay_for_outbound = False
        account.auth = SimpleNamespace(username=None, password='')
        account.id = SimpleNamespace(username='alice', domain='lab.test')
        account.tls_credentials = None

    def handle_notification(self, notification):
        name, sender, data = notification.name, notification.sender, notification.data
        if name.startswith('ChatStream'):
            fields = {key: told(value) for key, value in vars(data).items() if key != 'timestamp'}
            self.say(event=name, session=self.name_of(sender.session), state=None, fields=fields)
        elif name.startswith('MSRP'):
            self.say(event=name, session=None, state=None, fields={key: told(value) for key, value in vars(data).items() if key != 'timestamp'})
        else:
            super().handle_notification(notification)

    def chat(self, session):
        target = self.sessions[session]
        return next(stream for stream in (*target.streams, *(target.proposed_streams or ())) if stream.type == 'chat')

    def do_msrp(self, transport='tcp', model='acm', relay=None, outbound=False, username=None, password='', ca_list=None):
        """Settings of the account."""
        from sipsimple.configuration.datatypes import MSRPRelayAddress
        account = self.account
        Settings.tls.ca_list = None if ca_list is None else SimpleNamespace(normalized=ca_list)
        account.msrp = SimpleNamespace(transport=transport, connection_model=model) if model else SimpleNamespace(transport=transport)
        account.nat_traversal.msrp_relay = None if relay is None else MSRPRelayAddress(*relay, transport=transport)
        account.nat_traversal.use_msrp_relay_for_outbound = outbound
        account.auth = SimpleNamespace(username=username, password=password)
        account.tls_credentials = tls_credentials() if transport == 'tls' else None

    def do_send(self, session, content, content_type='text/plain', binary=False, subject=None, translations=None, recipients=None, headers=(), **options):
        """Send a message; answers with its id."""
        if binary:
            content = content.encode('latin-1')
        if subject is not None:
            options['subject'] = MultilingualText(subject, **(translations or {}))
        if recipients is not None:
            options['recipients'] = [ChatIdentity.parse(text) for text in recipients]
        if headers:
            options['additional_headers'] = [CPIMHeader(*header) for header in headers]
        return {'id': self.chat(session).send_message(content, content_type, **options)}

    def do_big(self, session, size):
        """Send a long text."""
        return {'id': self.chat(session).send_message('x' * size)}

    def do_burst(self, session, count, size):
        """Send many messages of some size."""
        return {'ids': [self.chat(session).send_message(f'{number:0{size}}') for number in range(count)]}

    def do_written(self, session):
        """How much of our unconfirmed messages was written so far, in bytes."""
        from sipsimple.threading import run_in_twisted_thread
        result = []
        done = threading.Event()

        @run_in_twisted_thread
        def look():
            result.append(sum(message.written for message in self.chat(session).msrp.endpoint._messages.values()))
            done.set()
        look()
        done.wait()
        return {'written': result[0]}

    def do_hops(self, session):
        """How many connections there are between us and the peer."""
        return {'hops': len(self.sessions[session].streams[0].msrp.full_remote_path)}

    def do_compose(self, session, state, refresh=None, last_active=None):
        moment = None if last_active is None else datetime.datetime.fromisoformat(last_active)
        return {'id': self.chat(session).send_composing_indication(state, refresh, moment)}

    def do_nickname(self, session, nickname):
        return {'id': self.chat(session).set_local_nickname(nickname)}

    def do_answer_nicknames(self, session, code):
        """Do as a chat room does."""
        stream = self.chat(session)
        stream._handle_NICKNAME = lambda chunk: stream.msrp_session.respond(chunk, code)

    def do_room(self, session, *capabilities):
        """Take the peer for a chat room that can do this."""
        self.sessions[session].remote_focus = True
        self.chat(session).chatroom_capabilities = frozenset(capabilities)

    def do_garbage(self, session, text):
        """Write what is no MSRP into the connection of a chat."""
        from sipsimple.threading import call_in_twisted_thread
        call_in_twisted_thread(self.chat(session).msrp.write, text.encode())

    def do_drop(self, session):
        """Break the connection of a chat."""
        from sipsimple.threading import call_in_twisted_thread
        call_in_twisted_thread(self.chat(session).msrp.abort)


if __name__ == '__main__':
    import logging
    import sys
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    agent = ChatAgent()
    try:
        agent.run()
    finally:
        Engine().stop()
