"""The public ratchet tree, an immutable value (RFC 9420 §4.1, §7.1, §7.7, §12.4.3.3).

A tree always has 2^d leaves; blank places are None. Every change gives a new tree, which inherits the subtree
hashes that the change left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from starling.protocol.errors import Invalid, UsageError
from starling.protocol.mls import tree_math
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.rules import Rule
from starling.protocol.wire import Select, Struct, Vector, opaque, uint8, uint32


@dataclass(frozen=True, slots=True)
class ParentNode(Struct):
    """An intermediate node; `unmerged_leaves` are leaf indexes in ascending order (§7.1)."""

    node_type: ClassVar[int] = 2

    encryption_key: opaque
    parent_hash: opaque
    unmerged_leaves: Vector[uint32]


Node = LeafNode | ParentNode
_NODE = Select(uint8, {1: LeafNode, 2: ParentNode}, tag="node_type", extensible=False)


@dataclass(frozen=True, slots=True)
class _Nodes(Struct):
    """The ratchet_tree extension: optional<Node> ratchet_tree<V>, no blank at the end."""

    nodes: Vector[Annotated[Node, _NODE] | None]


class RatchetTree:
    """`nodes` holds the tree by node index; its length is that of a full tree."""

    __slots__ = ("hashes", "nodes")

    def __init__(
        self, nodes: tuple[Node | None, ...] = (), hashes: Mapping[int, bytes] | None = None
    ) -> None:
        self.nodes = nodes
        self.hashes: dict[int, bytes] = dict(hashes) if hashes else {}
        """Tree hashes of subtrees computed so far, by node; kept by `tree_hash`."""

    @property
    def leaf_count(self) -> int:
        """How many leaves the tree has room for, blank ones included."""
        return (len(self.nodes) + 1) // 2

    @property
    def root(self) -> int:
        return len(self.nodes) // 2

    def leaf(self, leaf_index: int) -> LeafNode | None:
        node = self.nodes[2 * leaf_index] if 0 <= leaf_index < self.leaf_count else None
        return node if isinstance(node, LeafNode) else None

    def parent_node(self, node_index: int) -> ParentNode | None:
        node = self.nodes[node_index]
        return node if isinstance(node, ParentNode) else None

    def leaves(self) -> Iterator[tuple[int, LeafNode]]:
        """The non-blank leaves with their indexes."""
        for index in range(self.leaf_count):
            node = self.nodes[2 * index]
            if isinstance(node, LeafNode):
                yield index, node

    def leaf_nodes(self) -> list[LeafNode]:
        """The non-blank leaves, from left to right."""
        return [node for node in self.nodes[::2] if isinstance(node, LeafNode)]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RatchetTree) and self.nodes == other.nodes

    def __hash__(self) -> int:
        return hash(self.nodes)

    # changes

    def with_nodes(self, changes: Mapping[int, Node | None]) -> RatchetTree:
        """The tree with these nodes replaced."""
        if not changes:
            return self
        nodes = list(self.nodes)
        hashes = dict(self.hashes)
        top = self.root
        for index, node in changes.items():
            nodes[index] = node
            above = index
            # Above a subtree whose hash is not known no hash is known either.
            while hashes.pop(above, None) is not None and above != top:
                above = tree_math.parent_in_any(above)
        return RatchetTree(tuple(nodes), hashes)

    def with_equal_leaves(self, leaves: Iterable[tuple[int, LeafNode]]) -> RatchetTree:
        """The tree with these objects in place of equal ones, so that trees share them."""
        nodes = list(self.nodes)
        for index, leaf in leaves:
            nodes[2 * index] = leaf
        return RatchetTree(tuple(nodes), self.hashes)

    def with_free_leaf(self) -> tuple[RatchetTree, int]:
        """The tree, doubled where it is full, and the index of its leftmost blank leaf (§7.7)."""
        index = next((i for i in range(self.leaf_count) if self.nodes[2 * i] is None), self.leaf_count)
        if index < self.leaf_count:
            return self, index
        return self._doubled(), index

    def _doubled(self) -> RatchetTree:
        """The tree with as many blank leaves again; one of one leaf where it was empty."""
        size = tree_math.node_width(2 * self.leaf_count or 1)
        padding: tuple[Node | None, ...] = (None,) * (size - len(self.nodes))
        return RatchetTree(self.nodes + padding, self.hashes)

    def with_leaf_added(self, leaf: LeafNode) -> tuple[RatchetTree, int]:
        """The new leaf at the leftmost blank place, the tree doubled where there is none (§7.7)."""
        tree, (index,) = self.with_leaves_added((leaf,))
        return tree, index

    def with_leaves_added(self, leaves: Sequence[LeafNode]) -> tuple[RatchetTree, tuple[int, ...]]:
        """The new leaves, one after the other, each at the leftmost blank place; and their leaf indexes."""
        tree = self
        free = [index for index, leaf in enumerate(self.nodes[::2]) if leaf is None]
        while len(free) < len(leaves):
            full = tree.leaf_count
            tree = tree._doubled()
            free.extend(range(full, tree.leaf_count))
        added = tuple(free[: len(leaves)])
        changes: dict[int, Node | None] = {}
        unmerged: dict[int, list[int]] = {}
        for index, leaf in zip(added, leaves, strict=True):
            changes[2 * index] = leaf
            for above in tree_math.direct_path(2 * index, tree.leaf_count):
                if tree.nodes[above] is not None:
                    unmerged.setdefault(above, []).append(index)
        for above, fresh in unmerged.items():
            node = tree.parent_node(above)
            assert node is not None
            changes[above] = replace(node, unmerged_leaves=tuple(sorted((*node.unmerged_leaves, *fresh))))
        return tree.with_nodes(changes), added

    def with_leaf_updated(self, leaf_index: int, leaf: LeafNode) -> RatchetTree:
        """The leaf replaced and its direct path blanked (§12.1.2)."""
        self._occupied(leaf_index)
        changes: dict[int, Node | None] = {2 * leaf_index: leaf}
        changes.update(dict.fromkeys(tree_math.direct_path(2 * leaf_index, self.leaf_count)))
        return self.with_nodes(changes)

    def with_leaf_removed(self, leaf_index: int) -> RatchetTree:
        """The leaf and its direct path blanked, the tree halved while its right half is empty (§7.7)."""
        self._occupied(leaf_index)
        changes: dict[int, Node | None] = {2 * leaf_index: None}
        changes.update(dict.fromkeys(tree_math.direct_path(2 * leaf_index, self.leaf_count)))
        tree = self.with_nodes(changes)
        nodes = tree.nodes
        while len(nodes) > 1 and all(node is None for node in nodes[len(nodes) // 2 + 1 :: 2]):
            nodes = nodes[: len(nodes) // 2]
        if len(nodes) == len(tree.nodes):
            return tree
        return RatchetTree(nodes, {i: value for i, value in tree.hashes.items() if i < len(nodes)})

    def _occupied(self, leaf_index: int) -> None:
        if self.leaf(leaf_index) is None:
            raise UsageError(f"leaf {leaf_index} is blank")

    # resolution and paths

    def resolution(self, node_index: int) -> list[int]:
        """The nodes that cover a subtree (§4.1.1)."""
        node = self.nodes[node_index]
        if isinstance(node, LeafNode):
            return [node_index]
        if isinstance(node, ParentNode):
            return [node_index, *(2 * leaf for leaf in node.unmerged_leaves)]
        reach = tree_math.width(node_index) - 1
        first, last = node_index - reach, node_index + reach
        if not any(
            self.nodes[first + 1 : last : 2]
        ):  # no inner node, as in most of a tree that one member made
            return [index for index in range(first, last + 1, 2) if self.nodes[index] is not None]
        half = (reach + 1) // 2
        return self.resolution(node_index - half) + self.resolution(node_index + half)

    def filtered_direct_path(self, leaf_index: int) -> list[tuple[int, int]]:
        """The direct path without the nodes whose copath child has an empty resolution, as pairs
        (node, its child on the copath), bottom up (§4.1.2)."""
        path = []
        node, width = 2 * leaf_index, 1  # the subtree below a node reaches `width - 1` to both sides
        while node != self.root:
            sibling = node ^ (2 * width)
            node = (node | width) & ~(2 * width)
            if any(self.nodes[sibling - width + 1 : sibling + width]):
                path.append((node, sibling))
            width *= 2
        return path

    def encryption_key(self, node_index: int) -> bytes:
        """The public key of a non-blank node."""
        node = self.nodes[node_index]
        assert node is not None
        return node.encryption_key

    # wire

    def encode(self) -> bytes:
        """The data of the ratchet_tree extension (§12.4.3.3)."""
        nodes = list(self.nodes)
        while nodes and nodes[-1] is None:
            nodes.pop()
        return _Nodes(tuple(nodes)).encode()

    @classmethod
    def decode(cls, data: bytes) -> RatchetTree:
        """Raises `DecodeError`, or `Invalid` for a blank end or a node in the wrong place."""
        nodes = _Nodes.decode(data).nodes
        if not nodes or nodes[-1] is None:
            raise Invalid(Rule.TREE_TRAILING_BLANK)
        for index, node in enumerate(nodes):
            if node is not None and isinstance(node, LeafNode) != (index % 2 == 0):
                raise Invalid(Rule.TREE_NODE_PLACE)
        size = 1
        while size < len(nodes):
            size = 2 * size + 1
        return cls(nodes + (None,) * (size - len(nodes)))
