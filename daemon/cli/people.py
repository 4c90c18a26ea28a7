"""What people are called, and whether they are who they seem: `profile`, `name` and `verify`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from starling.daemon.cli import output
from starling.daemon.cli.client import EXIT_OK, Client, about

NOTICES = ("member.key_changed",)
"""The events that are shown among the messages."""

HOW = (
    "Compare it with the number that the other one's node shows for you, face to face or on a call: it is the same on "
    "both sides exactly when nobody stands between you. Then say so with --confirm."
)


def profile(client: Client, args: Namespace) -> int:
    if args.name is None:
        shown = client.call("profile.get", {})
        if args.json:
            output.as_json(shown)
        else:
            output.pairs(shown)
        return EXIT_OK
    done = client.call("profile.set", {"name": args.name})
    return output.answer(args, done, f"you are {done['name']} now; all members are told")


def name(client: Client, args: Namespace) -> int:
    petname = None if args.clear else args.name
    params = {**about(args), "petname": petname}
    done = client.call("member.name", params)
    if args.json:
        output.as_json(done)
    elif petname is None:
        output.line(f"no name of your own for {who(done)} any more")
    else:
        output.line(f"{who(done)} now")
    return EXIT_OK


def verify(client: Client, args: Namespace) -> int:
    params = about(args)
    if args.mark is not None:
        params["verified"] = args.mark
    done = client.call("member.verify", params)
    if args.json:
        output.as_json(done)
        return EXIT_OK
    output.line(f"{who(done)}: {output.grouped(done['verification'])}")
    if done["verified_at"] is not None:
        output.line(f"verified on {output.when(done['verified_at'])}")
    else:
        output.line("not verified")
        output.paragraph(HOW)
    return EXIT_OK


def notice(told: Mapping[str, Any]) -> str:
    """What is to be read among the messages of a person whose keys may not be expected."""
    identity = str(told.get("identity") or told["sender"])
    if told["reason"] != "name":
        verified = "; it is the person that you verified" if told["verified_at"] is not None else ""
        return f"*** {output.name(told)} has new keys, for having started anew or come back{verified}"
    others = ", ".join(
        f"{output.name(other)} [{other['identity'][:16]}]"
        + (", whom you verified" if other["verified_at"] is not None else "")
        for other in told["others"]
    )
    return (
        f"*** {output.name(told)} [{identity[:16]}] is somebody else than {others}; 'starling verify' tells who "
        "somebody is"
    )


def who(person: dict[str, Any]) -> str:
    """What a person is called here, and what it calls itself where that is something else."""
    marks = [person["identity"][:16]]
    if person.get("petname") and person["name"] and person["petname"] != person["name"]:
        marks.insert(0, f"claims to be {output.clean(person['name'])}")
    return f"{output.name(person)} ({', '.join(marks)})"
