"""Write down the notifications of a child process, for `pytest --notification-report`.

Python imports this file at start when its folder is on PYTHONPATH. It waits for the notification bus to be imported; a process that does not use it
is left alone. Another `sitecustomize` further down the path is carried out as if this one were not there.
"""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec, spec_from_file_location

HERE = os.path.dirname(os.path.abspath(__file__))
BUS = 'sipsimple.notification'


def _run(spec):
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _start_report():
    report = _run(spec_from_file_location('sipsimple_notification_report', os.path.join(HERE, os.pardir, 'notification_report.py')))
    report.start_journal(os.environ[report.JOURNAL_VARIABLE])


class _BusFinder:
    """Meta path finder that finds nothing, but has the report started as soon as the bus is there."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname != BUS:
            return None
        sys.meta_path.remove(cls)
        spec = find_spec(BUS)
        if spec is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                _start_report()
            spec.loader.exec_module = exec_module
        return spec


_next = PathFinder.find_spec('sitecustomize', [folder for folder in sys.path if os.path.abspath(folder) != HERE])
if _next is not None and _next.loader is not None:
    _run(_next)
if os.environ.get('SIPSIMPLE_NOTIFICATION_JOURNAL'):
    sys.meta_path.insert(0, _BusFinder)
