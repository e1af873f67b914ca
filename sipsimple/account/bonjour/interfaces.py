"""The interfaces and addresses of this machine that mDNS uses."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import NamedTuple

import ifaddr

__all__ = ['Interfaces', 'find']


class Interfaces(NamedTuple):
    """Where to speak mDNS.

    Attributes:
        bind: an IPv4 address for every interface that has one, an IPv6 address or the number of the interface for every one that has that.
        addresses: what we publish, IPv4 before IPv6, and addresses of one link last.
        unready: there is an IPv6 address that cannot be used yet: the machine still asks whether it is another one's (RFC 4862 §5.4).
    """

    bind: list[str | int]
    addresses: list[str]
    unready: bool = False


class _Address(NamedTuple):
    ip: str
    number: int             # of the interface
    name: str


def find(only: str | None = None) -> Interfaces:
    """Return the interfaces of this machine; the loopback one if there are no others, or that of an address of ours, if we are to use no other.

    Raises:
        OSError: the system does not tell.
    """
    if only is not None:
        return Interfaces([only], [only])
    found = [_Address(address.ip if address.is_IPv4 else address.ip[0], adapter.index or 0, adapter.name)     # type: ignore[arg-type]
             for adapter in ifaddr.get_adapters() for address in adapter.ips]
    outward = [address for address in found if not ipaddress.ip_address(address.ip).is_loopback]
    if not outward:
        return Interfaces(['127.0.0.1'], ['127.0.0.1'])
    usable = [address for address in outward if ':' not in address.ip or _is_ready(address)]
    bind: list[str | int] = []
    for number in dict.fromkeys(address.number for address in usable):
        mine = [address for address in usable if address.number == number]
        bind += [address.ip for address in mine if ':' not in address.ip][:1]
        bind += _bind_ipv6([address for address in mine if ':' in address.ip], usable)
    addresses = sorted(dict.fromkeys(address.ip for address in usable), key=_rank)
    return Interfaces(bind, addresses, unready=len(usable) < len(outward))


def _rank(address: str) -> tuple[bool, bool]:
    return ':' in address, ipaddress.ip_address(address).is_link_local


def _bind_ipv6(mine: list[_Address], everybody: list[_Address]) -> list[str | int]:
    """The address of one link, by which the others learn on which link an address of that kind is; the number of the interface where others have the same."""
    if not mine:
        return []
    best = max(mine, key=lambda address: ipaddress.ip_address(address.ip).is_link_local)
    unique = sum(address.ip == best.ip for address in everybody) == 1
    return [best.ip if unique else best.number]


def _is_ready(address: _Address) -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((address.ip, 0, 0, address.number if ipaddress.ip_address(address.ip).is_link_local else 0))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True
