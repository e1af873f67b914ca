"""The names of the middleware API document: classes, methods with their parameters and defaults, attributes. What it has of later parts is absent."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest
from zope.interface import Interface

# class -> (methods as the document writes them, attributes, as far as they are not parameters of the constructor)
DOCUMENT = {
    'sipsimple.application.SIPApplication': (
        ['__init__(self)', 'start(self, storage)', 'stop(self)'],
        'running storage local_nat_type alert_audio_mixer alert_audio_bridge alert_audio_device voice_audio_mixer voice_audio_bridge voice_audio_device'),
    'sipsimple.storage.ISIPSimpleStorage': ([], 'configuration_backend xcap_storage_factory'),
    'sipsimple.storage.FileStorage': ([], 'configuration_backend xcap_storage_factory'),
    'sipsimple.storage.MemoryStorage': ([], 'configuration_backend xcap_storage_factory'),
    'sipsimple.session.SessionManager': (['__init__(self)', 'start(self)', 'stop(self)'], 'sessions'),
    'sipsimple.session.Session': (
        ['__init__(self, account)', 'connect(self, to_header, routes, streams, is_focus=False, subject=None)', 'send_ring_indication(self)',
         'accept(self, streams)', 'reject(self, code=603, reason=None)', 'accept_proposal(self, streams)', 'reject_proposal(self, code=488, reason=None)',
         'add_stream(self, stream)', 'remove_stream(self, stream)', 'cancel_proposal(self)', 'hold(self)', 'unhold(self)', 'end(self)',
         'transfer(self, target_uri, replaced_session=None)', 'accept_transfer(self)', 'reject_transfer(self, code=486, reason=None)'],
        ('state account direction transport start_time stop_time on_hold remote_user_agent local_identity remote_identity streams proposed_streams '
        'conference subject replaced_session transfer_handler transfer_info')),
    'sipsimple.session.ConferenceHandler': (['add_participant(self, participant_uri)', 'remove_participant(self, participant_uri)'], ''),
    'sipsimple.streams.IMediaStream': (
        ['new_from_sdp(account, remote_sdp, stream_index)', 'get_local_media(for_offer)', 'initialize(session, direction)',
         'start(local_sdp, remote_sdp, stream_index)', 'validate_update(remote_sdp, stream_index)', 'update(local_sdp, remote_sdp, stream_index)',
         'hold()', 'unhold()', 'deactivate()', 'end()'],
        'type priority hold_supported on_hold_by_local on_hold_by_remote on_hold'),
    'sipsimple.streams.AudioStream': (
        ['__init__(self, account)', 'new_from_sdp(cls, account, remote_sdp, stream_index)', 'get_local_media(self, for_offer)',
         'initialize(self, session, direction)', 'start(self, local_sdp, remote_sdp, stream_index)', 'validate_update(self, remote_sdp, stream_index)',
         'update(self, local_sdp, remote_sdp, stream_index)', 'hold(self)', 'unhold(self)', 'deactivate(self)', 'end(self)',
         'start_recording(self, filename=None)', 'stop_recording(self)', 'send_dtmf(self, digit)'],
        ('type priority hold_supported on_hold_by_local on_hold_by_remote on_hold sample_rate codec srtp_active ice_active local_rtp_address local_rtp_port '
        'remote_rtp_address_sdp remote_rtp_port_sdp remote_rtp_address_received remote_rtp_port_received local_rtp_candidate_type '
        'remote_rtp_candidate_type recording_filename bridge mixer consumer_slot producer_slot')),
    'sipsimple.streams.MSRPStreamBase': (
        ['get_local_media(self, for_offer)', 'initialize(self, session, direction)', 'start(self, local_sdp, remote_sdp, stream_index)',
         'validate_update(self, remote_sdp, stream_index)', 'update(self, local_sdp, remote_sdp, stream_index)', 'hold(self)', 'unhold(self)',
         'deactivate(self)', 'end(self)'],
        'type priority media_type accept_types accept_wrapped_types use_msrp_session hold_supported on_hold_by_local on_hold_by_remote on_hold'),
    'sipsimple.streams.msrp.ChatStream': (
        ["__init__(self, account, direction='sendrecv')", 'new_from_sdp(cls, account, remote_sdp, stream_index)',
         ("send_message(self, content, content_type='text/plain', recipients=None, courtesy_recipients=None, subject=None, timestamp=None, required=None, "
          'additional_headers=None)'), 'send_composing_indication(self, state, refresh, last_active=None, recipients=None)', 'set_local_nickname(self, nickname)'],
        'type priority media_type accept_types accept_wrapped_types use_msrp_session'),
    'sipsimple.streams.msrp.FileTransferStream': (
        ['__init__(self, account, file_selector=None)', 'new_from_sdp(cls, account, remote_sdp, stream_index)'],
        'type priority media_type accept_types accept_wrapped_types use_msrp_session'),
    'sipsimple.streams.IDesktopSharingHandler': (['initialize(stream)'], 'type'),
    'sipsimple.streams.InternalVNCViewerHandler': (['initialize(self, stream)', 'send(self, data)'], 'type'),
    'sipsimple.streams.InternalVNCServerHandler': (['initialize(self, stream)', 'send(self, data)'], 'type'),
    'sipsimple.streams.ExternalVNCViewerHandler': (["__init__(self, address=('localhost', 0), connect_timeout=3)", 'initialize(self, stream)'], 'type address'),
    'sipsimple.streams.ExternalVNCServerHandler': (['__init__(self, address, connect_timeout=3)', 'initialize(self, stream)'], 'type'),
    'sipsimple.streams.DesktopSharingStream': (
        ['__init__(self, account, handler)', 'new_from_sdp(cls, account, remote_sdp, stream_index)'],
        'type priority media_type accept_types accept_wrapped_types use_msrp_session handler incoming_queue outgoing_queue'),
    'sipsimple.lookup.DNSManager': (['__init__(self)', 'start(self)', 'stop(self)'], ''),
    'sipsimple.lookup.DNSLookup': (
        ['__init__(self)', 'lookup_service(self, uri, service, timeout=3.0, lifetime=15.0)',
         'lookup_sip_proxy(self, uri, supported_transports, timeout=3.0, lifetime=15.0)', 'lookup_xcap_server(self, uri, timeout=3.0, lifetime=15.0)'], ''),
    'sipsimple.util.Route': (["__init__(self, address, port=None, transport='udp')", 'get_uri(self)'], 'address port transport'),
    'sipsimple.account.AccountManager': (
        ['__init__(self)', 'start(self)', 'stop(self)', 'has_account(self, id)', 'get_account(self, id)', 'get_accounts(self)', 'iter_accounts(self)',
         'find_account(self, contact_uri)'], 'default_account'),
    'sipsimple.account.Account': (
        ['__init__(self, id)', 'save(self)', 'delete(self)'],
        'id contact credentials tls_credentials uri voicemail_uri registered mwi_active presence_state dialog_state enabled sip presence message_summary'),
    'sipsimple.account.BonjourAccount': (['__init__(self)', 'save(self)'], 'id contact credentials uri enabled'),
    'sipsimple.account.ContactURIFactory': (['__init__(self, username)'], 'username'),
    'sipsimple.audio.IAudioPort': ([], 'mixer consumer_slot producer_slot'),
    'sipsimple.audio.AudioDevice': (['__init__(self, mixer, input_muted=False, output_muted=False)'],
                                    'mixer input_muted output_muted consumer_slot producer_slot'),
    'sipsimple.audio.AudioBridge': (['__init__(self, mixer)', 'add(self, port)', 'remove(self, port)'], 'mixer consumer_slot producer_slot'),
    'sipsimple.audio.WavePlayer': (
        ['__init__(self, mixer, filename, volume=100, loop_count=1, pause_time=0, initial_play=True)', 'start(self)', 'stop(self)', 'play(self)'],
        'mixer filename volume loop_count pause_time initial_play is_active consumer_slot producer_slot'),
    'sipsimple.audio.WaveRecorder': (['__init__(self, mixer, filename)', 'start(self)', 'stop(self)'],
                                     'mixer filename is_active consumer_slot producer_slot'),
    'sipsimple.addressbook.AddressbookManager': (
        ['has_contact(self, id)', 'get_contact(self, id)', 'get_contacts(self)', 'has_group(self, id)', 'get_group(self, id)', 'get_groups(self)',
         'has_policy(self, id)', 'get_policy(self, id)', 'get_policies(self)', 'transaction(self)'], ''),
    'sipsimple.addressbook.Contact': (['save(self)', 'delete(self)'], 'id name uris dialog presence'),
    'sipsimple.addressbook.ContactURI': ([], 'id uri type'),
    'sipsimple.addressbook.Policy': (['save(self)', 'delete(self)'], 'id name uri dialog presence'),
    'sipsimple.addressbook.Group': (['save(self)', 'delete(self)'], 'id name contacts'),
    'sipsimple.conference.AudioConference': (
        ['__init__(self)', 'add(self, stream)', 'remove(self, stream)', 'hold(self)', 'unhold(self)'], 'bridge on_hold streams'),
}
PLACES = ['sipsimple.application.SIPApplication', 'sipsimple.core.Route', 'sipsimple.core.Engine', 'sipsimple.engine.Engine',
          'sipsimple.streams.MediaStreamRegistry', 'sipsimple.streams.MediaStreamRegistrar', 'sipsimple.streams.rtp.AudioStream',
          'sipsimple.configuration.ConfigurationManager', 'sipsimple.configuration.SettingsObject', 'sipsimple.configuration.datatypes.SIPAddress',
          'sipsimple.configuration.settings.SIPSimpleSettings', 'sipsimple.core.NoGRUU', 'sipsimple.core.PublicGRUU', 'sipsimple.core.TemporaryGRUU',
          'sipsimple.core.PublicGRUUIfAvailable', 'sipsimple.core.TemporaryGRUUIfAvailable', 'sipsimple.core.ContactURIFactory',
          'sipsimple.core.Credentials', 'sipsimple.core.SIPURI', 'sipsimple.core.FrozenSIPURI', 'sipsimple.core.ToHeader', 'sipsimple.core.FrozenToHeader',
          'sipsimple.core.FrozenFromHeader', 'sipsimple.core.RouteHeader', 'sipsimple.core.Registration', 'sipsimple.core.Invitation',
          'sipsimple.core.Request', 'sipsimple.core.Message', 'sipsimple.core.Subscription', 'sipsimple.core.Publication',
          'sipsimple.core.Referral', 'sipsimple.core.AudioMixer', 'sipsimple.core.AudioTransport', 'sipsimple.core.RTPTransport',
          'sipsimple.core.WaveFile', 'sipsimple.core.RecordingWaveFile', 'sipsimple.core.FrozenSDPSession', 'sipsimple.core.SDPMediaStream',
          'msrplib.protocol.MSRPData', 'sipsimple.payloads.pidf.PIDF', 'sipsimple.payloads.conference.Conference', 'sipsimple.payloads.iscomposing.IsComposingDocument',
          'sipsimple.payloads.cpim.CPIMMessage', 'sipsimple.payloads.cpim.ChatMessage', 'sipsimple.payloads.cpim.CPIMIdentity', 'sipsimple.payloads.cpim.ChatIdentity',
          'sipsimple.payloads.dialoginfo.DialogInfo', 'sipsimple.payloads.messagesummary.MessageSummary', 'sipsimple.payloads.watcherinfo.WatcherList',
          'sipsimple.payloads.rlsnotify.Resource', *(f'sipsimple.streams.msrp.{name}' for name in (
              'DesktopSharingStream', 'IDesktopSharingHandler', 'InternalVNCViewerHandler', 'InternalVNCServerHandler', 'ExternalVNCViewerHandler',
              'ExternalVNCServerHandler'))]


def find(path):
    module, _, name = path.rpartition('.')
    return getattr(import_module(module), name)


def signature(function, is_interface=False):
    """[(name, default or empty, may only be given by name)] of a callable."""
    text = function.getSignatureString()[1:-1] if is_interface else None
    if text is not None:
        return [(part.strip(), inspect.Parameter.empty, False) for part in text.split(',') if part.strip()]
    return [(parameter.name, parameter.default, parameter.kind) for parameter in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize('path', DOCUMENT)
def test_methods(path):
    """Positions, names and defaults of the parameters; there may be further ones behind, with defaults."""
    cls = find(path)
    is_interface = isinstance(cls, type(Interface))
    for text in DOCUMENT[path][0]:
        name, _, arguments = text.partition('(')
        if name == '__init__' and arguments == 'self)':
            wanted = []
        else:
            wanted = [(parameter.name, parameter.default) for parameter in inspect.signature(eval(f'lambda {arguments[:-1]}: 0')).parameters.values()]
        function = cls[name] if is_interface else getattr(cls, name)
        if inspect.ismethod(function):
            wanted = wanted[1:]                     # cls
        found = signature(function, is_interface)
        if name == '__init__' and arguments == 'self)':
            # Singletons may make their one object elsewhere.
            assert callable(cls) and all(default is not inspect.Parameter.empty or kind in (2, 4) for parameter, default, kind in found[1:]), text
            continue
        for number, (parameter, default) in enumerate(wanted):
            assert number < len(found) and found[number][0] == parameter, f'{text}: {inspect.signature(function)}'
            if default is not inspect.Parameter.empty:
                assert found[number][1] == default and type(found[number][1]) in (type(default), float), f'{text}: {inspect.signature(function)}'
        assert all(default is not inspect.Parameter.empty or kind in (2, 4) for _, default, kind in found[len(wanted):]), f'{text}: {found}'


def instances():
    """An object of each class that has attributes, made as far as that goes without an application."""
    from sipsimple.account import ContactURIFactory
    from sipsimple.session import Session, SessionManager
    from sipsimple.storage import FileStorage, MemoryStorage
    from sipsimple.streams import AudioStream
    from sipsimple.util import Route
    return {'Session': Session(None), 'AudioStream': AudioStream(None), 'Route': Route('192.0.2.1'), 'ContactURIFactory': ContactURIFactory(),
            'SessionManager': SessionManager(), 'FileStorage': FileStorage('/nowhere'), 'MemoryStorage': MemoryStorage()}


@pytest.mark.parametrize('path', [path for path, (_, attributes) in DOCUMENT.items() if attributes])
def test_attributes(path):
    cls = find(path)
    holder = instances().get(path.rpartition('.')[2], cls)
    source = inspect.getsource(cls) if inspect.isclass(cls) else ''          # for attributes that only the constructor sets
    for name in DOCUMENT[path][1].split():
        known = name in cls if isinstance(cls, type(Interface)) else name in dir(holder) or f'self.{name} = ' in source or f'self.{name}: ' in source
        assert known, f'{path} has no {name}'


@pytest.mark.parametrize('path', PLACES)
def test_where_it_is_imported_from(path):
    assert find(path) is not None


def test_one_class_in_several_places():
    assert find('sipsimple.util.Route') is find('sipsimple.core.Route')
    assert find('sipsimple.engine.Engine') is find('sipsimple.core.Engine')
    assert find('sipsimple.account.ContactURIFactory') is find('sipsimple.core.ContactURIFactory')
    assert find('sipsimple.streams.rtp.AudioStream') is find('sipsimple.streams.AudioStream')



def test_what_is_exported_exists():
    """`from module import *` works for every public module."""
    import pkgutil

    import sipsimple
    modules = [module.name for module in pkgutil.walk_packages(sipsimple.__path__, 'sipsimple.')]
    for name in modules:
        if not any(part.startswith('_') or part == 'demo' for part in name.split('.')):
            exec(f'from {name} import *', {})
    assert 'sipsimple.session.session' in modules
