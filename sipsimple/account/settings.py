"""The groups of settings of accounts."""

from __future__ import annotations

from typing import Any

from sipsimple.configuration import Setting, SettingsGroup
from sipsimple.configuration.datatypes import (
    AudioCodecList, MSRPConnectionModel, MSRPRelayAddress, MSRPTransport, NonNegativeInteger, Path, SIPAddress, SIPProxyAddress, SIPTransport,
    SRTPKeyNegotiation, STUNServerAddressList, TURNServerAddress, VideoCodecList, XCAPRoot)

__all__ = ['AuthSettings', 'BonjourMSRPSettings', 'BonjourNATTraversal', 'BonjourPresenceSettings', 'BonjourSIPSettings', 'MSRPSettings',
           'MessageSummarySettings', 'NATTraversalSettings', 'PresenceSettings', 'RTPSettings', 'SIPSettings', 'TLSSettings', 'XCAPSettings',
           'migrate_account']


class AuthSettings(SettingsGroup):
    username = Setting(type=str, default=None, nillable=True)
    password = Setting(type=str, default='')


class RegisterSettings(SettingsGroup):
    enabled = Setting(type=bool, default=True)

    def _from_scalar(self, value: Any) -> dict[str, Any]:
        return {'enabled': value}       # `register = true`, as it was once written


class SIPSettings(SettingsGroup):
    always_use_my_proxy = Setting(type=bool, default=True)
    outbound_proxy = Setting(type=SIPProxyAddress, default=None, nillable=True)
    register = RegisterSettings
    register_interval = Setting(type=NonNegativeInteger, default=600)   # seconds, the next two as well
    subscribe_interval = Setting(type=NonNegativeInteger, default=600)
    publish_interval = Setting(type=NonNegativeInteger, default=600)
    tls_name = Setting(type=str, default=None, nillable=True)           # in the certificate of the next hop; None: its host
    use_gruu = Setting(type=bool, default=False)                        # as contact in dialogs, RFC 5627


class EncryptionSettings(SettingsGroup):
    enabled = Setting(type=bool, default=True)
    key_negotiation = Setting(type=SRTPKeyNegotiation, default=SRTPKeyNegotiation('opportunistic'))


class RTPSettings(SettingsGroup):
    audio_codec_list = Setting(type=AudioCodecList, default=None, nillable=True)
    video_codec_list = Setting(type=VideoCodecList, default=None, nillable=True)
    timeout = Setting(type=NonNegativeInteger, default=None, nillable=True)         # seconds; None: the general one
    encryption = EncryptionSettings


class NATTraversalSettings(SettingsGroup):
    use_ice = Setting(type=bool, default=False)
    stun_server_list = Setting(type=STUNServerAddressList, default=None, nillable=True)
    turn_server = Setting(type=TURNServerAddress, default=None, nillable=True)
    turn_username = Setting(type=str, default=None, nillable=True)
    turn_password = Setting(type=str, default=None, nillable=True)
    msrp_relay = Setting(type=MSRPRelayAddress, default=None, nillable=True)
    use_msrp_relay_for_outbound = Setting(type=bool, default=False)


class MessageSummarySettings(SettingsGroup):
    enabled = Setting(type=bool, default=False)
    voicemail_uri = Setting(type=SIPAddress, default=None, nillable=True)


class MSRPSettings(SettingsGroup):
    transport = Setting(type=MSRPTransport, default=MSRPTransport('tls'))
    connection_model = Setting(type=MSRPConnectionModel, default=MSRPConnectionModel('relay'))


class PresenceSettings(SettingsGroup):
    enabled = Setting(type=bool, default=False)


class XCAPSettings(SettingsGroup):
    enabled = Setting(type=bool, default=False)
    discovered = Setting(type=bool, default=False)
    xcap_root = Setting(type=XCAPRoot, default=None, nillable=True)
    xcap_diff = Setting(type=bool, default=True)


class TLSSettings(SettingsGroup):
    certificate = Setting(type=Path, default=None, nillable=True)
    verify_server = Setting(type=bool, default=False)


class BonjourMSRPSettings(SettingsGroup):
    transport = Setting(type=MSRPTransport, default=MSRPTransport('tls'))


class BonjourPresenceSettings(SettingsGroup):
    enabled = Setting(type=bool, default=False)


class BonjourSIPSettings(SettingsGroup):
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
