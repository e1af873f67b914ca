"""How long a big configuration takes: load and make the objects, change one and save.

    python bench/config_bench.py [objects]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable

from sipsimple.configuration import ConfigurationManager, Setting, SettingsGroup, SettingsObject, SettingsObjectID
from sipsimple.configuration.backend.file import FileBackend
from sipsimple.configuration.datatypes import AudioCodecList, NonNegativeInteger
from sipsimple.notification import NotificationQueue
from sipsimple.threading import ThreadManager


class Media(SettingsGroup):
    codecs = Setting(type=AudioCodecList, default=None, nillable=True)
    timeout = Setting(type=NonNegativeInteger, default=30)


class Contact(SettingsObject):
    __group__ = 'Contacts'
    __id__ = SettingsObjectID(type=str)
    id = __id__
    name = Setting(type=str, default='')
    order = Setting(type=NonNegativeInteger, default=0)
    enabled = Setting(type=bool, default=False)
    media = Media


def timed(what: str, function: Callable[[], object]) -> None:
    begin = time.perf_counter()
    function()
    print(f'{what}: {(time.perf_counter() - begin) * 1000:.1f} ms')


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'config')
        FileBackend(path).save({'Contacts': {f'user{number}@example.com': {
            'name': f'User {number}', 'order': str(number), 'enabled': 'true', 'media': {'codecs': ['opus', 'PCMA'], 'timeout': '20'}}
            for number in range(count)}})
        print(f'{count} objects, {os.path.getsize(path)} bytes')
        manager = ConfigurationManager()
        objects: list[Contact] = []

        def load() -> None:
            timed('  read the file', lambda: manager.start(FileBackend(path)))
            timed('  make the objects', lambda: objects.extend(Contact(name) for name in manager.get_names(['Contacts'])))

        timed('load', load)
        manager.prepare()
        timed('made ready for fast saving, in the background', ThreadManager().stop)
        with NotificationQueue('CFGSettingsObjectDidChange') as queue:
            for turn in ('first', 'second', 'third'):
                def change(turn: str = turn) -> None:
                    objects[count // 2].name = turn
                    objects[count // 2].save()
                    ThreadManager().stop()          # returns when the file is on the disk
                timed(f'{turn} save of one change', change)
                queue.get(1)

        def change_all() -> None:
            for contact in objects:
                contact.order = contact.order + 1
                contact.save()
            ThreadManager().stop()

        timed('save of every object', change_all)
        assert FileBackend(path).load()['Contacts'][objects[-1].id]['order'] == str(objects[-1].order)


if __name__ == '__main__':
    main()
