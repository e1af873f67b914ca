"""`AudioStream`: voice over RTP, as a port of the audio bridges."""

from __future__ import annotations

import os
import re
from datetime import datetime
from threading import RLock
from typing import Any, ClassVar

from zope.interface import implementer

from sipsimple.audio import AudioBridge, AudioDevice, IAudioPort, WaveRecorder
from sipsimple.audio.ports import post_slots_changed
from sipsimple.core import AudioTransport, SIPCoreError
from sipsimple.notification import Notification
from sipsimple.streams.rtp.base import RTPStream, RTPStreamState, log
from sipsimple.streams.rtp.context import audio_context, recordings_directory

__all__ = ['AudioStream']

SOUND_CARD = 0          # the slot of the mixer's own device


@implementer(IAudioPort)
class AudioStream(RTPStream):
    """An audio stream of a session.

    It is a port: while it runs and we do not hold the peer, it is part of its own `bridge`, together with `device`, which stands for the sound card.
    The bridge is made when somebody asks for it. Most calls never need more than the stream and the sound card, and these two are then connected in
    the mixer without one, to the same effect.

    Attributes:
        mixer: the `AudioMixer` of the stream, None before it is initialised.
    """

    type: ClassVar[str | None] = 'audio'
    priority: ClassVar[int | None] = 1
    prefix: ClassVar[str] = 'AudioStream'

    def __init__(self, account: Any = None) -> None:
        super().__init__(account)
        self.mixer: Any = None
        self._lock = RLock()                    # the bridge may be asked for in any thread
        self._bridge: AudioBridge | None = None
        self._direct_slot: int | None = None    # our slot, while it is connected with the sound card without a bridge
        self._device: AudioDevice | None = None
        self._recorder: WaveRecorder | None = None
        self._muted = False
        self._slot: int | None = None

    @classmethod
    def _codec_list(cls, account: Any) -> list[str]:
        codecs = account.rtp.audio_codec_list
        if codecs is None:
            from sipsimple.configuration.settings import SIPSimpleSettings
            codecs = SIPSimpleSettings().rtp.audio_codec_list
        known = _available_codecs()
        return [str(codec) for codec in codecs if str(codec).lower() in known]

    def get_local_media(self, for_offer: bool) -> Any:
        """Return the media line of this stream; an answer has only the first of our codecs that was offered, so that our order decides.

        Raises:
            RuntimeError: the stream is not initialised, or has ended.
        """
        media = super().get_local_media(for_offer)
        if not for_offer:
            _keep_first_codec(media, self._offer_to_answer().media[self.index])
        return media

    # The port

    @property
    def consumer_slot(self) -> int | None:
        """The slot the stream takes audio for the peer from; None while the media does not run."""
        return self._slot

    @property
    def producer_slot(self) -> int | None:
        """The slot the peer's audio comes from; None while the media does not run, or is muted."""
        return None if self._muted else self._slot

    @property
    def muted(self) -> bool:
        """Whether the peer's audio is kept from the bridges; writable.

        Raises:
            ValueError: set to something that is no bool.
        """
        return self._muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        if not isinstance(muted, bool):
            raise ValueError(f'muted must be True or False, not {muted!r}')
        if muted != self._muted:
            self._need_bridge()                 # which knows what to do when our slots change
            old = self.producer_slot
            self._muted = muted
            if self._slot is not None:
                self._slots_changed(self._slot, old)

    @property
    def bridge(self) -> AudioBridge:
        """The stream's own bridge, an `AudioBridge` with the sound card in it.

        Raises:
            StreamError: asked before the stream is initialised, with no application running.
        """
        with self._lock:
            if self._bridge is None:
                mixer = self._require_mixer()
                self._device = AudioDevice(mixer)
                self._bridge = AudioBridge(mixer)
                self._bridge.add(self._device)
                if self._direct_slot is not None:
                    self._bridge.add(self)      # from now on the bridge owns the connections, which are there already
                    self._direct_slot = None
            return self._bridge

    @property
    def device(self) -> AudioDevice:
        """The sound card as this stream sees it, an `AudioDevice`. Errors as in `bridge`."""
        with self._lock:
            self._need_bridge()
            assert self._device is not None
            return self._device

    def _need_bridge(self) -> None:
        self.bridge             # noqa: B018  the property makes it

    def _connect(self) -> None:
        """Let the peer and the user hear each other."""
        with self._lock:
            if self._bridge is not None or self._muted:
                self.bridge.add(self)
            elif self._slot is not None:
                self.mixer.connect_slots(SOUND_CARD, self._slot)
                self.mixer.connect_slots(self._slot, SOUND_CARD)
                self._direct_slot = self._slot

    def _disconnect(self) -> None:
        with self._lock:
            if self._direct_slot is not None:
                slot, self._direct_slot = self._direct_slot, None
                try:
                    self.mixer.disconnect_slots(SOUND_CARD, slot)
                    self.mixer.disconnect_slots(slot, SOUND_CARD)
                except SIPCoreError as error:
                    log.debug('cannot disconnect slot %d: %s', slot, error)         # the mixer is gone with the Engine
            elif self._bridge is not None and self in self._bridge:
                self._bridge.remove(self)

    def _require_mixer(self) -> Any:
        if self.mixer is None:
            self.mixer = audio_context().voice_audio_mixer
        return self.mixer

    @property
    def signal_level(self) -> tuple[int, int]:
        """The present loudness (sent, received), 0 to 255; (0, 0) while the media does not run."""
        return self.mixer.get_signal_level(self._slot) if self._slot is not None else (0, 0)

    @property
    def volume(self) -> int:
        """The volume of the peer in percent, writable while the media runs."""
        return self.media_transport.volume if self.media_transport is not None else 100

    @volume.setter
    def volume(self, volume: int) -> None:
        if self.media_transport is None:
            raise RuntimeError('the stream is not initialised')
        self.media_transport.volume = volume

    def _slots_changed(self, old_consumer: int | None, old_producer: int | None) -> None:
        post_slots_changed(self, consumer=(old_consumer, self.consumer_slot), producer=(old_producer, self.producer_slot))

    # The life of the media

    def _make_transport(self, rtp_transport: Any, remote_sdp: Any, index: int) -> AudioTransport:
        return AudioTransport(self._require_mixer(), rtp_transport, remote_sdp, index, codecs=self._codec_list(self.account))

    def _media_started(self) -> None:
        old_consumer, old_producer = self.consumer_slot, self.producer_slot
        self._slot = self.media_transport.slot
        if old_consumer != self._slot:
            self._slots_changed(old_consumer, old_producer)
        if not self._holding():
            self._connect()
        recorder = self._recorder
        if recorder is not None and not recorder.is_active:
            self._start_recorder(recorder)

    def _media_stopping(self) -> None:
        self._pause_media()
        old_consumer, old_producer = self.consumer_slot, self.producer_slot
        self._slot = None
        if old_consumer is not None:
            self._slots_changed(old_consumer, old_producer)

    def _media_ended(self) -> None:
        recorder = self._recorder
        if recorder is not None:
            self._stop_recorder(recorder)
        if self._bridge is not None:
            self._bridge.stop()

    def deactivate(self) -> None:
        super().deactivate()
        if self.state == RTPStreamState.ESTABLISHED:
            self._pause_media()

    def _pause_media(self) -> None:
        self._disconnect()
        if self._recorder is not None and self._bridge is not None and self._recorder in self._bridge:
            self._bridge.remove(self._recorder)

    def _resume_media(self) -> None:
        if self._slot is not None and not self._deactivated:
            self._connect()
            if self._recorder is not None and self._recorder.is_active:
                self.bridge.add(self._recorder)

    # DTMF

    def send_dtmf(self, digit: str) -> None:
        """Send a DTMF digit as telephone-event: RFC 4733. Nothing is sent if the peer does not understand it.

        Raises:
            RuntimeError: the stream is not running.
            SIPCoreError: no digit: one of `0123456789*#ABCD`.
        """
        if self.state != RTPStreamState.ESTABLISHED:
            raise RuntimeError(f'DTMF cannot be sent in the state {self.state}')
        self.media_transport.send_dtmf(digit)

    def _NH_RTPAudioStreamGotDTMF(self, notification: Notification) -> None:
        self.post('AudioStreamGotDTMF', digit=notification.data.digit)

    def _NH_RTPAudioTransportDidTimeout(self, notification: Notification) -> None:
        if not self._deactivated:
            self.post('AudioStreamDidTimeout')

    # Recording

    @property
    def recorder(self) -> WaveRecorder | None:
        """The `WaveRecorder` in use, or None."""
        return self._recorder

    @property
    def recording_active(self) -> bool:
        """Whether the stream is being recorded (or will be, once it runs)."""
        return self._recorder is not None

    @property
    def recording_filename(self) -> str | None:
        """The path of the file being recorded to, or None."""
        return self._recorder.filename if self._recorder is not None else None

    def start_recording(self, filename: str | None = None) -> None:
        """Record both directions to a .wav file. Before the stream runs, recording starts with it; during a hold the file stays open and gets nothing.

        Args:
            filename: None makes a name from the participants and the time, in the directory of the settings.

        Raises:
            RuntimeError: the stream is being recorded already, or has ended.

        Notifications: `AudioStreamWillStartRecordingAudio`, `AudioStreamDidStartRecordingAudio`; if the file cannot be written,
        `AudioStreamDidStopRecordingAudio` with the field `reason`.
        """
        if self.state == RTPStreamState.ENDED:
            raise RuntimeError('the stream has ended')
        if self._recorder is not None:
            raise RuntimeError('the stream is being recorded already')
        path = os.path.abspath(filename) if filename is not None else self._default_recording()
        self._recorder = recorder = WaveRecorder(self._require_mixer(), path)
        if self.state == RTPStreamState.ESTABLISHED:
            from sipsimple.threading import call_in_twisted_thread
            call_in_twisted_thread(self._start_recorder, recorder)

    def stop_recording(self) -> None:
        """Stop recording and close the file.

        Raises:
            RuntimeError: the stream is not being recorded.

        Notifications: `AudioStreamWillStopRecordingAudio`, `AudioStreamDidStopRecordingAudio`.
        """
        recorder = self._recorder
        if recorder is None:
            raise RuntimeError('the stream is not being recorded')
        from sipsimple.threading import call_in_twisted_thread
        call_in_twisted_thread(self._stop_recorder, recorder)

    def _start_recorder(self, recorder: WaveRecorder) -> None:
        if self._recorder is not recorder or recorder.is_active:
            return                              # stopped, or started, in between
        self.post('AudioStreamWillStartRecordingAudio', filename=recorder.filename)
        try:
            recorder.start()
        except (SIPCoreError, OSError) as error:
            self._recorder = None
            self.post('AudioStreamDidStopRecordingAudio', filename=recorder.filename, reason=str(error))
            return
        if not self._holding():
            self.bridge.add(recorder)
        self.post('AudioStreamDidStartRecordingAudio', filename=recorder.filename)

    def _stop_recorder(self, recorder: WaveRecorder) -> None:
        if self._recorder is not recorder:
            return
        if not recorder.is_active:
            self._recorder = None               # it was waiting for the stream to run
            return
        self.post('AudioStreamWillStopRecordingAudio', filename=recorder.filename)
        if self._bridge is not None and recorder in self._bridge:
            self._bridge.remove(recorder)
        self._recorder = None
        problem = {}
        try:
            recorder.stop()
        except SIPCoreError as error:
            problem = {'reason': str(error)}            # the disk is full
        self.post('AudioStreamDidStopRecordingAudio', filename=recorder.filename, **problem)

    def _default_recording(self) -> str:
        names = []
        for identity in (getattr(self.session, 'local_identity', None), getattr(self.session, 'remote_identity', None)):
            uri = getattr(identity, 'uri', None)
            if uri is not None:
                names.append(f'{uri.user}@{uri.host}' if uri.user else str(uri.host))
        stem = '-'.join([datetime.now().astimezone().strftime('%Y%m%d-%H%M%S'), *(re.sub(r'[^\w@.+-]', '_', name) for name in names)])
        return os.path.join(recordings_directory(), f'{stem}.wav')


_known_codecs: frozenset[str] = frozenset()


def _available_codecs() -> frozenset[str]:
    """Return the names, in lower case, of the codecs the core was built with: the settings may name more. Empty while the Engine is off."""
    global _known_codecs
    if not _known_codecs:
        from sipsimple.core import _media_endpoint
        _known_codecs = frozenset(name.lower() for name in _media_endpoint.available_codecs())
    return _known_codecs


def _keep_first_codec(media: Any, offered: Any) -> None:
    """Take all codecs but the first one that was offered out of a media line; telephone-event, which is beside a codec, stays. Without a common codec all
    stay: the negotiation tells the error."""
    kept: list[str] = []
    chosen = False
    for payload_type, codec in zip(media.formats, media.codec_list, strict=False):
        if codec.name.lower() == 'telephone-event':
            kept.append(payload_type)
        elif not chosen and codec in offered.codec_list:
            chosen = True
            kept.append(payload_type)
    if chosen and len(kept) < len(media.formats):
        media.formats = kept
        media.attributes = [attribute for attribute in media.attributes
                            if attribute.name not in ('rtpmap', 'fmtp') or attribute.value.partition(' ')[0] in kept]
