"""The healing vectors against a thief who follows everything by brute force (PROTOCOL 5.5).

The model knows nothing of vectors: it says which keys each commit is sealed to and which secrets go into each epoch,
lets a thief take all that a member has at some moment, and derives whatever follows from that and the traffic.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from starling.protocol.distributed.healing import StatedTimes, Vector, after_commit, founded, welcomed

Member = bytes


@dataclass(eq=False)
class Epoch:
    """`sealed_to` are the leaf keys that open its path, None where it has none; `welcomes` the init keys."""

    owner: Member
    parent: Epoch | None
    time: int
    imports: list[Epoch]
    sealed_to: set[tuple[Member, int]] | None
    welcomes: set[tuple[Member, int]]
    leaves: dict[Member, int]
    """By member but the owner: when its leaf here was made, which names the key."""
    vector: Vector
    children: list[Epoch] = field(default_factory=list)
    known_to: set[Member] = field(default_factory=set)
    """Who entered it by itself."""


class World:
    """Some members, each with a group of all; time is a counter."""

    def __init__(self, names: str) -> None:
        self.now = 0
        self.epochs: list[Epoch] = []
        self.made: dict[Member, list[int]] = {}
        """By member: when its key packages were made."""
        self.members = [name.encode() for name in names]
        for member in self.members:
            self.made[member] = [self.tick()]
        for owner in self.members:
            first = self.enter(owner, None, made_at=None, vector=founded(owner, self.tick()))
            self.commit(first, add=[(other, -1) for other in self.members if other != owner])

    def tick(self) -> int:
        self.now += 1
        return self.now

    def enter(
        self,
        owner: Member,
        parent: Epoch | None,
        *,
        made_at: int | None,
        vector: Vector,
        leaves: dict[Member, int] | None = None,
        imports: list[Epoch] | None = None,
        added: dict[Member, int] | None = None,
    ) -> Epoch:
        leaves = leaves or {}
        sealed = {(name, key) for name, key in leaves.items() if name not in (added or {})}
        epoch = Epoch(
            owner,
            parent,
            self.now,
            imports or [],
            sealed if made_at is not None else None,
            set((added or {}).items()),
            leaves,
            vector,
        )
        epoch.known_to = {owner, *leaves}
        self.epochs.append(epoch)
        if parent is not None:
            parent.children.append(epoch)
        return epoch

    def commit(
        self,
        parent: Epoch,
        *,
        path: bool = True,
        imports: list[Epoch] | None = None,
        replace: list[tuple[Member, int]] | None = None,
        add: list[tuple[Member, int]] | None = None,
        remove: list[Member] | None = None,
    ) -> Epoch:
        """A commit on any epoch; leaves come from the member's key package of that position."""
        now = self.tick()
        owner = parent.owner
        path = path or bool(replace or add or remove)
        leaves = {name: key for name, key in parent.leaves.items() if name not in (remove or [])}
        for name, which in replace or []:
            # A member's newer leaf takes the place of an older one only.
            if name in leaves:
                leaves[name] = max(leaves[name], self.made[name][which % len(self.made[name])])
        added = {name: self.made[name][which] for name, which in add or []}
        leaves |= added
        # an Add imports nothing, and what is imported all members know.
        imported = [epoch for epoch in imports or [] if epoch.known_to >= {owner, *leaves} and not add]
        vector = after_commit(
            parent.vector,
            owner=owner,
            members={owner, *leaves},
            imported=[epoch.vector for epoch in imported],
            made_at=now if path else None,
            leaves=leaves if path else None,
            added=set(added),
        )
        if path:
            self.made[owner].append(now)
        return self.enter(
            owner,
            parent,
            made_at=now if path else None,
            vector=vector,
            leaves=leaves,
            imports=imported,
            added=added,
        )

    def read_by_thief(self, victim: Member, before: int) -> set[Epoch]:
        """All epochs that somebody gets at who takes all of a member's state just before a time, and reads on."""
        keys = {(victim, made) for made in self.made[victim] if made < before}
        known: set[Epoch] = set()
        for epoch in self.epochs:  # parents and imports come first
            stolen = victim in epoch.known_to and epoch.time < before
            opens_path = epoch.sealed_to is None or bool(epoch.sealed_to & keys)
            derives = (
                epoch.parent in known and opens_path and all(imported in known for imported in epoch.imports)
            )
            if stolen or derives or epoch.welcomes & keys:
                known.add(epoch)
        return known


