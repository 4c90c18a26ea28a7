"""The commands that ask the running daemon."""

from __future__ import annotations

import base64
import sys
import time
from argparse import Namespace
from typing import Any

from starling.daemon.cli import archivers, output, people, tickets
from starling.daemon.cli.client import EXIT_OK, EXIT_REFUSED, EXIT_TIMEOUT, Client, about
from starling.daemon.errors import DaemonError

_MAX_BODY = 512 * 1024


def universe_create(client: Client, args: Namespace) -> int:
    made = client.call("universe.create", {"name": args.name, "cipher_suite": args.suite})
    return output.answer(args, made, f"created {args.name}: {made['universe_id']}")


def universe_list(client: Client, args: Namespace) -> int:
    universes = client.call("universe.list", {})["universes"]
    if args.json:
        output.as_json(universes)
    else:
        columns = ("universe_id", "name", "state", "role", "members", "epoch", "converged")
        output.table(
            universes,
            columns,
            "no universes yet; 'starling universe create NAME' or 'starling join TICKET', on an archiver 'starling "
            "archiver offer'",
        )
    return EXIT_OK


def universe_show(client: Client, args: Namespace) -> int:
    shown = client.call("universe.get", {"universe": args.universe})
    if args.json:
        output.as_json(shown)
    else:
        output.pairs({name: value for name, value in shown.items() if not isinstance(value, list)})
        output.line("")
        _member_table(shown)
    return EXIT_OK


def invite_list(client: Client, args: Namespace) -> int:
    invites = client.call("invite.list", {"universe": args.universe})["invites"]
    if args.json:
        output.as_json(invites)
    else:
        rows = [
            {
                **invite,
                "invite_id": invite["invite_id"][:16],
                "spent": f"{invite['spent']} of {invite['uses']}",
                "spent_by": [output.name(member) for member in invite["spent_by"]],
                "inviter": output.name(invite["inviter"]),
            }
            for invite in invites
        ]
        columns = ("invite_id", "role", "inviter", "state", "expires_at", "spent", "spent_by")
        output.table(rows, columns, "no invites")
    return EXIT_OK


def invite_revoke(client: Client, args: Namespace) -> int:
    done = client.call("invite.revoke", {"universe": args.universe, "invite_id": args.invite_id})
    return output.answer(args, done, f"revoked {done['revoked']}; who joined with it stays")


def join(client: Client, args: Namespace) -> int:
    params = {"ticket": tickets.given(args.ticket), "timeout": args.timeout, "cipher_suite": args.suite}
    done = client.call("universe.join", params, wait=args.timeout)
    if done["state"] == "joined":
        return output.answer(args, done, f"joined {done.get('name', '')}: {done['universe_id']}")
    output.answer(
        args,
        done,
        f"still joining {done['universe_id']}: nobody of the ticket has answered yet, the daemon goes on",
    )
    return EXIT_TIMEOUT


def send(client: Client, args: Namespace) -> int:
    body = _body(args)
    if not body:
        raise DaemonError("the message is empty", "empty")
    params: dict[str, Any] = {"universe": args.universe, "wait": not args.no_wait}
    try:
        params |= {"body": body.decode("utf-8"), "encoding": "utf8", "type": args.type or "text"}
    except UnicodeDecodeError:
        params |= {
            "body": base64.b64encode(body).decode(),
            "encoding": "base64",
            "type": args.type or "binary",
        }
    if args.id:
        params["id"] = args.id
    if args.to is not None:
        params["to"] = args.to
    done = client.call("message.send", params, wait=15)
    if "warning" in done:
        _warn(done["warning"])
    if done["state"] == "undelivered":
        output.answer(
            args, done, f"not sent {done['id']}: {args.to} was removed or blocked before it could be"
        )
        return EXIT_REFUSED
    if done["state"] != "sent":
        return output.answer(args, done, f"queued {done['id']}")
    whom = done["recipients"] if args.to is None else f"{args.to} alone"
    return output.answer(args, done, f"sent {done['id']} to {whom} in epoch {done['epoch']}")


def _body(args: Namespace) -> bytes:
    if args.file is not None:
        try:
            with open(args.file, "rb") as file:
                return _bounded(file.read(_MAX_BODY + 1))
        except OSError as error:
            raise DaemonError(f"cannot read {args.file}: {error.strerror}") from None
    if args.text == ["-"]:
        return _bounded(sys.stdin.buffer.read(_MAX_BODY + 1))
    return " ".join(args.text).encode("utf-8", "surrogateescape")


def _bounded(body: bytes) -> bytes:
    """Refuse here what would otherwise be sent in part."""
    if len(body) > _MAX_BODY:
        raise DaemonError(f"a message has at most {_MAX_BODY} bytes; send less, or in parts", "too_long")
    return body


