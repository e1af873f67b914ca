"""Neighbours of a BonjourAccount: publishing and finding contacts by multicast DNS (RFC 6762) and DNS-SD (RFC 6763).

    records         what applications see: descriptions and records of neighbours, presence
    txt             TXT records, and what a neighbour says in one
    wire            names of instances in DNS messages
    dnssd           the binding to `zeroconf`, imported when an account is activated
    registration    publishes one transport: a table
    discovery       browses one type of service, and keeps its neighbours: two tables
    interfaces      where to do that
    services        puts them together for the account, and follows settings and network
"""

from sipsimple.account.bonjour.records import BonjourNeighbourRecord, BonjourPresenceState, BonjourServiceDescription

__all__ = ['BonjourNeighbourRecord', 'BonjourPresenceState', 'BonjourServiceDescription']
