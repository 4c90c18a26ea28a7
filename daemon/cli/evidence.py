"""Evidence that an owner committed or runs twice: to save it, and to check it without being a member or a node."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from starling.daemon.cli import output
from starling.daemon.cli.client import EXIT_ERROR, EXIT_OK, EXIT_REFUSED, Client
from starling.daemon.errors import DaemonError

if TYPE_CHECKING:
    from starling.protocol.distributed.evidence import Evidence

TWO_NODES = (
    "It proves that two holders of this identity's keys answered each other: one asked to start anew, the other had "
    "made what that one names, and denied afterwards to be it. A node that was merely put back to an old state "
    "signs no such thing; one that lies can."
)
PROVES = (
    "It proves that whoever holds this identity's keys signed more commits than one where an owner that keeps to "
    "the protocol signs one."
)
LEAVES_OPEN = (
    "It does not prove why: a node that was put back to an old state, a copy that runs beside it, and somebody who "
    "lies look alike. Nor when, nor to whom the commits went. Whose identity this is only who knows it can tell."
)
WHOSE = "It does not prove when. Whose identity this is only who knows it can tell."


def list_evidence(client: Client, args: Namespace) -> int:
    held = client.call("evidence.list", {"universe": args.universe})["evidence"]
    if args.json:
        output.as_json(held)
    else:
        rows = [{**entry, "owner": entry["owner"][:16]} for entry in held]
        columns = ("name", "owner", "detected_at", "epochs", "denials")
        output.table(rows, columns, "no evidence: no owner is known to have committed twice or to run twice")
    return EXIT_OK


def export(client: Client, args: Namespace) -> int:
    """Print the one evidence that is meant, ready for a file."""
    held = client.call("evidence.list", {"universe": args.universe})["evidence"]
    found = [entry for entry in held if _is_meant(entry, args.member)]
    if len(found) != 1:
        against = "" if args.member is None else f" against {output.clean(args.member)}"
        what = f"no evidence{against}" if not found else f"evidence for {len(found)} send groups{against}"
        advice = "'starling evidence list' shows all" if held else "no owner is known to have committed twice"
        raise DaemonError(f"there is {what} in this universe; {advice}", "evidence.unclear")
    if args.json:
        output.as_json(found[0])
    else:
        output.line(found[0]["evidence"])
    return EXIT_OK


def _is_meant(entry: dict[str, Any], member: str | None) -> bool:
    if member is None or member in (entry["name"], entry.get("petname"), entry.get("display_name")):
        return True
    return len(member) >= 4 and any(str(entry[name]).startswith(member) for name in ("owner", "group_id"))


def verify(args: Namespace) -> int:
    """Check a file; no daemon and no data directory is used."""
    from starling.protocol.distributed.evidence import MAX_TEXT, Evidence
    from starling.protocol.errors import ProtocolError, Unsupported

    text = _read(args.file, MAX_TEXT)
    try:
        evidence = Evidence.parse(text)
    except (ProtocolError, Unsupported) as error:
        if args.json:
            output.as_json({"verdict": "not evidence", "faults": [str(error)]})
        else:
            output.line("NOT EVIDENCE")
        sys.stderr.write(f"starling: {args.file} holds no evidence: {error}\n")
        return EXIT_ERROR
    faults = list(evidence.faults())
    if args.identity is not None and not evidence.identity.hex().startswith(args.identity):
        faults.append("it is against another identity than the one that was named")
    if args.json:
        output.as_json(_plain(evidence, faults))
    else:
        _show(evidence, faults)
    return EXIT_REFUSED if faults else EXIT_OK


def _read(name: str, most: int) -> str:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(most + 1)
        else:
            with open(name, "rb") as file:
                data = file.read(most + 1)
    except OSError as error:
        raise DaemonError(f"cannot read {name}: {error.strerror}") from None
    return data.decode("ascii", "replace")


def _plain(evidence: Evidence, faults: list[str]) -> dict[str, Any]:
    return {
        "verdict": "invalid" if faults else "valid",
        "faults": faults,
        "identity": evidence.identity.hex(),
        "incarnation": evidence.member.incarnation,
        "signature_key": evidence.signature_key.hex(),
        "universe_id": evidence.member.universe_id.hex(),
        "group_id": evidence.member.send_group_id.hex(),
        "statements": [
            {
                "epoch": statement.epoch,
                "parent": statement.parent_dmls_epoch.hex(),
                "commit": statement.commit_hash.hex(),
            }
            for statement in evidence.statements
        ],
        "denials": [
            {
                "new_group_id": denial.sighting.send_group_id.hex(),
                "heads": [head.hex() for head in denial.sighting.heads],
            }
            for denial in evidence.denials
        ],
    }


def _show(evidence: Evidence, faults: list[str]) -> None:
    shown = _plain(evidence, faults)
    proven = "two nodes act as one owner" if evidence.denials else "an owner contradicts itself"
    output.line("INVALID: it does not hold" if faults else f"VALID: {proven}")
    for fault in faults:
        output.line(f"  {fault}")
    output.line("")
    output.pairs({name: shown[name] for name in ("identity", "universe_id", "group_id")})
    for epoch, statements in evidence.contradictions.items():
        for parent in sorted({statement.parent_dmls_epoch for statement in statements}):
            output.line(f"on epoch {epoch}, {parent.hex()[:32]}")
            for statement in statements:
                if statement.parent_dmls_epoch == parent:
                    output.line(f"  commit {statement.commit_hash.hex()}")
    for denial in evidence.denials:
        output.line(f"starts anew as {denial.sighting.send_group_id.hex()}")
        for head in denial.sighting.heads:
            output.line(f"  shown epoch {head.hex()}")
        output.line("  denied by the node that made one of these")
    if not faults:
        output.line("")
        if evidence.denials:
            output.paragraph(TWO_NODES)
        if evidence.statements:
            output.paragraph(PROVES)
            output.paragraph(LEAVES_OPEN)
        else:
            output.paragraph(WHOSE)
