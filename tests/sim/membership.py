"""What members do about membership, and what may come of it: removing by whom the policy lets, leaving, roles.

Whoever removes may be put back before anybody has heard of it, be removed itself meanwhile, or have lost the right: so
a removal that was asked for is in doubt until all others agree about it. Until then nothing is owed to that member and
nothing promised for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starling.protocol.engine.inputs import LeaveUniverse, RemoveMember, SetPolicy, SetRole

if TYPE_CHECKING:
    from tests.sim.app import App
    from tests.sim.world import World

DOUBT = 60_000
"""How long after a heal a removal may take to be known to all, in virtual time."""


class Membership:
    """The doubtful removals of one world. The founder is never removed and does not leave: it confirms."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.doubtful: set[bytes] = set()
        """Members whose removal was asked for, or who left."""
        self.removals = 0

    def remove(self, remover: App, app: App) -> None:
        """A member removes another one, if it may."""
        world = self._world
        if remover.removed or not remover.joined or remover.universe_id is None or remover is app:
            return
        if app is world.founder or app.removed or not app.joined or remover.identity == app.identity:
            return
        self._doubt(app)

        def done(result: Any) -> None:
            remover.knows_removed.add(app.identity)

        remover.ask(RemoveMember(remover.universe_id, app.identity), done, may_be_refused=True)

    def remove_lost(self) -> None:
        """Who was put back to before it was a member, and has started anew since, cannot join again as it was: the
        founder removes it, and its person gives up."""
        world = self._world
        founder = world.founder
        for app in world.present:
            if not app.joined and app.refused_join == "member.known" and founder.universe_id is not None:
                self._doubt(app)
                world.retire(app)
                founder.ask(RemoveMember(founder.universe_id, app.identity), may_be_refused=True)

    def leave(self, app: App) -> None:
        if app is self._world.founder or app.removed or not app.joined or app.universe_id is None:
            return
        self._doubt(app)
        app.ask(LeaveUniverse(app.universe_id), may_be_refused=True)

    def _doubt(self, app: App) -> None:
        self.removals += 1
        self.doubtful.add(app.identity)
        for other in self._world.apps:
            other.removed |= other.identity == app.identity
        self._world.oracle.remove(app.identity)

    def set_role(self, admin: App, app: App, role: str) -> None:
        """An admin makes somebody a member or an admin, or a reader for good: what that says may then not be shown."""
        if admin.removed or admin.universe_id is None or app is self._world.founder:
            return
        if role == "reader":
            self.mute(app)
        admin.ask(SetRole(admin.universe_id, app.identity, role), may_be_refused=True)

    def mute(self, app: App) -> None:
        for other in self._world.apps:
            other.muted |= other.identity == app.identity
        self._world.oracle.mute(app.identity)

    def set_policy(self, admin: App, remove: str) -> None:
        if admin.removed or admin.universe_id is None:
            return
        admin.ask(SetPolicy(admin.universe_id, remove=remove), may_be_refused=True)

    # what has come of it

    def decide(self, *, is_late: bool) -> str | None:
        """Look what the others agree on: who is a member after all is one again. What is still open is given back."""
        world = self._world
        others = [app for app in world.present if app.identity in world.from_beginning]
        known = [self._known_to(app) for app in others]
        if any(members != known[0] for members in known):
            return "the members do not agree who they are"
        if not is_late:
            return "nobody has had time to hear of removals" if self.doubtful else None
        members = known[0]
        for app in world.apps:
            if app.identity in self.doubtful & members:
                app.removed = False
        for identity in self.doubtful & members:
            world.oracle.reinstate(identity)
        self.doubtful.clear()
        for app in world.present:
            # Who invited or admitted it was removed by somebody who did not know of that.
            if app.joined and app.identity not in members and self.removals:
                self._doubt(app)
                self.doubtful.discard(app.identity)
        for app in world.apps:
            if app.removed and app.joined and app.node.running and self._is_active(app):
                return f"{app.node.name} does not know that it was removed"
        return None

    def _known_to(self, app: App) -> frozenset[bytes]:
        """The members, as one node lists them."""
        engine: Any = app.node.engine
        return frozenset(member["identity"] for member in engine.members(app.universe_id))

    def _is_active(self, app: App) -> bool:
        engine: Any = app.node.engine
        return engine.universe(app.universe_id)["state"] not in ("removed", "left")
