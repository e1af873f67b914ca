"""A process with a SIPApplication and one account that uses ICE, steered like the agents of the demo: see `sipsimple.demo.agent`.

Further configuration: `account` (its id), `nat`: settings of `account.nat_traversal`, by name. Further events: "ice_state", "ice_done", "ice_failed";
further commands: `facts`, `hold`, `restart`, `play_tone`. `keys`: its key negotiation. With `nameservers`, a list of [address, port], these are asked for names.
"""

from __future__ import annotations

import json
import logging
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sipsimple.demo.agent import Agent
from sipsimple.notification import Notification

FACTS = ('ice_active', 'local_rtp_candidate_type', 'remote_rtp_candidate_type', 'local_rtp_address', 'local_rtp_port', 'remote_rtp_address_received',
         'remote_rtp_port_received', 'remote_rtp_address_sdp', 'remote_rtp_port_sdp', 'remote_rtp_address', 'remote_rtp_port', 'codec', 'srtp_active',
         'statistics', 'encryption.active', 'encryption.type', 'encryption.cipher')


def candidate_fields(candidate: Any) -> dict[str, Any]:
    return {name: getattr(candidate, name) for name in ('component', 'type', 'address', 'port', 'priority', 'rel_address')}


def check_fields(check: Any) -> dict[str, Any]:
    return {'local': candidate_fields(check.local_candidate), 'remote': candidate_fields(check.remote_candidate), 'state': check.state,
            'nominated': check.nominated}


class ICEAgent(Agent):
    def start(self) -> None:
        super().start()
        if 'nameservers' in self.configuration:
            from sipsimple.lookup import DNSManager
            DNSManager().nameservers = [tuple(server) for server in self.configuration['nameservers']]

    def _configure(self) -> None:
        from sipsimple.account import Account, AccountManager
        from sipsimple.configuration.settings import SIPSimpleSettings
        wanted = self.configuration
        settings: Any = SIPSimpleSettings()
        settings.sip.transport_list = wanted['transports']
        settings.sip.udp_port = wanted['udp_port']
        settings.logs.trace_sip = True
        settings.audio.input_device = settings.audio.output_device = settings.audio.alert_device = None
        settings.rtp.audio_codec_list = wanted['codecs']
        settings.save()
        account: Any = Account(wanted['account'])
        account.sip.register.enabled = False
        account.rtp.encryption.enabled = wanted['srtp'] != 'off'
        if 'keys' in wanted:
            account.rtp.encryption.key_negotiation = wanted['keys']
        account.nat_traversal.use_ice = wanted['ice']
        for name, value in wanted['nat'].items():
            setattr(account.nat_traversal, name, value)
        account.enabled = True
        account.save()
        AccountManager().default_account = account
        self.account = account

    def do_play_tone(self, frequency: int, milliseconds: int) -> None:
        """Play a tone to the peer; "tone_played" follows."""
        from sipsimple.core import ToneGenerator
        self.tone = ToneGenerator(self.stream.mixer)
        self.tone.start()
        self.stream.mixer.connect_slots(self.tone.slot, self.stream.consumer_slot)
        self.tone.play_tones([(frequency, 0, milliseconds)])

    def do_hold(self, wish: bool) -> None:
        """Put the peer on hold, or not any more; "held" follows, here and there."""
        (self.session.hold if wish else self.session.unhold)()

    def do_restart(self) -> None:
        """Begin ICE anew, as after a change of our address, which there cannot be here."""
        from sipsimple.session import network
        from sipsimple.session.inputs import Kind
        self.session._send(Kind.NETWORK, network.RESTARTED)

    def do_facts(self) -> None:
        """Tell the attributes of the stream."""
        self.tell('facts', **{name: attrgetter(name)(self.stream) for name in FACTS})

    def _NH_SIPSessionDidChangeHoldState(self, notification: Notification) -> None:
        self.tell('held', by=notification.data.originator, wish=notification.data.on_hold)

    def _NH_ToneGeneratorDidFinishPlaying(self, notification: Notification) -> None:
        notification.sender.stop()
        self.tell('tone_played')

    def _NH_RTPStreamDidEnableEncryption(self, notification: Notification) -> None:
        self.tell('encrypted')

    def _NH_AudioStreamICENegotiationStateDidChange(self, notification: Notification) -> None:
        self.tell('ice_state', previous=notification.data.prev_state, state=notification.data.state)

    def _NH_AudioStreamICENegotiationDidSucceed(self, notification: Notification) -> None:
        data = notification.data
        self.tell('ice_done', duration=data.duration, **{name: [candidate_fields(each) for each in getattr(data, name)]
                                                         for name in ('local_candidates', 'remote_candidates')},
                  **{name: [check_fields(each) for each in getattr(data, name)] for name in ('valid_pairs', 'valid_list')})

    def _NH_AudioStreamICENegotiationDidFail(self, notification: Notification) -> None:
        self.tell('ice_failed', reason=notification.data.reason)


def main() -> None:
    configuration = {'local': True, 'chat': False, 'verbose': False, 'ice': True, 'srtp': 'off', 'transports': ['tcp'], 'codecs': ['PCMU'], 'udp_port': 0,
                     **json.loads(sys.stdin.readline())}
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if configuration['verbose'] else logging.WARNING,
                        format=f'{configuration["name"]}: %(levelname)s %(name)s: %(message)s')
    agent = ICEAgent(configuration, sys.stdout)
    agent.start()
    agent.run(sys.stdin)


if __name__ == '__main__':
    main()
