"""The CRC-32C (Castagnoli) checksum, and its masked form in TFRecord files."""

from array import array
from functools import cache
from sys import byteorder

_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_ALL = 0xFFFFFFFF


@cache
def _tables() -> tuple[list[int], list[int]]:
    """Give the table by bytes and the one by pairs of bytes, which halves the rounds."""
    by_byte = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        by_byte.append(value)
    by_pair = []
    for number in range(65536):
        value = by_byte[number & 0xFF] ^ number >> 8
        by_pair.append(by_byte[value & 0xFF] ^ value >> 8)
    return by_byte, by_pair


def crc32c(data: bytes | memoryview, crc: int = 0) -> int:
    """Compute the checksum of ``data``, going on from that of what came before."""
    by_byte, by_pair = _tables()
    value = crc ^ _ALL
    even = len(data) & ~1
    pairs = array("H", bytes(data[:even]))
    if byteorder == "big":
        pairs.byteswap()
    for pair in pairs:
        value = by_pair[(value ^ pair) & 0xFFFF] ^ value >> 16
    for byte in data[even:]:
        value = by_byte[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ _ALL


def masked(crc: int) -> int:
    """Mask a checksum as TFRecord does, so that checksums of checksums stay sound."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & _ALL
