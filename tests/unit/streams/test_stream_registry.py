"""The registry of stream types and its metaclass."""

from __future__ import annotations

import pytest
from zope.interface import implementer
from zope.interface.verify import verifyClass, verifyObject

from sipsimple.streams import AudioStream, IMediaStream, InvalidStreamError, MediaStreamRegistrar, MediaStreamRegistry, StreamError, UnknownStreamError


@pytest.fixture
def registered():
    """Removes what a test registers."""
    before = list(MediaStreamRegistry)
    yield
    for cls in MediaStreamRegistry:
        if cls not in before:
            MediaStreamRegistry.remove(cls)


def test_own_types_are_registered():
    assert AudioStream in MediaStreamRegistry and MediaStreamRegistry.get('audio') is AudioStream
    assert MediaStreamRegistry.AudioStream is AudioStream


def test_instance_may_be_used_as_singleton_class():
    assert MediaStreamRegistry() is MediaStreamRegistry and list(MediaStreamRegistry()) == list(MediaStreamRegistry)


def test_unknown_type():
    with pytest.raises(UnknownStreamError):
        MediaStreamRegistry.get('smell')
    with pytest.raises(AttributeError):
        MediaStreamRegistry.SmellStream
    assert issubclass(UnknownStreamError, StreamError) and issubclass(InvalidStreamError, StreamError)


def test_classes_register_themselves_by_priority(registered):
    class High(metaclass=MediaStreamRegistrar):
        type, priority = 'high', 1000

    class Low(metaclass=MediaStreamRegistrar):
        type, priority = 'low', -1000

    class Abstract(metaclass=MediaStreamRegistrar):
        type, priority = None, None

    class Twin(metaclass=MediaStreamRegistrar):
        type, priority = 'high', 1000

    types = list(MediaStreamRegistry)
    assert types[:2] == [High, Twin] and types[-1] is Low and Abstract not in types
    MediaStreamRegistry.add(High)
    assert list(MediaStreamRegistry) == types


def test_add_needs_type_and_priority():
    class Plain:
        pass
    with pytest.raises(TypeError):
        MediaStreamRegistry.add(Plain)
    with pytest.raises(ValueError):
        MediaStreamRegistry.remove(Plain)


def test_audio_stream_implements_the_interface(world):
    assert verifyClass(IMediaStream, AudioStream)
    assert verifyObject(IMediaStream, AudioStream(None))
    from sipsimple.audio import IAudioPort
    assert verifyObject(IAudioPort, AudioStream())


def test_class_statement_of_the_documentation(registered):
    @implementer(IMediaStream)
    class MyStream(metaclass=MediaStreamRegistrar):
        type = 'mine'
        priority = 5
    assert MediaStreamRegistry.get('mine') is MyStream
