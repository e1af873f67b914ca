"""`python -m sipsimple.demo`: a real call in some ten seconds. Exit status 0: everything in it was as it should be."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from sipsimple.__info__ import __version__
from sipsimple.demo.process import DemoError

__all__ = ['main', 'parse']

BUSY = 0.06                             # seconds, three packets: what jitter buffers cannot hide

EPILOG = '''
without --account, two processes of this machine call each other; nothing leaves it.

examples:
  demo --codec PCMU --srtp off --keep /tmp/call
  demo --account alice@example.com --password secret --call echo@example.com
'''


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; exits with 2 on bad ones, as argparse does."""
    parser = argparse.ArgumentParser(prog='demo', description='Make a SIP call with audio and chat, and check what arrives.', epilog=EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--codec', metavar='NAME', action='append', help='the only audio codec to use, such as opus, G722, PCMU, PCMA; may be repeated')
    parser.add_argument('--srtp', choices=('off', 'optional', 'mandatory'), help='encryption of the audio (default: used when the other side has it too)')
    parser.add_argument('--ice', action='store_true', help='negotiate addresses with ICE')
    parser.add_argument('--transport', choices=('udp', 'tcp', 'tls'), help='transport of the SIP messages (default: udp; with an account: what DNS says)')
    parser.add_argument('--keep', metavar='DIR', type=Path, help='keep the recordings there')
    parser.add_argument('--verbose', action='store_true', help='show whole SIP messages, and what the core logs')
    account = parser.add_argument_group('an account of yours')
    account.add_argument('--account', metavar='USER@DOMAIN', help='register this account instead of calling within this machine')
    account.add_argument('--password', help='its password; asked for on a terminal when not given')
    account.add_argument('--username', metavar='NAME', help='its user name for authentication, when it is not USER')
    account.add_argument('--server', '--outbound-proxy', dest='outbound_proxy', metavar='HOST[:PORT][;transport=...]',
                         help='the server to use (default: the one DNS names for DOMAIN)')
    account.add_argument('--call', metavar='TARGET', help='call this SIP address through the account, speak and record')
    options = parser.parse_args(arguments)
    options.offline = False             # with the server's address, no name server is needed
    needs_account = [name for name in ('password', 'username', 'outbound_proxy', 'call') if getattr(options, name) is not None]
    if not options.account and needs_account:
        parser.error(f'--{needs_account[0].replace("_", "-")} needs --account')
    if not options.account and options.transport == 'tls':
        parser.error('--transport tls needs --account: a call within this machine has no certificates')
    _check_values(parser, options)
    return options


def _check_values(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Let the types of the settings judge what they will be given."""
    from sipsimple.configuration.datatypes import AudioCodecList, SIPAddress, SIPProxyAddress
    from sipsimple.core import SIPCoreError, SIPURI
    try:
        if options.codec:
            AudioCodecList(options.codec)
        if options.account:
            SIPAddress(options.account)
        if options.outbound_proxy:
            server = SIPProxyAddress.from_description(options.outbound_proxy)
            if options.transport not in (None, server.transport):
                parser.error(f'--transport {options.transport} does not fit the server\'s, {server.transport}')
            with contextlib.suppress(ValueError):
                options.offline = bool(ip_address(server.host.strip('[]')))
        if options.call:
            SIPURI.parse(options.call if ':' in options.call else f'sip:{options.call}')
    except (ValueError, SIPCoreError) as error:
        parser.error(str(error))


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix='sipsimple-demo-') as path:
            yield Path(path)
    else:
        keep = keep.expanduser().resolve()
        try:
            keep.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DemoError(f'{keep} cannot be the folder for the recordings: {error.strerror}') from None
        yield keep


def _title(options: argparse.Namespace) -> str:
    if not options.account:
        return 'alice calls bob'
    return f'{options.account} calls {options.call}' if options.call else f'registration of {options.account}'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit status."""
    options = parse(arguments)
    from sipsimple.demo.calls import account_call, local_call
    from sipsimple.demo.terminal import Terminal
    if options.account and options.password is None:
        options.password = getpass.getpass(f'password of {options.account}: ') if sys.stdin.isatty() else ''

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, stop)     # the other processes must not be left behind
    terminal = Terminal()
    terminal.line(f'sipsimple {__version__}: ' + _title(options))
    try:
        with _folder(options.keep) as folder:
            (account_call if options.account else local_call)(terminal, options, folder)
            if options.keep:
                terminal.line(f'\nThe recordings are in {folder}')
    except DemoError as error:
        terminal.verdict(False, f'The demo failed. {error}')
        return 1
    except OSError as error:
        terminal.verdict(False, f'The demo failed. {error}')
        return 1
    except KeyboardInterrupt:
        terminal.verdict(False, 'Interrupted.')
        return 130
    if terminal.failures:
        if terminal.waited > BUSY:
            terminal.line(f'\nThis machine is very busy: threads had to wait {terminal.waited:.2f} s for a processor, which tears sound apart.')
        terminal.verdict(False, f'The demo failed: {len(terminal.failures)} check(s) did not pass.')
        return 1
    terminal.verdict(True, 'Everything is as it should be.')
    return 0


if __name__ == '__main__':
    status = main()
    sys.stdout.flush()
    sys.exit(status)
