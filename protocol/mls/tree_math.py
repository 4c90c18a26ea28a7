"""Array-based tree arithmetic (RFC 9420 Appendix C). Node indexes: leaf i is node 2i."""

from __future__ import annotations


def level(node: int) -> int:
    """The level of a node; leaves are at level 0."""
    return ((node ^ (node + 1)).bit_length()) - 1


def width(node: int) -> int:
    """How many leaves are below a node: 2 to the power of its level."""
    return ~node & (node + 1)


def node_width(leaf_count: int) -> int:
    """How many nodes a tree with this many leaves has."""
    return 2 * leaf_count - 1 if leaf_count else 0


def root(leaf_count: int) -> int:
    """The root of a tree with `leaf_count` leaves, a power of two."""
    return (1 << (node_width(leaf_count).bit_length() - 1)) - 1


def left(node: int) -> int | None:
    """The left child, None for a leaf."""
    k = level(node)
    return None if k == 0 else node ^ (1 << (k - 1))


def right(node: int) -> int | None:
    """The right child, None for a leaf."""
    k = level(node)
    return None if k == 0 else node ^ (3 << (k - 1))


def parent(node: int, leaf_count: int) -> int | None:
    """The parent, None for the root."""
    return None if node == root(leaf_count) else parent_in_any(node)


def parent_in_any(node: int) -> int:
    """The parent in every tree of which the node is not the root."""
    below = width(node)
    return (node | below) & ~(2 * below)


def sibling(node: int, leaf_count: int) -> int | None:
    """The other child of the node's parent, None for the root."""
    above = parent(node, leaf_count)
    if above is None:
        return None
    return right(above) if node < above else left(above)


def direct_path(node: int, leaf_count: int) -> list[int]:
    """The ancestors of a node from its parent to the root."""
    path = []
    top = root(leaf_count)
    while node != top:
        node = parent_in_any(node)
        path.append(node)
    return path


def copath(node: int, leaf_count: int) -> list[int]:
    """The siblings of the node and of its ancestors below the root, bottom up."""
    path = []
    current = node
    for above in direct_path(node, leaf_count):
        path.append(current ^ (1 << (level(current) + 1)))
        current = above
    return path


def is_ancestor(ancestor: int, node: int) -> bool:
    """Whether the second node is the first or below it."""
    k = level(ancestor)
    return level(node) <= k and (node >> (k + 1)) == (ancestor >> (k + 1))


def common_ancestor(first_leaf: int, second_leaf: int) -> int:
    """The lowest node above (or at) two leaves, given as leaf indexes."""
    x, y = 2 * first_leaf, 2 * second_leaf
    if x == y:
        return x
    k = (x ^ y).bit_length()
    return (x >> k << k) + (1 << (k - 1)) - 1
