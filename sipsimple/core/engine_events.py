"""The events of the core that are the Engine's own, and the notifications they become."""

from __future__ import annotations

from typing import Any

from sipsimple.core import _events
from sipsimple.core.engine_life import EngineLife
from sipsimple.core.messages import parse_request
from sipsimple.notification import NotificationData

__all__: list[str] = []


def _engine() -> EngineLife:
    engine = EngineLife._instance
    assert engine is not None           # or there would be no events
    return engine


def _text(data: bytes) -> str:
    try:
        return data.decode('utf-8')
    except UnicodeDecodeError:
        return data.decode('latin-1')


def _on_log(obj: None, event: _events.Event) -> None:
    _engine()._post('SIPEngineLog', NotificationData(level=event.num[0], message=_text(event.data[0])))


def _on_sip_trace(obj: None, event: _events.Event) -> None:
    source, destination, transport, raw = event.data
    _engine()._post('SIPEngineSIPTrace', NotificationData(
        received=bool(event.num[0]), source_ip=_text(source), source_port=event.num[1], destination_ip=_text(destination),
        destination_port=event.num[2], data=raw, transport=_text(transport)))


def _on_message(obj: None, event: _events.Event) -> None:
    message = parse_request(event.data[0])
    headers = message.headers
    content_type = headers.get('Content-Type')
    _engine()._post('SIPEngineGotMessage', NotificationData(
        request_uri=message.request_uri, from_header=headers.get('From'), to_header=headers.get('To'), headers=headers,
        body=message.body, content_type=None if content_type is None else content_type.content_type))


def _on_nat_type(obj: None, event: _events.Event) -> None:
    engine = _engine()
    user_data = engine._nat_requests.pop(event.num[1], None)
    if event.num[0] == 0:
        data = NotificationData(succeeded=True, user_data=user_data, nat_type=_text(event.data[0]))
    else:
        data = NotificationData(succeeded=False, user_data=user_data, error=_text(event.data[1]))
    engine._post('SIPEngineDetectedNATType', data)


def _connection(event: _events.Event) -> dict[str, Any]:
    return {'transport': _text(event.data[0]), 'local_address': _text(event.data[1]) or None, 'remote_address': _text(event.data[2])}


def _on_connected(obj: None, event: _events.Event) -> None:
    _engine()._post('SIPEngineTransportDidConnect', NotificationData(**_connection(event)))


def _on_disconnected(obj: None, event: _events.Event) -> None:
    _engine()._post('SIPEngineTransportDidDisconnect', NotificationData(**_connection(event), reason=_text(event.data[3])))


def _fields(data: bytes) -> list[str]:
    """Texts that end with NUL each."""
    return [_text(item) for item in data.split(b'\0')[:-1]]


def _certificate(data: bytes, version: int) -> dict[str, Any] | None:
    if not data:
        return None
    subject, subject_info, issuer, issuer_info, serial, start, end, pem, *names = _fields(data)
    return {'subject': subject, 'subject_info': subject_info, 'issuer': issuer, 'issuer_info': issuer_info, 'version': version, 'serial': serial,
            'not_before': start, 'not_after': end, 'alternative_names': names, 'pem': pem}


def _on_verified(obj: None, event: _events.Event) -> None:
    base = _connection(event)
    _engine()._post('SIPEngineTransportDidVerifyCertificate', NotificationData(
        **base, remote_hostname=_text(event.data[3]), remote_ip=base['remote_address'].rpartition(':')[0].strip('[]'), tls_cipher=_text(event.data[4]),
        verify_status=event.num[0], certificate=_certificate(event.data[5], event.num[2]), verified=bool(event.num[1])))


def _on_certificate_error(obj: None, event: _events.Event) -> None:
    _engine()._post('SIPEngineTransportGotCertificateError', NotificationData(
        **_connection(event), reason=_text(event.data[3]), certificate_errors=_fields(event.data[4])))


_events.register(_events.LOG, _on_log)
_events.register(_events.SIP_TRACE, _on_sip_trace)
_events.register(_events.MESSAGE, _on_message)
_events.register(_events.NAT_TYPE, _on_nat_type)
_events.register(_events.TRANSPORT_CONNECTED, _on_connected)
_events.register(_events.TRANSPORT_DISCONNECTED, _on_disconnected)
_events.register(_events.TRANSPORT_VERIFIED, _on_verified)
_events.register(_events.TRANSPORT_CERT_ERROR, _on_certificate_error)
