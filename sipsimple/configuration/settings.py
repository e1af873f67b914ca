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
    """Echo cancellation of the voice mixer.

    Attributes:
        tail_length: ms of echo that it can take away.
    """

    enabled = Setting(type=bool, default=True)
    tail_length = Setting(type=NonNegativeInteger, default=100)         # ms


class AudioSettings(SettingsGroup):
    """Sound devices and the mixers. Names of devices are those that the Engine lists, or 'system_default', or None for no device.

    Attributes:
        alert_device: output for alerts, as ringing.
        input_device, output_device: microphone and loudspeaker of the calls.
        sample_rate: Hz, of both mixers; a change makes new ones.
        silent: alerts are not heard.
        muted: the microphone is off; not stored.
    """

    alert_device = Setting(type=str, default='system_default', nillable=True)
    input_device = Setting(type=str, default='system_default', nillable=True)
    output_device = Setting(type=str, default='system_default', nillable=True)
    echo_canceller = EchoCancellerSettings
    sample_rate = Setting(type=SampleRate, default=SampleRate(32000))   # Hz
    silent = Setting(type=bool, default=False)
    muted = RuntimeSetting(type=bool, default=False)


class H264Settings(SettingsGroup):
    """H.264; without effect, this build has no video."""

    profile = Setting(type=H264Profile, default=H264Profile('baseline'))
    level = Setting(type=str, default='3.1')


class VideoSettings(SettingsGroup):
    """Video; without effect, this build has none.

    Attributes:
        framerate: pictures per second.
        max_bitrate: Mbit/s; None for no limit.
        muted: the camera is off; not stored.
    """

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
    """Files that are received."""

    directory = Setting(type=Path, default=Path('~/Downloads'))


class LogsSettings(SettingsGroup):
    """What is traced.

    Attributes:
        pjsip_level: 0 (nothing) to 5; counts only with `trace_pjsip`.
        trace_sip: post SIPEngineSIPTrace for each SIP message.
        trace_pjsip: post SIPEngineLog for each line of PJSIP's log.
        trace_msrp: post what goes over MSRP connections.
    """

    pjsip_level = Setting(type=PJSIPLogLevel, default=PJSIPLogLevel(5))
    trace_sip = Setting(type=bool, default=False)
    trace_pjsip = Setting(type=bool, default=False)
    trace_msrp = Setting(type=bool, default=False)


class RTPSettings(SettingsGroup):
    """Media of all calls.

    Attributes:
        port_range: UDP ports for new streams.
        timeout: seconds without a packet until a stream reports it, 0 for never.
        audio_codec_list, video_codec_list: codecs to offer, most preferred first.
    """

    port_range = Setting(type=PortRange, default=PortRange(50000, 50500))
    timeout = Setting(type=NonNegativeInteger, default=30)              # seconds
    audio_codec_list = Setting(type=AudioCodecList, default=AudioCodecList(('opus', 'G722', 'PCMU', 'PCMA')))
    video_codec_list = Setting(type=VideoCodecList, default=VideoCodecList(('H264', 'VP9', 'VP8')))


def _check_ports(port: Any, sibling: Any) -> None:
    if port and port == sibling:
        raise ValueError('the TCP and TLS ports must differ')


class SIPSettings(SettingsGroup):
    """SIP transports and INVITE.

    Attributes:
        invite_timeout: seconds that our INVITE may stay without a final answer; None for no limit.
        udp_port, tcp_port, tls_port: local ports; 0 lets the system choose.
        transport_list: the transports in use, most preferred first.
    """

    invite_timeout = Setting(type=NonNegativeInteger, default=90, nillable=True)    # seconds
    udp_port = Setting(type=Port, default=0)
    tcp_port = CorrelatedSetting(type=Port, sibling='tls_port', validator=_check_ports, default=0)
    tls_port = CorrelatedSetting(type=Port, sibling='tcp_port', validator=_check_ports, default=0)
    transport_list = Setting(type=SIPTransportList, default=SIPTransportList(('tls', 'tcp', 'udp')))


class TLSSettings(SettingsGroup):
    """TLS of SIP.

    Attributes:
        ca_list: PEM file with the authorities that are trusted.
        certificate: PEM file with our key and certificate chain.
        verify_server: refuse a server whose certificate is not in order.
        timeout: ms that a handshake may take.
    """

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
