"""`starling security`: who is healed of a theft from when, who is stale, and a number for two people to compare."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from starling.daemon.cli import output
from starling.daemon.cli.client import EXIT_OK, Client, about

MEANING = (
    "A theft: at one moment somebody copied all that the member's node holds, and then only reads. In a group that is "
    "healed of it the thief cannot read what is sent from now on, as long as nothing that this rests on (others' leaf "
    "keys and stored imports) is stolen later. Who acts as the member with what was stolen is not kept out."
)


def show(client: Client, args: Namespace) -> int:
    shown = client.call("security.view", about(args))
    if args.json:
        output.as_json(shown)
        return EXIT_OK
    if shown["digest"] is None:
        output.line("nothing to show: this node is not a member (any more, or yet)")
        return EXIT_OK
    state = "converged" if shown["converged"] else "not converged now"
    if shown["diverged_since"] is not None:
        state = f"diverged since {output.when(shown['diverged_since'])}"
    output.line(f"digest  {output.grouped(shown['digest'])}  ({state})")
    output.paragraph(
        "Another member's node shows the same digits exactly when both have the same roster and newest epochs.",
        "  ",
    )
    for member in shown["members"]:
        output.line("")
        _show_member(member)
    output.line("")
    output.paragraph(MEANING)
    return EXIT_OK


def _show_member(member: dict[str, Any]) -> None:
    marks = [member["identity"][:16]]
    marks += ["this node"] if member["is_self"] else []
    marks += ["stale"] if member["stale"] else []
    output.line(f"{output.name(member)} ({', '.join(marks)})")
    updated = member["last_update"]
    if updated is None:
        output.line("  nothing is known of its keys yet")
        return
    output.line(
        f"  last update {output.when(updated)}, imported in {member['imported_in']} of {member['importers']} groups"
    )
    output.line(
        f"  a theft before {output.when(updated)} is healed in {member['healed_in']} of {member['groups']} groups"
    )
    everywhere = member["healed_everywhere"]
    if everywhere is not None and everywhere < updated:
        output.line(f"  a theft before {output.when(everywhere)} is healed in all")
    left = member["groups"] - member["healed_in"]
    named = [*member["lagging"], *member["unknown"]]
    if named:
        more = ", ..." if left > len(named) else ""
        output.paragraph(f"not yet in the groups of {', '.join(map(output.name, named))}{more}", "  ")
    if "imported_by" in member:
        names = ", ".join(map(output.name, member["imported_by"])) or "nobody"
        output.paragraph(f"imported by {names}", "  ")