def listen(client: Client, args: Namespace) -> int:
    """Print events as they come; with a cursor each is acknowledged once it is printed."""
    params: dict[str, Any] = {}
    if args.cursor is not None:
        params["cursor"] = args.cursor
    if args.start is not None:
        params["from"] = args.start if args.start == "now" else int(args.start)
    if args.universe is not None:
        params["universe"] = args.universe
    if "all" not in args.type:
        # Programs say themselves what they can read.
        params["kinds"] = args.type or ["message.received", *([] if args.json else people.NOTICES)]
    subscription = client.call("events.subscribe", params)["subscription"]
    deadline = None if args.timeout is None else time.monotonic() + args.timeout
    printed = 0
    done = 0
    acknowledged = 0
    while args.count is None or printed < args.count:
        if done > acknowledged and args.cursor is not None and not client.has_more:
            client.call("events.ack", {"cursor": args.cursor, "seq": done})
            acknowledged = done
        left = None if deadline is None else deadline - time.monotonic()
        told = None if left is not None and left <= 0 else client.next_notification(left)
        if told is None:
            if args.count is not None:
                raise DaemonError(f"{printed} of {args.count} events came in time", "events.late")
            return EXIT_OK
        if told.get("params", {}).get("subscription") != subscription:
            continue
        if told.get("method") == "events.event":
            event = told["params"]["event"]
            _show_event(args, event)
            printed += bool(args.type) or event["kind"] not in people.NOTICES
            done = event["seq"]
        elif told.get("method") == "events.lost":
            lost = told["params"]
            _warn(f"events {lost['from']} to {lost['to']} are no longer kept; see 'history'")
        elif told.get("method") == "events.lagged":
            # A slow reader is not waited for; it goes on after what it was sent last.
            rest = {name: value for name, value in params.items() if name not in ("cursor", "from")}
            again = {**rest, "from": told["params"]["seq"]}
            subscription = client.call("events.subscribe", again)["subscription"]
    if done > acknowledged and args.cursor is not None:
        client.call("events.ack", {"cursor": args.cursor, "seq": done})
    return EXIT_OK


def _show_event(args: Namespace, event: dict[str, Any]) -> None:
    if args.json:
        return output.as_json(event)
    body = event["body"]
    head = f"{output.when(event['time'])} {event['universe_id'][:8]}"
    if event["kind"] == "message.received":
        return output.line(f"{head} {output.name(body)}{_whom(body)}: {_body_text(body)}")
    if event["kind"] in people.NOTICES:
        return output.line(f"{head} {people.notice(body)}")
    shown = {key: value for key, value in body.items() if key not in ("body", "encoding")}
    return output.line(
        f"{head} {event['kind']} "
        + " ".join(f"{key}={output.flat(value, key)}" for key, value in shown.items())
    )


def _whom(message: dict[str, Any]) -> str:
    """Whom a message is for, where that is one member."""
    if not message.get("to"):
        return ""
    recipient = output.name({"identity": message["to"], "display_name": message.get("to_name")})
    return f" (to {recipient})" if message.get("own") else " (to you)"


def _body_text(message: dict[str, Any]) -> str:
    if message["encoding"] == "utf8":
        return output.block(message["body"])
    return f"({len(message['body']) * 3 // 4} bytes of {message.get('type')})"


def history(client: Client, args: Namespace) -> int:
    page = client.call(
        "message.history", {"universe": args.universe, "limit": args.limit, "before": args.before}
    )
    for message in page["messages"]:
        if args.json:
            output.as_json(message)
        elif "notice" in message:
            output.line(f"{message['number']:>6} {output.when(message['time'])} {people.notice(message)}")
        else:
            mark = {"queued": " (queued)", "undelivered": " (not sent)"}.get(message.get("state", ""), "")
            head = f"{message['number']:>6} {output.when(message['time'])} {output.name(message)}"
            output.line(f"{head}{_whom(message)}: {_body_text(message)}{mark}")
    return EXIT_OK


def members(client: Client, args: Namespace) -> int:
    shown = client.call("member.list", {"universe": args.universe})
    if args.json:
        output.as_json(shown["members"])
    else:
        _member_table(shown)
    return EXIT_OK


