"""A fuzzer that follows coverage (atheris) over frames, messages, protocol and a desk in memory. Run by `torture_protocol`.

    python tests/torture/fuzz_protocol.py SECONDS SEED FOLDER

The first byte of an input says what the rest is: bytes of a websocket, one frame, or lines of which each is put to a desk
as a message in order. Ends the process itself: 0, or libFuzzer's code after a crash, a hang or too much memory.
"""

from __future__ import annotations

import logging
import random
import sys
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["live", "trading_assets.core.messages", "websockets.frames", "websockets.protocol"]
):
    from desk_in_memory import DeskInMemory
    from websockets.frames import Frame, Opcode
    from websockets.protocol import OPEN
    from websockets.server import ServerProtocol

    from live.bridge.protocol import MAX_FRAME_BYTES, TerminalProtocol

from rubbish import RAW, corpus, messages, spoil_value

from live.bridge.keyring import Keyring
from trading_assets.core.messages import encode_message
from trading_assets.store.tokens import token_sha256

_SLOWEST_S = 5.0
_MOST_MIB = 2000
_KEYRING = Keyring("t", {"paper": token_sha256("a-token-of-the-tests")}, None, print)
_DESK = DeskInMemory()
logging.disable()


def one_input(data: bytes) -> None:
    """Try one input. Whatever it is, nothing may be raised."""
    if not data:
        return
    started = time.perf_counter()
    kind, rest = data[0] % 3, data[1:]
    if kind == 0:
        _through_a_websocket(rest)
    elif kind == 1:
        _to_the_protocol([rest])
    else:
        _DESK.take(rest)
    took = time.perf_counter() - started
    if took > _SLOWEST_S:
        raise TimeoutError(f"one input took {took:.1f} s")


def _through_a_websocket(data: bytes) -> None:
    websocket = ServerProtocol(state=OPEN, max_size=2 * MAX_FRAME_BYTES)
    websocket.receive_data(data)
    parts: list[bytes] = []
    frames: list[bytes] = []
    for event in websocket.events_received():
        if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            parts.append(bytes(event.data))
            if event.fin:
                frames.append(b"".join(parts))
                parts = []
    _to_the_protocol(frames)


def _to_the_protocol(frames: list[bytes]) -> None:
    strange = TerminalProtocol(_KEYRING.judge, lambda: "s")
    known = TerminalProtocol(_KEYRING.judge, lambda: "s")
    known.receive(_HELLO)
    for frame in frames:
        strange.receive(frame)
        known.receive(frame)


def mutate(data: bytes, most: int, seed: int) -> bytes:
    """Spoil a value of a message in it, or let libFuzzer do what it does."""
    chance = random.Random(seed)
    if chance.random() < 0.5 or len(data) < 2:
        return bytes(atheris.Mutate(data, most))
    lines = data[1:].split(b"\n")
    at = chance.randrange(len(lines))
    lines[at] = spoil_value(chance, lines[at].decode(errors="replace")).encode(errors="replace")
    if chance.random() < 0.3:
        lines.insert(at, chance.choice(_CORPUS))
    return (data[:1] + b"\n".join(lines))[:most]


_HELLO = encode_message(messages("s", 2)[0])
_CORPUS = corpus()


def write_corpus(folder: Path) -> None:
    """Begin with every message in order, as each kind of input, and with the usual rubbish."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = b"\n".join(_CORPUS[1:])
    inputs = [b"\x02" + whole, *(b"\x01" + frame for frame in (*_CORPUS, *RAW))]
    for frame in _CORPUS:
        masked = Frame(Opcode.TEXT, frame).serialize(mask=True)
        inputs.append(b"\x00" + masked)
    for number, content in enumerate(inputs):
        (folder / f"seed-{number:03d}").write_bytes(content)


if __name__ == "__main__":
    seconds, seed, place = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    write_corpus(place / "corpus")
    atheris.Setup(
        [
            sys.argv[0], str(place / "corpus"), f"-max_total_time={seconds}", f"-seed={seed}", f"-timeout={_SLOWEST_S * 4:.0f}",
            f"-rss_limit_mb={_MOST_MIB}", "-max_len=65536", f"-artifact_prefix={place}/", "-print_final_stats=1",
        ],
        one_input,
        custom_mutator=mutate,
    )  # fmt: skip
    atheris.Fuzz()
