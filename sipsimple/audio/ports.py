"""What an audio object is, and how it tells that its slots changed."""

from __future__ import annotations

from typing import Any

from zope.interface import Attribute, Interface

from sipsimple.notification import NotificationCenter, TimestampedNotificationData

__all__ = ['IAudioPort', 'post_slots_changed']


class IAudioPort(Interface):
    """An object that produces audio, consumes it, or both; which of them may change during its life.

    Notifications: AudioPortDidChangeSlots, whenever a slot changed: `consumer_slot_changed`, `producer_slot_changed` (bool), and for
    what changed `old_consumer_slot`, `new_consumer_slot`, `old_producer_slot`, `new_producer_slot`. May be posted from any thread.
    """

    mixer = Attribute('The AudioMixer whose slots these are.')
    consumer_slot = Attribute('The slot that takes audio in, or None when this is no consumer.')
    producer_slot = Attribute('The slot that gives audio out, or None when this is no producer.')


def post_slots_changed(port: object, *, consumer: tuple[int | None, int | None] | None = None,
                       producer: tuple[int | None, int | None] | None = None) -> None:
    """Post AudioPortDidChangeSlots for `port`, unless nothing changed; `consumer` and `producer` are (old, new)."""
    data: dict[str, Any] = {'consumer_slot_changed': consumer is not None and consumer[0] != consumer[1],
                            'producer_slot_changed': producer is not None and producer[0] != producer[1]}
    if consumer is not None and data['consumer_slot_changed']:
        data['old_consumer_slot'], data['new_consumer_slot'] = consumer
    if producer is not None and data['producer_slot_changed']:
        data['old_producer_slot'], data['new_producer_slot'] = producer
    if len(data) > 2:
        NotificationCenter().post_notification('AudioPortDidChangeSlots', sender=port, data=TimestampedNotificationData(**data))
