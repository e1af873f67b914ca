"""Bridges and devices, on a mixer that only keeps the books."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from zope.interface import implementer
from zope.interface.verify import verifyObject

from sipsimple.audio import AudioBridge, AudioDevice, IAudioPort, RootAudioBridge, bridge as bridge_module
from sipsimple.audio.ports import post_slots_changed
from sipsimple.core.errors import SIPCoreError
from sipsimple.notification import NotificationCenter


class FakeMixer:
    def __init__(self) -> None:
        self.connections: set[tuple[int, int]] = set()
        self.slots = {0}

    def take(self) -> int:
        slot = min(set(range(1, 300)) - self.slots)
        self.slots.add(slot)
        return slot

    def give(self, slot: int) -> None:
        self.slots.discard(slot)
        self.connections = {pair for pair in self.connections if slot not in pair}

    def connect_slots(self, source: int, sink: int) -> None:
        if source not in self.slots or sink not in self.slots:
            raise SIPCoreError('unused slot')
        self.connections.add((source, sink))

    def disconnect_slots(self, source: int, sink: int) -> None:
        if source not in self.slots or sink not in self.slots:
            raise SIPCoreError('unused slot')
        self.connections.discard((source, sink))


class FakeMixerPort:
    def __init__(self, mixer: FakeMixer) -> None:
        self.mixer = mixer
        self.slot: int | None = None

    def start(self) -> None:
        self.slot = self.mixer.take()

    def stop(self) -> None:
        if self.slot is not None:
            self.mixer.give(self.slot)
        self.slot = None


@implementer(IAudioPort)
class Port:
    def __init__(self, mixer: FakeMixer, consumer: bool = True, producer: bool = True) -> None:
        self.mixer = mixer
        slot = mixer.take()
        self.consumer_slot = slot if consumer else None
        self.producer_slot = slot if producer else None

    def change(self, consumer: int | None, producer: int | None) -> None:
        old = self.consumer_slot, self.producer_slot
        self.consumer_slot, self.producer_slot = consumer, producer
        post_slots_changed(self, consumer=(old[0], consumer), producer=(old[1], producer))


@pytest.fixture
def mixer(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(bridge_module, 'MixerPort', FakeMixerPort)
    return FakeMixer()


class Recorder:
    def __init__(self, sender: object) -> None:
        self.data: list[Any] = []
        NotificationCenter().add_observer(self, sender=sender)

    def handle_notification(self, notification: Any) -> None:
        assert notification.name == 'AudioPortDidChangeSlots'
        self.data.append(notification.data)


def mesh(*slots: int) -> set[tuple[int, int]]:
    return {(a, b) for a in slots for b in slots if a != b}


def test_device(mixer: Any) -> None:
    device = AudioDevice(mixer)
    assert verifyObject(IAudioPort, device)
    assert (device.mixer, device.consumer_slot, device.producer_slot) == (mixer, 0, 0)
    seen = Recorder(device)
    device.input_muted = True
    device.input_muted = True
    device.output_muted = True
    assert (device.consumer_slot, device.producer_slot) == (None, None)
    first, second = seen.data
    assert (first.producer_slot_changed, first.consumer_slot_changed) == (True, False)
    assert (first.old_producer_slot, first.new_producer_slot) == (0, None)
    assert not hasattr(first, 'old_consumer_slot')
    assert (second.old_consumer_slot, second.new_consumer_slot) == (0, None)
    assert first.timestamp.tzinfo is not None
    for value in (None, 1, 'yes'):
        with pytest.raises(ValueError):
            device.input_muted = value          # type: ignore[assignment]
        with pytest.raises(ValueError):
            AudioDevice(mixer, output_muted=value)      # type: ignore[arg-type]


def test_full_mesh(mixer: Any) -> None:
    bridge, ports = RootAudioBridge(mixer), [Port(mixer) for _ in range(4)]
    for port in ports:
        bridge.add(port)
        bridge.add(port)
        assert port in bridge
    slots = [port.consumer_slot or 0 for port in ports]
    assert mixer.connections == mesh(*slots)
    bridge.remove(ports[1])
    assert mixer.connections == mesh(slots[0], slots[2], slots[3])
    with pytest.raises(ValueError):
        bridge.remove(ports[1])
    bridge.stop()
    bridge.stop()
    assert mixer.connections == set()
    with pytest.raises(RuntimeError):
        bridge.add(ports[0])


def test_refused_ports(mixer: Any) -> None:
    bridge = AudioBridge(mixer)
    with pytest.raises(TypeError):
        bridge.add(object())
    with pytest.raises(TypeError):
        bridge.add(RootAudioBridge(mixer))
    with pytest.raises(ValueError):
        bridge.add(Port(FakeMixer()))
    with pytest.raises(ValueError):
        bridge.add(bridge)
    assert mixer.slots == {0}


def test_roles(mixer: Any) -> None:
    bridge = RootAudioBridge(mixer)
    speaker, listener, both = Port(mixer, consumer=False), Port(mixer, producer=False), Port(mixer)
    for port in (speaker, listener, both):
        bridge.add(port)
    assert mixer.connections == {(1, 2), (1, 3), (3, 2)}


def test_ports_change_slots(mixer: Any) -> None:
    bridge, one, other = RootAudioBridge(mixer), Port(mixer), Port(mixer)
    bridge.add(one)
    bridge.add(other)
    new = mixer.take()
    one.change(new, None)
    assert mixer.connections == {(2, new)}
    one.change(new, new)
    assert mixer.connections == mesh(2, new)
    one.change(None, None)
    assert mixer.connections == set()
    bridge.remove(one)
    one.change(new, new)
    assert mixer.connections == set()


def test_ports_are_held_weakly(mixer: Any) -> None:
    bridge, kept, lost = RootAudioBridge(mixer), Port(mixer), Port(mixer)
    bridge.add(kept)
    bridge.add(lost)
    del lost
    gc.collect()
    assert mixer.connections == set()
    again = Port(mixer)
    bridge.add(again)
    assert mixer.connections == mesh(kept.consumer_slot or 0, again.consumer_slot or 0)


def test_bridge_itself_is_collected(mixer: Any) -> None:
    from weakref import ref
    bridge, port = RootAudioBridge(mixer), Port(mixer)
    bridge.add(port)
    gone = ref(bridge)
    del bridge
    gc.collect()
    assert gone() is None
    port.change(None, None)


def test_shared_connections_are_counted(mixer: Any) -> None:
    """Two bridges want device <-> port; it ends with the last of them."""
    port, device = Port(mixer), AudioDevice(mixer)
    own, application = RootAudioBridge(mixer), RootAudioBridge(mixer)
    for bridge in (own, application):
        bridge.add(device)
        bridge.add(port)
    application.remove(port)
    assert mixer.connections == mesh(0, 1)
    own.remove(device)
    assert mixer.connections == set()


def test_slot_number_reused_before_the_news(mixer: Any) -> None:
    bridge, old, listener = RootAudioBridge(mixer), Port(mixer, consumer=False), Port(mixer, producer=False)
    bridge.add(old)
    bridge.add(listener)
    slot = old.producer_slot or 0
    mixer.give(slot)                            # it ended natively; its notification is late
    new = Port(mixer, consumer=False)
    assert new.producer_slot == slot
    bridge.add(new)
    assert (slot, 2) in mixer.connections
    old.change(None, None)
    assert (slot, 2) in mixer.connections
    bridge.remove(new)
    assert mixer.connections == set()


def test_bridge_in_bridge(mixer: Any) -> None:
    outer, inner = RootAudioBridge(mixer), AudioBridge(mixer)
    inside, outside = Port(mixer), Port(mixer)
    inner.add(inside)
    assert len(mixer.slots) == 3                # an inner bridge that is in no other takes none
    outer.add(outside)
    outer.add(inner)
    assert len(mixer.slots) == 5
    produced, consumed = inner.producer_slot, inner.consumer_slot
    assert {(1, produced), (produced, 2), (2, consumed), (consumed, 1)} == mixer.connections
    late = Port(mixer)
    inner.add(late)
    slot = late.consumer_slot
    assert {(slot, produced), (consumed, slot), (1, slot), (slot, 1)} <= mixer.connections
    outer.remove(inner)
    assert len(mixer.slots) == 4
    assert mixer.connections == mesh(1, slot or 0)


def test_inner_bridge_stopped(mixer: Any) -> None:
    outer, inner = RootAudioBridge(mixer), AudioBridge(mixer)
    inside, outside = Port(mixer), Port(mixer)
    outer.add(outside)
    outer.add(inner)
    inner.add(inside)
    seen = Recorder(inner)
    inner.stop()
    assert mixer.connections == set() and mixer.slots == {0, 1, 2}
    assert [data.new_consumer_slot for data in seen.data] == [None]
    assert (inner.consumer_slot, inner.producer_slot) == (None, None)


def test_many_threads(mixer: Any) -> None:
    import threading
    bridge, failures = RootAudioBridge(mixer), []

    def work() -> None:
        try:
            for _ in range(100):
                port = Port(mixer)
                bridge.add(port)
                port.change(None, port.producer_slot)
                bridge.remove(port)
        except BaseException as error:
            failures.append(error)

    lock, take = threading.Lock(), mixer.take

    def locked_take() -> int:
        with lock:
            return int(take())

    mixer.take = locked_take
    mixer.slots = set(range(1, 2)) | {0}
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and mixer.connections == set()
