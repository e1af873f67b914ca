"""The core: SIP, SDP and media on native threads.

Importing this package loads the native part. The public names come from small modules and are imported when first
asked for, so a program pays for what it uses: values (URIs, headers, SDP) are pure Python, modules with a leading
underscore are native.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sipsimple.core import _native

CORE_REVISION = 1
if _native.CORE_REVISION != CORE_REVISION:
    raise ImportError(f'the compiled core has revision {_native.CORE_REVISION}, its Python part {CORE_REVISION}; rebuild it')

if TYPE_CHECKING:
    from sipsimple.core.engine import Engine as Engine
    from sipsimple.core.errors import (
        PJSIPError as PJSIPError, PJSIPTLSError as PJSIPTLSError, SIPCoreError as SIPCoreError, SIPCoreInvalidStateError as
        SIPCoreInvalidStateError)
    from sipsimple.core.containers import frozendict as frozendict, frozenlist as frozenlist
    from sipsimple.core.values import (
        BaseCredentials as BaseCredentials, BaseSIPURI as BaseSIPURI, Credentials as Credentials, EndpointAddress as
        EndpointAddress, FrozenCredentials as FrozenCredentials, FrozenSIPURI as FrozenSIPURI, SIPURI as SIPURI)
    from sipsimple.core.headers import (
        BaseContactHeader as BaseContactHeader, BaseContentTypeHeader as BaseContentTypeHeader, BaseEventHeader as
        BaseEventHeader, BaseFromHeader as BaseFromHeader, BaseHeader as BaseHeader, BaseIdentityHeader as BaseIdentityHeader,
        BaseReasonHeader as BaseReasonHeader, BaseRecordRouteHeader as BaseRecordRouteHeader, BaseReferToHeader as
        BaseReferToHeader, BaseReplacesHeader as BaseReplacesHeader, BaseRetryAfterHeader as BaseRetryAfterHeader, BaseRouteHeader
        as BaseRouteHeader, BaseSubjectHeader as BaseSubjectHeader, BaseSubscriptionStateHeader as BaseSubscriptionStateHeader,
        BaseToHeader as BaseToHeader, BaseViaHeader as BaseViaHeader, BaseWarningHeader as BaseWarningHeader, ContactHeader as
        ContactHeader, ContentType as ContentType, ContentTypeHeader as ContentTypeHeader, EventHeader as EventHeader, FromHeader
        as FromHeader, FrozenContactHeader as FrozenContactHeader, FrozenContentTypeHeader as FrozenContentTypeHeader,
        FrozenEventHeader as FrozenEventHeader, FrozenFromHeader as FrozenFromHeader, FrozenHeader as FrozenHeader,
        FrozenIdentityHeader as FrozenIdentityHeader, FrozenReasonHeader as FrozenReasonHeader, FrozenRecordRouteHeader as
        FrozenRecordRouteHeader, FrozenReferToHeader as FrozenReferToHeader, FrozenReplacesHeader as FrozenReplacesHeader,
        FrozenRetryAfterHeader as FrozenRetryAfterHeader, FrozenRouteHeader as FrozenRouteHeader, FrozenSubjectHeader as
        FrozenSubjectHeader, FrozenSubscriptionStateHeader as FrozenSubscriptionStateHeader, FrozenToHeader as FrozenToHeader,
        FrozenViaHeader as FrozenViaHeader, FrozenWarningHeader as FrozenWarningHeader, Header as Header, IdentityHeader as
        IdentityHeader, ReasonHeader as ReasonHeader, RecordRouteHeader as RecordRouteHeader, ReferToHeader as ReferToHeader,
        ReplacesHeader as ReplacesHeader, RetryAfterHeader as RetryAfterHeader, RouteHeader as RouteHeader, SubjectHeader as
        SubjectHeader, SubscriptionStateHeader as SubscriptionStateHeader, ToHeader as ToHeader, ViaHeader as ViaHeader,
        WarningHeader as WarningHeader)
    from sipsimple.core.sdp import (
        FrozenSDPAttribute as FrozenSDPAttribute, FrozenSDPBandwidthInfo as FrozenSDPBandwidthInfo, FrozenSDPConnection as
        FrozenSDPConnection, FrozenSDPMediaStream as FrozenSDPMediaStream, FrozenSDPSession as FrozenSDPSession, MediaCodec as
        MediaCodec, SDPAttribute as SDPAttribute, SDPBandwidthInfo as SDPBandwidthInfo, SDPConnection as SDPConnection,
        SDPMediaStream as SDPMediaStream, SDPSession as SDPSession)
    from sipsimple.core.status import sip_status_messages as sip_status_messages, sipfrag_re as sipfrag_re
    from sipsimple.core.helpers import (
        ContactURIFactory as ContactURIFactory, NoGRUU as NoGRUU, PublicGRUU as PublicGRUU, PublicGRUUIfAvailable as
        PublicGRUUIfAvailable, Route as Route, TemporaryGRUU as TemporaryGRUU, TemporaryGRUUIfAvailable as
        TemporaryGRUUIfAvailable)
    from sipsimple.core.request import IncomingRequest as IncomingRequest, Request as Request
    from sipsimple.core.registration import Registration as Registration
    from sipsimple.core.message import Message as Message
    from sipsimple.core.invitation import DialogID as DialogID, Invitation as Invitation
    from sipsimple.core.subscription import Subscription as Subscription
    from sipsimple.core.referral import Referral as Referral
    from sipsimple.core.publication import (
        Publication as Publication, PublicationETagError as PublicationETagError, PublicationError as PublicationError)
    from sipsimple.core.ice_values import ICECandidate as ICECandidate, ICECheck as ICECheck
    from sipsimple.core._rtp_transport import RTPTransport as RTPTransport
    from sipsimple.core._audio_transport import AudioTransport as AudioTransport
    from sipsimple.core._mixer import AudioMixer as AudioMixer, MixerPort as MixerPort
    from sipsimple.core._wave import RecordingWaveFile as RecordingWaveFile, WaveFile as WaveFile
    from sipsimple.core._tone import ToneGenerator as ToneGenerator
    from sipsimple.core._sdp_negotiator import SDPNegotiator as SDPNegotiator
    from sipsimple.core._endpoint import PJ_VERSION as PJ_VERSION

_EXPORTS = {name: module for module, names in {
    'engine': 'Engine',
    'errors': 'PJSIPError PJSIPTLSError SIPCoreError SIPCoreInvalidStateError',
    'containers': 'frozendict frozenlist',
    'values': 'BaseCredentials BaseSIPURI Credentials EndpointAddress FrozenCredentials FrozenSIPURI SIPURI',
    'headers': (
        'BaseContactHeader BaseContentTypeHeader BaseEventHeader BaseFromHeader BaseHeader BaseIdentityHeader '
        'BaseReasonHeader BaseRecordRouteHeader BaseReferToHeader BaseReplacesHeader BaseRetryAfterHeader BaseRouteHeader '
        'BaseSubjectHeader BaseSubscriptionStateHeader BaseToHeader BaseViaHeader BaseWarningHeader ContactHeader '
        'ContentType ContentTypeHeader EventHeader FromHeader FrozenContactHeader FrozenContentTypeHeader '
        'FrozenEventHeader FrozenFromHeader FrozenHeader FrozenIdentityHeader FrozenReasonHeader FrozenRecordRouteHeader '
        'FrozenReferToHeader FrozenReplacesHeader FrozenRetryAfterHeader FrozenRouteHeader FrozenSubjectHeader '
        'FrozenSubscriptionStateHeader FrozenToHeader FrozenViaHeader FrozenWarningHeader Header IdentityHeader '
        'ReasonHeader RecordRouteHeader ReferToHeader ReplacesHeader RetryAfterHeader RouteHeader SubjectHeader '
        'SubscriptionStateHeader ToHeader ViaHeader WarningHeader'),
    'sdp': (
        'FrozenSDPAttribute FrozenSDPBandwidthInfo FrozenSDPConnection FrozenSDPMediaStream FrozenSDPSession MediaCodec '
        'SDPAttribute SDPBandwidthInfo SDPConnection SDPMediaStream SDPSession'),
    'status': 'sip_status_messages sipfrag_re',
    'helpers': 'ContactURIFactory NoGRUU PublicGRUU PublicGRUUIfAvailable Route TemporaryGRUU TemporaryGRUUIfAvailable',
    'request': 'IncomingRequest Request',
    'registration': 'Registration',
    'message': 'Message',
    'invitation': 'DialogID Invitation',
    'subscription': 'Subscription',
    'referral': 'Referral',
    'publication': 'Publication PublicationETagError PublicationError',
    'ice_values': 'ICECandidate ICECheck',
    '_rtp_transport': 'RTPTransport',
    '_audio_transport': 'AudioTransport',
    '_mixer': 'AudioMixer MixerPort',
    '_wave': 'RecordingWaveFile WaveFile',
    '_tone': 'ToneGenerator',
    '_sdp_negotiator': 'SDPNegotiator',
    '_endpoint': 'PJ_VERSION',
}.items() for name in names.split()}

__all__ = ['CORE_REVISION', 'CORE_BUILD', 'CYTHON_VERSION', 'PJ_SVN_REVISION', *_EXPORTS]

PJ_SVN_REVISION = 0                     # PJSIP left Subversion behind; kept for programs that print it
CORE_BUILD = CORE_REVISION
CYTHON_VERSION: str = _native.CYTHON_VERSION


def __getattr__(name: str) -> Any:
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = getattr(import_module(f'{__name__}.{module}'), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
