"""A process that appends until it is told to die: `python appender.py URL NAME THREADS ENTRIES [POINT NTH]`.

Writes `<request> <seq>` for every receipt; with the environment's TELL set, `<begin> <end> <seq> <leaf>` instead. With POINT it kills itself (SIGKILL) the NTH time the trail passes there.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from app.kernel.errors import TrailDown
from app.store.engine import Store
from tests.trail_kit import draft, touch, trail_on

TELL = os.environ.get("TELL", "")


def main(url: str, name: str, threads: int, entries: int, point: str = "", nth: int = 0) -> None:
    seen, lock = [0], threading.Lock()

    def faults(at: str) -> None:
        if at == point:
            with lock:
                seen[0] += 1
                if seen[0] == nth:
                    os.kill(os.getpid(), signal.SIGKILL)

    trail = trail_on(Store(url), faults=faults)

    def append(number: int) -> None:
        request = f"{name}-{number}"
        made, payload = touch(number) if number % 2 else (draft(number, request=request), None)
        if payload is not None:
            made = type(made)(**{slot: getattr(made, slot) for slot in made.__slots__} | {"request": request})
        begin = time.monotonic()
        try:
            receipt = trail.append(made, payload)
        except TrailDown as down:
            os.write(2, f"{request}: {down}\n".encode())
            return
        told = f"{begin:.9f} {time.monotonic():.9f} {receipt.seq} {receipt.leaf.hex()}" if TELL else f"{request} {receipt.seq}"
        os.write(1, f"{told}\n".encode())

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(append, range(entries)))
    trail.close()


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:5]), *sys.argv[5:6], *map(int, sys.argv[6:7]))
