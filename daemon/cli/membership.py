"""The commands about who is a member, and of whom this node's messages are for."""

from __future__ import annotations

from argparse import Namespace

from starling.daemon.cli import output
from starling.daemon.cli.client import Client, about


def remove(client: Client, args: Namespace) -> int:
    params = about(args)
    if args.disown:
        params["disown"] = True
    done = client.call("member.remove", params)
    fell = done.get("fell") or []
    went = f", and {len(fell)} who came by it alone" if fell else ""
    return output.answer(args, done, f"removed {done['removed']}{went}")


def block(client: Client, args: Namespace) -> int:
    done = client.call("member.block", about(args))
    text = f"blocked {args.member}: neither reads what this node sends from now on, nor is shown here"
    return output.answer(args, done, text)


def unblock(client: Client, args: Namespace) -> int:
    done = client.call("member.unblock", about(args))
    return output.answer(args, done, f"unblocked {args.member}")


def rejoin(client: Client, args: Namespace) -> int:
    done = client.call("universe.rejoin", {"universe": args.universe})
    return output.answer(args, done, "asked to be added again; 'starling members' shows who has")


def leave(client: Client, args: Namespace) -> int:
    done = client.call("universe.leave", {"universe": args.universe, "force": args.force})
    told = "the others know" if done["told"] else "nobody was connected; whoever else is in it is told later"
    return output.answer(args, done, f"left {args.universe}; {told}. The history stays, all keys are gone")


def role(client: Client, args: Namespace) -> int:
    params = {**about(args), "role": args.role}
    done = client.call("member.role", params)
    return output.answer(args, done, f"{args.member} is {_A[args.role]} now")


def policy(client: Client, args: Namespace) -> int:
    """Show who may do what, or set it: people say `members` and `admins`, the socket `member` and `admin`."""
    wanted = {"invite": args.invite, "remove": args.remove}
    params = {deed: who.removesuffix("s") for deed, who in wanted.items() if who is not None}
    done = client.call("universe.policy", {"universe": args.universe, **params})
    return output.answer(args, done, f"{done['invite']}s may invite, {done['remove']}s may remove")


_A = {"admin": "an admin", "member": "a member", "reader": "a reader"}
