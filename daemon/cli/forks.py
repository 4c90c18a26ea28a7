"""`starling forks`: of every send group the heads, who is where, and what is kept of old epochs, why, and how long."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from starling.daemon.cli import output
from starling.daemon.cli.client import EXIT_OK, Client, about

_DIGITS = 12


def show(client: Client, args: Namespace) -> int:
    groups = client.call("fork.list", about(args))["send_groups"]
    if args.json:
        output.as_json(groups)
        return EXIT_OK
    if not groups:
        output.line("nothing to show: this node is not a member (any more, or yet)")
    for position, group in enumerate(groups):
        if position:
            output.line("")
        _show_group(group)
    return EXIT_OK


def _show_group(group: dict[str, Any]) -> None:
    marks = [group["owner"][:16]]
    marks += ["this node"] if group["is_own"] else []
    twice = ["runs twice: nothing is imported"] if group["frozen"] else []
    if not group["joined"]:
        yet = "given up, to start anew" if group["is_own"] else "this node is not in this group yet"
        output.line(f"{output.name(group)} ({', '.join([*marks, yet, *twice])})")
        return
    marks += ["forked"] if group["forked"] else []
    marks += twice
    output.line(f"{output.name(group)} ({', '.join(marks)})")
    for head in group["heads"]:
        output.line(_head(head, group))
    for parent in group["parents"]:
        children = ", ".join(child[:_DIGITS] for child in parent["children"])
        output.paragraph(
            f"epoch {parent['epoch']} ({parent['dmls_epoch'][:_DIGITS]}) led to {children}", "  "
        )
    elsewhere = [_where(member) for member in group["elsewhere"]]
    if elsewhere:
        output.paragraph(f"elsewhere: {_listed(elsewhere, group['elsewhere_count'])}", "  ")
    if group["stuck"]:
        output.paragraph(
            f"cannot follow and ask to be added again: {', '.join(map(output.name, group['stuck']))}", "  "
        )
    for kept in group["kept"]:
        output.paragraph(_kept(kept), "  ")
    if group["evidence"]:
        output.line("  there is evidence against its owner: see 'starling evidence list'")
    output.line(
        f"  kept: {group['frames']} frames, {group['frame_bytes']} bytes; {group['psks']} exported secrets"
    )


def _head(head: dict[str, Any], group: dict[str, Any]) -> str:
    since = output.when(head["entered_at"])
    here = f"{head['here']} of {group['members']} members are here"
    which = "head" if head["counts"] else "other head" if head["closed_by"] is None else "closed head"
    return f"  {which}: epoch {head['epoch']} ({head['dmls_epoch'][:_DIGITS]}) since {since}\n    {here}"


def _where(member: dict[str, Any]) -> str:
    if member["epoch"] is not None:
        return f"{output.name(member)} in epoch {member['epoch']}"
    if member["dmls_epoch"] is None:
        return f"{output.name(member)} has reported nothing"
    return f"{output.name(member)} in an epoch that is not known here"


def _kept(kept: dict[str, Any]) -> str:
    waits_for = _listed([output.name(member) for member in kept["waits_for"]], kept["waits_for_count"])
    why = {
        "messages": "messages of it have not come",
        "unknown": f"an epoch that is not known here was reported by {waits_for}",
        "members": f"waits for {waits_for}",
        "none": "goes in a moment",
    }[kept["reason"]]
    until = f"; until {output.when(kept['until'])} at the latest" if kept["until"] is not None else ""
    return f"keeps epoch {kept['epoch']} ({kept['dmls_epoch'][:_DIGITS]}): {why}{until}"


def _listed(names: Sequence[str], count: int) -> str:
    more = f" and {count - len(names)} more" if count > len(names) else ""
    return ", ".join(names) + more
