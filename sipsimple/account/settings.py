"""The groups of settings of accounts."""

from __future__ import annotations

from typing import Any

from sipsimple.configuration import Setting, SettingsGroup
from sipsimple.configuration.datatypes import (
    AudioCodecList,
    MSRPConnectionModel,
    MSRPRelayAddress,
    MSRPTransport,
    NonNegativeInteger,
    Path,
    SIPAddress,
    SIPProxyAddress,
    SIPTransport,
    SRTPKeyNegotiation,
    STUNServerAddressList,
    TURNServerAddress,
    VideoCodecList,
    XCAPRoot,
)

__all__ = ['AuthSettings', 'BonjourDiscoverySettings', 'BonjourMSRPSettings', 'BonjourNATTraversal', 'BonjourPresenceSettings', 'BonjourSIPSettings',
           'BonjourXCAP', 'MSRPSettings', 'MessageSummarySettings', 'NATTraversalSettings',
           'PresenceSettings', 'RTPSettings', 'SIPSettings', 'TLSSettings', 'XCAPSettings',
           'migrate_account']


class AuthSettings(SettingsGroup):
    """Digest authentication (RFC 8760).

    Attributes:
        username: None for the user part of the account's address.
        password: kept as plain text.
    """

    username = Setting(type=str, default=None, nillable=True)
    password = Setting(type=str, default='')


class RegisterSettings(SettingsGroup):
    """Registration (RFC 3261 §10).

    Attributes:
        enabled: keep the account registered while it is active.
    """

    enabled = Setting(type=bool, default=True)

    def _from_scalar(self, value: Any) -> dict[str, Any]:
        return {'enabled': value}       # `register = true`, as it was once written


class SIPSettings(SettingsGroup):
    """How the account reaches its server.

    Attributes:
        always_use_my_proxy: requests go by way of the account's domain and not of the target's; for the application, which makes the routes.
        outbound_proxy: the next hop of REGISTER; None finds the one of the domain in DNS (RFC 3263). The application makes the routes of its
            calls and should start from this one as well.
        follow_redirects: a call that is answered with 300, 301 or 302 goes on to the contacts of that answer, best first; else it ends and the
            application hears of them (RFC 3261 §8.1.3.4).
        register_interval: seconds asked for in REGISTER; the registrar may grant others.
        subscribe_interval: seconds asked for in SUBSCRIBE; 0 is the default.
        publish_interval: seconds asked for in PUBLISH; 0 is the default.
        tls_name: name that the certificate of the next hop must have; None for its host.
        use_gruu: give the GRUU that the registrar assigned as our contact in dialogs (RFC 5627).
    """

    always_use_my_proxy = Setting(type=bool, default=True)
    outbound_proxy = Setting(type=SIPProxyAddress, default=None, nillable=True)
    follow_redirects = Setting(type=bool, default=False)
    register = RegisterSettings
    register_interval = Setting(type=NonNegativeInteger, default=600)   # seconds, the next two as well
    subscribe_interval = Setting(type=NonNegativeInteger, default=600)
    publish_interval = Setting(type=NonNegativeInteger, default=600)
    tls_name = Setting(type=str, default=None, nillable=True)           # in the certificate of the next hop; None: its host
    use_gruu = Setting(type=bool, default=False)                        # as contact in dialogs, RFC 5627


class EncryptionSettings(SettingsGroup):
    """Encryption of the media.

    Attributes:
        enabled: False offers and takes plain RTP only.
        key_negotiation: 'sdes_optional' and 'sdes_mandatory' are SDES (RFC 4568), 'dtls_optional' and 'dtls_mandatory' DTLS-SRTP (RFC 5763);
            'opportunistic' offers SDES and takes what the peer does; of 'zrtp', which this build does not have, plain RTP is left.
    """

    enabled = Setting(type=bool, default=True)
    key_negotiation = Setting(type=SRTPKeyNegotiation, default=SRTPKeyNegotiation('opportunistic'))


class RTPSettings(SettingsGroup):
    """Media of the account's calls.

    Attributes:
        audio_codec_list, video_codec_list: codecs to offer, most preferred first; None for the general list.
        timeout: seconds without a packet until a stream reports it, 0 for never; None for the general setting.
    """

    audio_codec_list = Setting(type=AudioCodecList, default=None, nillable=True)
    video_codec_list = Setting(type=VideoCodecList, default=None, nillable=True)
    timeout = Setting(type=NonNegativeInteger, default=None, nillable=True)         # seconds; None: the general one
    encryption = EncryptionSettings