def _member_table(shown: dict[str, Any]) -> None:
    """Who is a member, and who is one no more but for some owners."""
    rows = [
        {
            **member,
            "name": output.name(member),
            "claims": member["name"] if member.get("petname") else None,
            "verified": member.get("verified_at") is not None,
            "identity": member["identity"][:16],
            "in_groups": f"{member['in_groups']} of {member['groups']}" if "in_groups" in member else None,
        }
        for member in shown["members"]
    ]
    # What nobody here has is not worth a column, nor on an archiver what it cannot know.
    noted = [column for column in ("claims", "verified") if any(row[column] for row in rows)]
    progress = ("epoch", "imports", "in_groups", "last_update")
    followed = progress if any("epoch" in member for member in shown["members"]) else ()
    output.table(
        rows,
        ["name", *noted, "identity", "role", "connected", *followed],
        "nobody: this node is not a member (any more, or yet); 'starling universe show' tells",
    )
    for member in shown["members"]:
        if member.get("runs_twice"):
            output.paragraph(
                f"Two nodes act as {output.name(member)}: nothing is imported from it until it starts anew with the "
                "one that is to stay ('starling recover' there, 'starling readmit' here), or is removed."
            )
        if member.get("asks_again"):
            output.line(f"{output.name(member)} asks to start anew; 'starling readmit' tells what to do")
    blocked = [output.name(member) for member in shown["members"] if member.get("blocked")]
    suspended = [output.name(member) for member in shown["members"] if member.get("suspended")]
    excluding = sum(member.get("excludes_us", False) for member in shown["members"])
    if blocked:
        output.paragraph(f"Blocked here: {', '.join(blocked)}.")
    if suspended:
        output.paragraph(f"Suspended, as nothing was heard of them for long: {', '.join(suspended)}.")
    if excluding:
        output.paragraph(
            f"{excluding} of {len(shown['members']) - 1} others have removed this node from their groups; if it was "
            "away for long, 'starling rejoin' brings it back."
        )
    for member in shown["former_members"]:
        if member["removed_by"] < member["groups"]:
            fell = member.get("reason") == "admission"
            why = (
                f", admitted by right of {output.name({'name': member['by_name']})}, who has it no more"
                if fell
                else ""
            )
            output.line(
                f"{output.name(member)}{why}: removed by {member['removed_by']} of {member['groups']} senders"
            )


def update(client: Client, args: Namespace) -> int:
    done = client.call("security.update", {"universe": args.universe})
    return output.answer(args, done, f"fresh keys; now in epoch {done['epoch']}")


def recover(client: Client, args: Namespace) -> int:
    done = client.call("universe.recover", {"universe": args.universe})
    if done["state"] == "active":
        return output.answer(args, done, "started anew; what was queued is sent")
    return output.answer(
        args,
        done,
        f"asked to start anew; tell an admin this number: {output.grouped(done['verification'])}\n"
        "what is sent until they confirm it is queued",
    )


def readmit(client: Client, args: Namespace) -> int:
    """Confirm by the number; without one say which there is, for two people to compare."""
    params = about(args)
    digits = "".join(args.digits)
    if not digits:
        (member,) = client.call("member.list", params)["members"]
        asked = member.get("asks_again") or []
        if not asked:
            raise DaemonError(f"{output.name(member)} does not ask to start anew", "readmit.number")
        numbers = " or ".join(map(output.grouped, asked))
        copies = ", and two nodes act as it" if len(asked) > 1 or member.get("runs_twice") else ""
        raise DaemonError(
            f"{output.name(member)} asks to start anew{copies}; if their own node shows {numbers} too: "
            f"starling readmit {args.universe} {args.member} NUMBER",
            "readmit.number",
        )
    done = client.call("member.readmit", {**params, "verification": digits})
    return output.answer(args, done, f"{args.member} is admitted anew; the others add it again")


def status(client: Client, args: Namespace) -> int:
    shown = client.call("daemon.status", {})
    if args.json:
        output.as_json(shown)
    else:
        archives = shown.pop("archives", None)
        made = shown.get("last_backup")
        output.pairs(shown | {"last_backup": "never" if made is None else output.when(made)})
        if archives is not None:
            output.line("")
            archivers.show_archives(archives)
        for universe_id in shown.get("rollback_suspected", ()):
            _warn(
                f"in universe {universe_id[:12]} this node was probably put back to an old state; if others cannot "
                f"read what it sends, or another copy of it runs: starling recover {universe_id[:12]}"
            )
    return EXIT_OK


def peers(client: Client, args: Namespace) -> int:
    shown = client.call("peer.list", {})
    if args.json:
        output.as_json(shown)
    else:
        columns = ("peer_id", "address", "outbound", "standing")
        output.table(shown["connected"], columns, "no peers are connected")
    return EXIT_OK


def stop(client: Client, args: Namespace) -> int:
    return output.answer(args, client.call("daemon.shutdown", {}), "the daemon is stopping")


def _warn(text: str) -> None:
    sys.stderr.write(f"starling: {output.clean(text)}\n")
