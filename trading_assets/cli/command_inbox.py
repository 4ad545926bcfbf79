"""Giving the daemon a command and waiting for its answer: `trading halt`, `resume`, `breaker reset` and `send`.

That no daemon runs is said only when it is known: when nobody holds the lock of its journal.
"""

from __future__ import annotations

import time
from typing import Any

from trading_assets.cli.breakers import standing
from trading_assets.cli.processes import send_command
from trading_assets.core.decisions.breakers import RULE_BY_NAME
from trading_assets.core.errors import InputError, UnavailableError
from trading_assets.store.control import CommandName, answer_of, withdraw_command, withdraw_halts
from trading_assets.store.home import Home
from trading_assets.store.journal_disk import is_writer_alive

# The daemon looks into its inbox several times a second; an answer waits for one commit.
_PATIENCE_S = 5.0
_POLL_S = 0.05
_HALT_WAITS = "no daemon runs here; the halt stays in the inbox, and the next daemon begins with it"
_TAKE_BACK = "`trading resume` takes it back"
_START = "start it, or name another home with --home"


def give(home: Home, command: CommandName, argument: str = "") -> dict[str, Any]:
    """Give the daemon a command and wait for its answer.

    Raises UnavailableError when no daemon takes it and InputError for a breaker there is not. A halt that nobody takes stays
    in the inbox, so that the next daemon begins with it; anything else is taken back.
    """
    if command == "breaker_reset":
        _check_breaker(home, argument)
    if is_writer_alive(home.raw) is False:
        return _without_daemon(home, command, argument)
    command_id = send_command(home, command, argument)
    until = time.monotonic() + _PATIENCE_S
    while (answer := answer_of(home.control, command_id)) is None:
        if time.monotonic() > until:
            raise _unanswered(home, command, command_id)
        time.sleep(_POLL_S)
    return {"command": command, "is_done": answer.is_done, "answer": answer.answer}


def send(home: Home, command: CommandName, argument: str = "") -> str:
    """Give the daemon a command without waiting; return a sentence. Raises UnavailableError when no daemon runs."""
    if command == "breaker_reset":
        _check_breaker(home, argument)
    if is_writer_alive(home.raw) is False:
        return str(_without_daemon(home, command, argument)["answer"])
    command_id = send_command(home, command, argument)
    return f"Sent as {command_id}; the daemon's answer goes into its journal (table raw_command_results)."


def _without_daemon(home: Home, command: CommandName, argument: str) -> dict[str, Any]:
    """Do what can be done while no daemon runs: leave a halt for the next one, take one back."""
    where = f"the daemon of {home.root}"
    if command == "halt":
        send_command(home, command, argument)
        raise UnavailableError("giving halt to", where, _HALT_WAITS, _TAKE_BACK)
    if command != "resume":
        raise UnavailableError(f"giving {command} to", where, "no daemon runs here, nothing was changed", _START)
    taken_back = withdraw_halts(home.control)
    halted = [
        f"{account} ({one['cause']})"
        for account, kept in standing(home)["accounts"].items()
        for one in kept
        if one["breaker"] == "halt"
    ]
    words = ", ".join(f'"{halt.argument or "by command"}"' for halt in taken_back)
    done = f"the halt that waited for the next start was taken back ({words})" if taken_back else "nothing was changed"
    if halted:
        problem = f"no daemon runs here, {done}, and {', '.join(halted)} is halted by an earlier command"
        raise UnavailableError("giving resume to", where, problem, "start it, and give `trading resume` again")
    if not taken_back:
        raise UnavailableError("giving resume to", where, f"no daemon runs here, no halt waits, {done}", _START)
    return {"command": command, "is_done": True, "answer": f"No daemon runs here; {done}."}


def _unanswered(home: Home, command: CommandName, command_id: str) -> UnavailableError:
    """Say what is known of a command that was not answered, and take it back where that is the safe thing."""
    operation, where = f"giving {command} to", f"the daemon of {home.root}"
    is_waiting = (home.control / f"{command_id}.json").exists()
    is_alive = is_writer_alive(home.raw)
    match is_alive:
        case True:
            daemon, hint = "the daemon runs", "look at `trading status` and at its log, and end it if it hangs"
        case False:
            daemon, hint = "the daemon has ended", _START
        case None:
            daemon = f"nobody answered in {_PATIENCE_S:.0f} s, and whether a daemon runs cannot be told"
            hint = f"look at the permissions of {home.raw} and for its process"
    if command == "halt" and is_waiting and is_alive is False:
        return UnavailableError(operation, where, _HALT_WAITS, _TAKE_BACK)
    if command == "halt" and is_waiting:
        problem = f"{daemon} and the halt was not taken, so entries may go on; it stays in the inbox and holds once it is taken"
        return UnavailableError(
            operation, where, problem, f"switch off algorithmic trading in the terminal, and {hint}"
        )
    if withdraw_command(home.control, command_id):
        if command == "resume":
            withdraw_halts(home.control)
        return UnavailableError(operation, where, f"{daemon} and has not taken it; the command was taken back", hint)
    problem = f"{daemon}, took the command {command_id} and has not answered in {_PATIENCE_S:.0f} s"
    return UnavailableError(operation, where, problem, hint)


def _check_breaker(home: Home, breaker: str) -> None:
    """Raise InputError for a breaker that cannot be tripped: a name there is not."""
    name = breaker.partition(":")[0]
    if name in RULE_BY_NAME:
        return
    tripped = {one["breaker"] for kept in standing(home)["accounts"].values() for one in kept}
    if name not in tripped:
        hint = f"name one of {', '.join(sorted({*RULE_BY_NAME, *tripped}))}; `trading breaker list` shows those tripped"
        raise InputError("resetting breaker", repr(breaker), "there is none of this name", hint)
