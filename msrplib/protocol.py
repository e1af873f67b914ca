"""What a user of the library needs to make and read chunks: re-exported names."""

from msrplib.errors import ChunkParseError, HeaderParsingError, MSRPError, ParsingError
from msrplib.headers import (
    AuthenticationInfoHeader,
    AuthorizationHeader,
    ByteRange,
    ByteRangeHeader,
    ContentDescriptionHeader,
    ContentDispositionHeader,
    ContentIDHeader,
    ContentTypeHeader,
    DigestHeaderType,
    ExpiresHeader,
    FailureReportHeader,
    FromPathHeader,
    HeaderType,
    IntegerHeaderType,
    KeywordHeaderType,
    LimitedChoiceHeaderType,
    MaxExpiresHeader,
    MessageIDHeader,
    MinExpiresHeader,
    MSRPHeader,
    MSRPNamedHeader,
    PathHeaderType,
    Status,
    StatusHeader,
    SuccessReportHeader,
    ToPathHeader,
    UseNicknameHeader,
    UsePathHeader,
    UTF8HeaderType,
    WWWAuthenticateHeader,
)
from msrplib.message import MSRPData
from msrplib.uri import URI, ConnectInfo, parse_uri

__all__ = ['AuthenticationInfoHeader', 'AuthorizationHeader', 'ByteRange', 'ByteRangeHeader', 'ChunkParseError', 'ConnectInfo', 'ContentDescriptionHeader',
           'ContentDispositionHeader', 'ContentIDHeader', 'ContentTypeHeader', 'DigestHeaderType', 'ExpiresHeader', 'FailureReportHeader', 'FromPathHeader',
           'HeaderParsingError', 'HeaderType', 'IntegerHeaderType', 'KeywordHeaderType', 'LimitedChoiceHeaderType', 'MSRPData', 'MSRPError', 'MSRPHeader',
           'MSRPNamedHeader', 'MaxExpiresHeader', 'MessageIDHeader', 'MinExpiresHeader', 'ParsingError', 'PathHeaderType', 'Status', 'StatusHeader',
           'SuccessReportHeader', 'ToPathHeader', 'URI', 'UTF8HeaderType', 'UseNicknameHeader', 'UsePathHeader', 'WWWAuthenticateHeader', 'parse_uri']
