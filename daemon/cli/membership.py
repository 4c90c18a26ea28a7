"""The commands about who is a member, and of whom this node's messages are for."""

from __future__ import annotations

from argparse import Namespace

from starling.daemon.cli import output
from starling.daemon.cli.client import EXIT_REFUSED, Client
from starling.daemon.cli.commands import named_member


def remove(client: Client, args: Namespace) -> int:
    member = named_member(client, args)
    if member is None:
        return EXIT_REFUSED
    done = client.call("member.remove", {"universe": args.universe, "identity": member["identity"]})
    return output.answer(args, done, f"removed {done['removed']}")


def block(client: Client, args: Namespace) -> int:
    member = named_member(client, args)
    if member is None:
        return EXIT_REFUSED
    done = client.call("member.block", {"universe": args.universe, "identity": member["identity"]})
    text = f"blocked {member['name']}: neither reads what this node sends from now on, nor is shown here"
    return output.answer(args, done, text)


def unblock(client: Client, args: Namespace) -> int:
    member = named_member(client, args)
    if member is None:
        return EXIT_REFUSED
    done = client.call("member.unblock", {"universe": args.universe, "identity": member["identity"]})
    return output.answer(args, done, f"unblocked {member['name']}")


def rejoin(client: Client, args: Namespace) -> int:
    done = client.call("universe.rejoin", {"universe": args.universe})
    return output.answer(args, done, "asked to be added again; 'starling members' shows who has")
