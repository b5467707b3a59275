"""How an archive is cut into blocks of photos, which actors take one after the other."""

BLOCK = 64
"""Most photos in a block, which an actor begins anew when it has been killed."""
_BLOCKS = 12
"""Blocks for each actor, if there are few photos, so that all end at about the same time."""


def block_of(count: int, actors: int) -> int:
    """Return how many photos a block has: few enough that no actor waits long for the others at the end."""
    return max(1, min(BLOCK, count // (actors * _BLOCKS)))


def turns(count: int, block: int, actors: int) -> int:
    """Return the most photos that one of the actors restores: the run ends when the last block does.

    Actors that are as fast as each other take as many blocks, or one more.
    """
    blocks = -(-count // block)
    return min(count, -(-blocks // actors) * block)
