"""Divide an archive into blocks of photos, which actors process one after another."""

BLOCK = 64
"""The most photos in a block. A block whose actor was killed is restored again from its start."""
_BLOCKS = 12
"""The number of blocks for each actor if there are few photos, so that all actors finish at about the same
time."""


def block_of(count: int, actors: int) -> int:
    """Return the number of photos in a block: small enough that no actor waits long for the others at the
    end."""
    return max(1, min(BLOCK, count // (actors * _BLOCKS)))


def turns(count: int, block: int, actors: int) -> int:
    """Return the largest number of photos that any actor restores, since the run ends with its last block.
    Equally fast actors take equally many blocks, or one more.
    """
    blocks = -(-count // block)
    return min(count, -(-blocks // actors) * block)
