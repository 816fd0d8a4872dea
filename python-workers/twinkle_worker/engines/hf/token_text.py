"""Text and bytes of single tokens, by the tokenizer's own rules. Built once per model."""

from __future__ import annotations

import re
from typing import Any

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def _byte_alphabet() -> dict[str, int]:
    """Character → byte of byte-level BPE: printable Latin-1 stands for itself, the rest for 256 and up in order."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}


class TokenTexts:
    """Bytes and texts of tokens.

    byte_level: every token stands for bytes whatever its neighbours, so that text can be put together token by token
    special: ids that ``skip_special_tokens`` leaves out
    """

    def __init__(self, tokenizer: Any) -> None:
        from tokenizers import decoders

        backend = getattr(tokenizer, "backend_tokenizer", None)
        self._tokenizer = tokenizer
        self._alphabet = _byte_alphabet()
        self._bytes: dict[int, bytes] = {}
        self.byte_level = backend is not None and isinstance(backend.decoder, decoders.ByteLevel)
        added = getattr(tokenizer, "added_tokens_decoder", {})
        self._added = frozenset(int(token) for token in added)
        self.special = frozenset(int(token) for token, what in added.items() if what.special) | frozenset(
            tokenizer.all_special_ids
        )

    def bytes_of(self, token: int) -> bytes:
        """UTF-8 bytes of a token, possibly not whole characters; empty for ids that the tokenizer does not have."""
        known = self._bytes.get(token)
        if known is None:
            known = self._bytes[token] = self._lookup(token)
        return known

    def text_of(self, token: int) -> str:
        """Text of a token; bytes that are no UTF-8 become U+FFFD."""
        return self.bytes_of(token).decode("utf-8", "replace")

    def _lookup(self, token: int) -> bytes:
        piece = self._tokenizer.convert_ids_to_tokens(token)
        if piece is None:
            return b""
        if self.byte_level:
            mapped = [self._alphabet.get(character) for character in piece]
            return piece.encode() if None in mapped else bytes(byte for byte in mapped if byte is not None)
        byte = _BYTE_TOKEN.fullmatch(piece)
        if byte is not None:
            return bytes([int(byte[1], 16)])
        return piece.encode() if token in self._added else piece.replace("\u2581", " ").encode()