class NATTraversalSettings(SettingsGroup):
    """Ways through a NAT.

    Attributes:
        use_ice: offer ICE (RFC 8445) for media, and say so in the registered contact.
        stun_server_list: None finds them in DNS (SRV of the account's domain, RFC 8489 §8.1).
        turn_server: relay for media (RFC 8656); None for none.
        turn_username, turn_password: its credentials.
        msrp_relay: relay for MSRP (RFC 4976); None finds it in DNS (SRV of the account's domain) when one is needed.
        use_msrp_relay_for_outbound: use the relay also for sessions we start, and to connect to peers who wait for that.
    """

    use_ice = Setting(type=bool, default=False)
    stun_server_list = Setting(type=STUNServerAddressList, default=None, nillable=True)
    turn_server = Setting(type=TURNServerAddress, default=None, nillable=True)
    turn_username = Setting(type=str, default=None, nillable=True)
    turn_password = Setting(type=str, default=None, nillable=True)
    msrp_relay = Setting(type=MSRPRelayAddress, default=None, nillable=True)
    use_msrp_relay_for_outbound = Setting(type=bool, default=False)


class MessageSummarySettings(SettingsGroup):
    """Message waiting (RFC 3842).

    Attributes:
        enabled: be subscribed to it.
        voicemail_uri: whom to ask; None for the account's own address.
    """

    enabled = Setting(type=bool, default=False)
    voicemail_uri = Setting(type=SIPAddress, default=None, nillable=True)


class MSRPSettings(SettingsGroup):
    """MSRP connections (RFC 4975).

    Attributes:
        transport: 'tls' or 'tcp'.
        connection_model: what to do when we cannot connect to the peer: 'relay', be reached through our relay, or 'acm', let it connect to us (RFC 6135).
    """

    transport = Setting(type=MSRPTransport, default=MSRPTransport('tls'))
    connection_model = Setting(type=MSRPConnectionModel, default=MSRPConnectionModel('relay'))


class PresenceSettings(SettingsGroup):
    """Presence and calls of the user, and of others (RFC 3856, 4235).

    Attributes:
        enabled: publish `presence_state` and `dialog_state`; be subscribed to those of the contacts, to who watches, and to the account's own presence.
    """

    enabled = Setting(type=bool, default=False)


class XCAPSettings(SettingsGroup):
    """Documents on a server (RFC 4825).

    Attributes:
        enabled: keep them there, and in step with what others change.
        discovered: the server has all that is needed, and the documents are there; set by the SDK.
        xcap_root: URL; None finds it in DNS.
        xcap_diff: be told of changes (RFC 5875).
    """

    enabled = Setting(type=bool, default=False)
    discovered = Setting(type=bool, default=False)
    xcap_root = Setting(type=XCAPRoot, default=None, nillable=True)
    xcap_diff = Setting(type=bool, default=True)


class TLSSettings(SettingsGroup):
    """TLS of a peer-to-peer account; the general `tls` settings are the ones in use."""

    certificate = Setting(type=Path, default=None, nillable=True)
    verify_server = Setting(type=bool, default=False)


class BonjourMSRPSettings(SettingsGroup):
    """MSRP connections, without a relay."""

    transport = Setting(type=MSRPTransport, default=MSRPTransport('tls'))


class BonjourDiscoverySettings(SettingsGroup):
    """Multicast DNS.

    Attributes:
        enabled: publish the account's contacts on the local network, and look for neighbours. Without it the account can call, and be called by who knows
            its address.
    """

    enabled = Setting(type=bool, default=True)


class BonjourPresenceSettings(SettingsGroup):
    """Presence among neighbours.

    Attributes:
        enabled: publish the account's `presence_state`.
    """

    enabled = Setting(type=bool, default=False)


class BonjourSIPSettings(SettingsGroup):
    """How neighbours are reached.

    Attributes:
        transport: the one to be found by.
        tls_name: name that the certificate of a peer must have; None for its host.
    """

    transport = Setting(type=SIPTransport, default=SIPTransport('tcp'))
    tls_name = Setting(type=str, default=None, nillable=True)


class BonjourNATTraversal:
    """What an Account has as settings and the BonjourAccount as facts: no ICE, no relay."""

    use_ice = False
    stun_server_list = None
    turn_server = None
    turn_username = None
    turn_password = None
    msrp_relay = None
    use_msrp_relay_for_outbound = False


class BonjourXCAP:
    """What an Account has as settings and the BonjourAccount as facts: no documents on a server."""

    enabled = False
    discovered = False
    xcap_root = None
    xcap_diff = False


def migrate_account(state: dict[str, Any]) -> dict[str, Any]:
    """Stored state in the present layout, the same object when it is: a top-level `password` becomes `auth.password`."""
    if not isinstance(state.get('password'), str):
        return state
    auth = state.get('auth')
    auth = dict(auth) if isinstance(auth, dict) else {}
    auth.setdefault('password', state['password'])
    migrated = {name: value for name, value in state.items() if name != 'password'}
    migrated['auth'] = auth
    return migrated
