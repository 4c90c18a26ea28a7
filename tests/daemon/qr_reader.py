"""A reader of undamaged QR codes (ISO/IEC 18004), of its own: nothing in it is of the library that draws them.

Versions 1 to 40 in error correction levels L and M, alphanumeric and byte mode. Errors are not corrected but asserted
away.
"""

from __future__ import annotations

_ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_FORMAT_MASK = 0b101010000010010
_LEVELS = {0b01: "L", 0b00: "M"}
_MASKS = (
    lambda row, column: (row + column) % 2 == 0,
    lambda row, column: row % 2 == 0,
    lambda row, column: column % 3 == 0,
    lambda row, column: (row + column) % 3 == 0,
    lambda row, column: (row // 2 + column // 3) % 2 == 0,
    lambda row, column: row * column % 2 + row * column % 3 == 0,
    lambda row, column: (row * column % 2 + row * column % 3) % 2 == 0,
    lambda row, column: ((row + column) % 2 + row * column % 3) % 2 == 0,
)
# By version: error correction codewords of a block, and blocks.
_BLOCKS = {
    "L": "7:1 10:1 15:1 20:1 26:1 18:2 20:2 24:2 30:2 18:4 20:4 24:4 26:4 30:4 22:6 24:6 28:6 30:6 28:7 28:8 "
    "28:8 28:9 30:9 30:10 26:12 28:12 30:12 30:13 30:14 30:15 30:16 30:17 30:18 30:19 30:19 30:20 30:21 30:22 "
    "30:24 30:25",
    "M": "10:1 16:1 26:1 18:2 24:2 16:4 18:4 22:4 22:5 26:5 30:5 22:8 22:9 24:9 24:10 28:10 28:11 26:13 26:14 "
    "26:16 26:17 28:17 28:18 28:20 28:21 28:23 28:25 28:26 28:28 28:29 28:31 28:33 28:35 28:37 28:38 28:40 28:43 "
    "28:45 28:47 28:49",
}

Matrix = list[list[bool]]


def read(modules: Matrix) -> str:
    """The text of a code without its quiet zone; True is a dark module."""
    size = len(modules)
    version, rest = divmod(size - 17, 4)
    assert rest == 0 and 1 <= version <= 40 and all(len(row) == size for row in modules)
    for top, left in ((0, 0), (0, size - 7), (size - 7, 0)):
        assert [modules[top + 3][left + at] for at in range(7)] == [
            True,
            False,
            True,
            True,
            True,
            False,
            True,
        ]
    level, mask = _format(modules)
    bits = "".join("01"[bit] for bit in _bits(modules, version, mask))
    codewords = [int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8)]
    return _decode(_data(codewords, version, level), version)


def _format(modules: Matrix) -> tuple[str, int]:
    places = [(8, column) for column in (0, 1, 2, 3, 4, 5, 7, 8)] + [
        (row, 8) for row in (7, 5, 4, 3, 2, 1, 0)
    ]
    value = int("".join("01"[modules[row][column]] for row, column in places), 2) ^ _FORMAT_MASK
    return _LEVELS[value >> 13], value >> 10 & 7


def _alignment(version: int) -> list[int]:
    if version == 1:
        return []
    count = version // 7 + 2
    step = 26 if version == 32 else (version * 4 + count * 2 + 1) // (count * 2 - 2) * 2
    last = version * 4 + 10
    return [6, *(last - step * at for at in range(count - 2, -1, -1))]


def _bits(modules: Matrix, version: int, mask: int) -> list[bool]:
    """The data and error correction bits in their order, unmasked: in columns of two, up and down."""
    size = len(modules)
    centres = _alignment(version)
    aligned = {
        (row, column)
        for row in centres
        for column in centres
        if (row, column) not in ((6, 6), (6, centres[-1]), (centres[-1], 6))
    }

    def is_function(row: int, column: int) -> bool:
        corner = (row < 9 and (column < 9 or column >= size - 8)) or (row >= size - 8 and column < 9)
        versions = version >= 7 and ((row < 6 and column >= size - 11) or (column < 6 and row >= size - 11))
        near = any(abs(row - y) <= 2 and abs(column - x) <= 2 for y, x in aligned)
        return corner or versions or near or 6 in (row, column)

    bits = []
    upward = True
    right = size - 1
    while right > 0:
        if right == 6:
            right -= 1
        for row in range(size - 1, -1, -1) if upward else range(size):
            for column in (right, right - 1):
                if not is_function(row, column):
                    bits.append(modules[row][column] != _MASKS[mask](row, column))
        upward = not upward
        right -= 2
    return bits


def _data(codewords: list[int], version: int, level: str) -> list[int]:
    """The data codewords: blocks of two lengths, dealt out in turn."""
    correction, blocks = map(int, _BLOCKS[level].split()[version - 1].split(":"))
    short, longer = divmod(len(codewords) - correction * blocks, blocks)
    lengths = [short] * (blocks - longer) + [short + 1] * longer
    taken: list[list[int]] = [[] for _ in lengths]
    source = iter(codewords)
    for position in range(short + 1):
        for block, length in zip(taken, lengths, strict=True):
            if position < length:
                block.append(next(source))
    return [codeword for block in taken for codeword in block]


def _decode(data: list[int], version: int) -> str:
    bits = "".join(f"{codeword:08b}" for codeword in data)
    at = 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        return int(bits[at - count : at], 2)

    size = 0 if version < 10 else 1 if version < 27 else 2
    text = ""
    while at + 4 <= len(bits) and (mode := take(4)):
        if mode == 0b0010:
            count = take((9, 11, 13)[size])
            for _ in range(count // 2):
                pair = take(11)
                text += _ALPHANUMERIC[pair // 45] + _ALPHANUMERIC[pair % 45]
            text += _ALPHANUMERIC[take(6)] if count % 2 else ""
        else:
            assert mode == 0b0100, f"mode {mode:04b}"
            count = take((8, 16, 16)[size])
            text += bytes(take(8) for _ in range(count)).decode()
    return text
