"""Nothing but a start: an application whose core answers OPTIONS, on the given port. `engine` starts the Engine alone."""

from __future__ import annotations

import sys
from typing import Any

from bench.subjects import commands


def start_engine(port: int) -> None:
    from sipsimple.core import Engine
    Engine().start(udp_port=port, ip_address='127.0.0.1')


def start_application(port: int) -> None:
    from sipsimple.account import BonjourAccount
    from sipsimple.application import SIPApplication
    from sipsimple.configuration.settings import SIPSimpleSettings
    from sipsimple.notification import NotificationCenter
    from sipsimple.storage import MemoryStorage

    class Observer:
        def handle_notification(self, notification: object) -> None:
            commands.stay_here()
            settings: Any = SIPSimpleSettings()
            settings.audio.input_device = settings.audio.output_device = settings.audio.alert_device = None
            settings.sip.transport_list = ['udp']
            settings.sip.udp_port = port
            BonjourAccount().discovery.enabled = False

    NotificationCenter().add_observer(Observer(), name='SIPApplicationWillStart')
    SIPApplication().start(MemoryStorage())


def main() -> None:
    given = commands.options()
    if given['what'] == 'engine':
        start_engine(given['port'])
    else:
        start_application(given['port'])
    sys.stdin.read()


if __name__ == '__main__':
    main()