@st.composite
def histories(draw: st.DrawFn) -> World:
    world = World(draw(st.sampled_from(["ab", "abc", "abcd"])))
    for _ in range(draw(st.integers(0, 25))):
        # On any epoch: an owner that was put back goes on from an old one.
        parent = draw(st.sampled_from(world.epochs)) if draw(st.integers(0, 4)) == 0 else newest(draw, world)
        others = [name for name in world.members if name != parent.owner]
        kind = draw(st.sampled_from(["path", "import", "import", "replace", "add", "remove"]))
        chosen = draw(st.lists(st.sampled_from(others), unique=True, max_size=2))
        if kind == "path":
            world.commit(parent)
        elif kind == "import":
            foreign = [
                epoch for epoch in world.epochs if epoch.owner != parent.owner and epoch.sealed_to is not None
            ]
            imports = draw(st.lists(st.sampled_from(foreign), max_size=2)) if foreign else []
            world.commit(parent, path=draw(st.booleans()), imports=imports)
        elif kind == "replace":
            world.commit(parent, replace=[(name, draw(st.integers(-2, -1))) for name in chosen])
        elif kind == "add":
            absent = [name for name in others if name not in parent.leaves]
            again = [*absent, *chosen]
            world.commit(
                parent,
                remove=chosen,
                add=[(name, draw(st.sampled_from([0, -1]))) for name in dict.fromkeys(again)],
            )
        else:
            world.commit(parent, remove=chosen)
    return world


def newest(draw: st.DrawFn, world: World) -> Epoch:
    owner = draw(st.sampled_from(world.members))
    return [epoch for epoch in world.epochs if epoch.owner == owner][-1]


@settings(max_examples=200, deadline=None)
@given(histories())
def test_a_vector_says_exactly_what_a_thief_cannot_read(world: World) -> None:
    for victim in world.members:
        for before in range(1, world.now + 2):
            known = world.read_by_thief(victim, before)
            for epoch in world.epochs:
                if victim not in epoch.known_to:
                    assert victim not in epoch.vector
                    continue
                # All that was taken just before `before` is healed where the entry is at least that.
                healed = epoch.vector.get(victim, 0) >= before
                assert healed == (epoch not in known), (victim, before, epoch.vector)


@settings(max_examples=100, deadline=None)
@given(histories())
def test_who_enters_by_a_welcome_claims_no_more_than_who_was_there(world: World) -> None:
    for epoch in world.epochs:
        for joiner, _ in epoch.welcomes:
            leaf_zero = min(world.made[epoch.owner])
            entered = welcomed({**epoch.leaves, epoch.owner: leaf_zero}, epoch.owner, joiner)
            assert entered.keys() == epoch.vector.keys()
            assert all(time <= epoch.vector[name] for name, time in entered.items())


def test_what_heals_nothing() -> None:
    """5.5: path commits of X alone, imports of unhealed epochs, V's pathless commits."""
    world = World("vx")
    v, x = (next(epoch for epoch in reversed(world.epochs) if epoch.owner == owner) for owner in (b"v", b"x"))
    before = x.vector[b"v"]
    stolen_at = world.now
    x = world.commit(x)
    x = world.commit(x, path=False, imports=[v])
    v = world.commit(v, path=False, imports=[x])
    assert x.vector[b"v"] == before and v.vector[b"v"] <= stolen_at
    v = world.commit(v)
    assert v.vector[b"v"] == world.now
    assert world.commit(x).vector[b"v"] == before
    assert world.commit(x, path=False, imports=[v]).vector[b"v"] == v.vector[b"v"]


def test_a_healed_epoch_is_passed_on_without_its_victim() -> None:
    world = World("vxy")
    v, x, y = (next(e for e in reversed(world.epochs) if e.owner == owner) for owner in (b"v", b"x", b"y"))
    v = world.commit(v)
    x = world.commit(world.commit(x, path=False, imports=[v]))
    y = world.commit(y, path=False, imports=[x])
    assert y.vector[b"v"] == v.vector[b"v"] and y.vector[b"x"] == x.vector[b"x"]


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 60)), min_size=1, max_size=30),
    st.integers(-30, 30),
)
def test_nobody_can_claim_the_future(gaps: list[tuple[int, int]], offset: int) -> None:
    """A clock that is wrong by `offset`; everything comes some time after it was made, in any order."""
    true, serial, made = 100, 0, []
    for gap, delay in gaps:
        true += gap
        serial = max(serial + 1, true + offset)
        made.append((serial, true, true + delay))
    stated = StatedTimes()
    arrived = []
    for serial, _, now in sorted(made, key=lambda item: item[2]):
        stated.note(b"v", serial, now)
        arrived.append((serial, now))
        for known, seen in arrived:
            assert stated.believed(b"v", known) <= min(known, seen)
    if offset <= 0 and all(serial <= true for serial, true, _ in made):
        assert not stated.seen, "a clock that is right costs nothing"
    assert all(len(seen) <= StatedTimes.MOST for seen in stated.seen.values())


def test_what_was_forgotten_of_a_wrong_clock_is_bounded_by_what_followed() -> None:
    stated = StatedTimes()
    for step in range(3 * StatedTimes.MOST):
        assert stated.note(b"v", 1_000_000 + step, 500 + step)
    assert len(stated.seen[b"v"]) == StatedTimes.MOST
    assert stated.believed(b"v", 1_000_000) == 500 + 2 * StatedTimes.MOST
    assert not stated.note(b"v", 1_000_000, 900)
    assert stated.believed(b"v", 700) == min(700, 500 + 2 * StatedTimes.MOST)
