"""SIPSimpleSettings: the settings that are not an account's."""

from __future__ import annotations

from typing import Any

from sipsimple.__info__ import __version__
from sipsimple.configuration.datatypes import (
    AudioCodecList,
    H264Profile,
    NonNegativeInteger,
    Path,
    PJSIPLogLevel,
    Port,
    PortRange,
    SampleRate,
    SIPTransportList,
    VideoCodecList,
    VideoResolution,
)
from sipsimple.configuration.descriptors import CorrelatedSetting, RuntimeSetting, Setting
from sipsimple.configuration.objects import SettingsGroup, SettingsObject

__all__ = ['SIPSimpleSettings']


class EchoCancellerSettings(SettingsGroup):
    enabled = Setting(type=bool, default=True)
    tail_length = Setting(type=NonNegativeInteger, default=100)         # ms


class AudioSettings(SettingsGroup):
    alert_device = Setting(type=str, default='system_default', nillable=True)
    input_device = Setting(type=str, default='system_default', nillable=True)
    output_device = Setting(type=str, default='system_default', nillable=True)
    echo_canceller = EchoCancellerSettings
    sample_rate = Setting(type=SampleRate, default=SampleRate(32000))   # Hz
    silent = Setting(type=bool, default=False)
    muted = RuntimeSetting(type=bool, default=False)


class H264Settings(SettingsGroup):
    profile = Setting(type=H264Profile, default=H264Profile('baseline'))
    level = Setting(type=str, default='3.1')


class VideoSettings(SettingsGroup):
    device = Setting(type=str, default='system_default', nillable=True)
    resolution = Setting(type=VideoResolution, default=VideoResolution((1280, 720)))
    framerate = Setting(type=int, default=30)
    max_bitrate = Setting(type=float, default=None, nillable=True)      # Mbit/s
    muted = RuntimeSetting(type=bool, default=False)
    h264 = H264Settings


class ChatSettings(SettingsGroup):
    """For extensions."""


class DesktopSharingSettings(SettingsGroup):
    """For extensions."""


class ScreenSharingSettings(SettingsGroup):
    """For extensions."""


class FileTransferSettings(SettingsGroup):
    directory = Setting(type=Path, default=Path('~/Downloads'))


class LogsSettings(SettingsGroup):
    pjsip_level = Setting(type=PJSIPLogLevel, default=PJSIPLogLevel(5))
    trace_sip = Setting(type=bool, default=False)
    trace_pjsip = Setting(type=bool, default=False)
    trace_msrp = Setting(type=bool, default=False)


class RTPSettings(SettingsGroup):
    port_range = Setting(type=PortRange, default=PortRange(50000, 50500))
    timeout = Setting(type=NonNegativeInteger, default=30)              # seconds
    audio_codec_list = Setting(type=AudioCodecList, default=AudioCodecList(('opus', 'G722', 'PCMU', 'PCMA')))
    video_codec_list = Setting(type=VideoCodecList, default=VideoCodecList(('H264', 'VP9', 'VP8')))


def _check_ports(port: Any, sibling: Any) -> None:
    if port and port == sibling:
        raise ValueError('the TCP and TLS ports must differ')


class SIPSettings(SettingsGroup):
    invite_timeout = Setting(type=NonNegativeInteger, default=90, nillable=True)    # seconds
    udp_port = Setting(type=Port, default=0)
    tcp_port = CorrelatedSetting(type=Port, sibling='tls_port', validator=_check_ports, default=0)
    tls_port = CorrelatedSetting(type=Port, sibling='tcp_port', validator=_check_ports, default=0)
    transport_list = Setting(type=SIPTransportList, default=SIPTransportList(('tls', 'tcp', 'udp')))


class TLSSettings(SettingsGroup):
    ca_list = Setting(type=Path, default=None, nillable=True)
    certificate = Setting(type=Path, default=None, nillable=True)
    verify_server = Setting(type=bool, default=False)
    timeout = Setting(type=NonNegativeInteger, default=3000)            # ms


class SIPSimpleSettings(SettingsObject):
    """The general settings (singleton); `save()` applies what changed while the application runs."""

    __id__ = 'SIPSimpleSettings'

    default_account = Setting(type=str, default='bonjour@local', nillable=True)
    user_agent = Setting(type=str, default=f'sipsimple {__version__}')
    instance_id = Setting(type=str, default='')

    audio = AudioSettings
    chat = ChatSettings
    desktop_sharing = DesktopSharingSettings
    screen_sharing = ScreenSharingSettings
    file_transfer = FileTransferSettings
    logs = LogsSettings
    rtp = RTPSettings
    sip = SIPSettings
    tls = TLSSettings
    video = VideoSettings
