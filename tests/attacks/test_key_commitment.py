"""One ciphertext, two plaintexts: AES-GCM does not commit to its key, so references commit to the plaintext.

Whoever chooses the keys can make a ciphertext and a tag that decrypt under two keys to two messages: the auditor is
given one key, the court another. The attack is carried out here, and the reference in the row tells the two apart.
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from spanledger_exporter.ledger.content import content_ref

FIRST_KEY, SECOND_KEY = b"\x11" * 32, b"\x22" * 32
NONCE = b"\x00" * 12
SALT = b"\x33" * 32
MEDIA = "application/octet-stream"

_REDUCTION = 0xE1 << 120
_TOP = 1 << 127


def product(a: int, b: int) -> int:
    """Multiply in GF(2^128) with GCM's bit order (NIST SP 800-38D, section 6.3)."""
    result = 0
    for bit in range(127, -1, -1):
        if a >> bit & 1:
            result ^= b
        b = b >> 1 ^ _REDUCTION if b & 1 else b >> 1
    return result


def inverse(a: int) -> int:
    """Return a^(2^128 - 2), which is 1/a."""
    result = _TOP  # the field's one
    for _ in range(127):
        a = product(a, a)
        result = product(result, a)
    return result


def block(key: bytes, data: bytes) -> int:
    """Encrypt one block."""
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - the bare block cipher is meant
    return int.from_bytes(encryptor.update(data), "big")


def ciphertext_for_both() -> bytes:
    """Return two blocks and a tag that both keys accept: the second block solves one linear equation."""
    hashes = [block(key, bytes(16)) for key in (FIRST_KEY, SECOND_KEY)]
    masks = [block(key, NONCE + b"\x00\x00\x00\x01") for key in (FIRST_KEY, SECOND_KEY)]
    first = int.from_bytes(b"any sixteen byte", "big")
    length = 256  # bits of ciphertext, in the last eight bytes of GHASH's length block
    squares = [product(h, h) for h in hashes]
    cubes = [product(s, h) for s, h in zip(squares, hashes, strict=True)]
    wanted = masks[0] ^ masks[1] ^ product(first, cubes[0] ^ cubes[1]) ^ product(length, hashes[0] ^ hashes[1])
    second = product(wanted, inverse(squares[0] ^ squares[1]))
    tag = masks[0] ^ product(first, cubes[0]) ^ product(second, squares[0]) ^ product(length, hashes[0])
    return b"".join(value.to_bytes(16, "big") for value in (first, second, tag))


@pytest.fixture
def plaintexts() -> tuple[bytes, bytes]:
    """Decrypt the one ciphertext under both keys; both times GCM finds nothing wrong."""
    data = ciphertext_for_both()
    return AESGCM(FIRST_KEY).decrypt(NONCE, data, None), AESGCM(SECOND_KEY).decrypt(NONCE, data, None)


def test_one_ciphertext_opens_under_two_keys(plaintexts: tuple[bytes, bytes]) -> None:
    """The attack is real: no error, two different texts."""
    assert plaintexts[0] != plaintexts[1]


@pytest.mark.parametrize("salt", [None, SALT])
def test_the_reference_in_the_row_fits_only_one_of_the_two_texts(
    plaintexts: tuple[bytes, bytes], salt: bytes | None
) -> None:
    """Plain or salted, a reference is over the plaintext, and the row's hash is over the reference."""
    first, second = (content_ref(MEDIA, text, salt=salt) for text in plaintexts)
    assert first != second
