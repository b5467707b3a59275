"""Kill the server in every state of a visit, and check what the next start recovers.

After a kill in the state `starting` the next start is ended in its turn, by SIGTERM at a random moment.
"""

import random
import socket
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from bench.kiosk.process import Customer, ServerProcess

STATES = ("empty", "uploading", "queued", "preparing", "ready", "making", "done", "take-home", "starting")
_OFF = 3600.0
"""Seconds without power, for starts after the customers' time."""
_START = 3.0
"""The most seconds that a start takes; fewer on a quiet machine."""
_TOML = """[media]
sticks = []
[phones]
listen = "127.0.0.1:0"
"""


@dataclass
class Killed:
    """Kills in one state, and what was wrong after them."""

    state: str
    kills: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Killing:
    """Settings that all kills share."""

    photo: bytes
    package: str | None
    threads: int | None
    rng: random.Random

    def run(self, killed: Killed, *, beyond: bool) -> None:
        """Kill the server in a state, start it again, and record what is wrong.

        beyond  the next start comes after the customer's time
        """
        killed.kills += 1
        with tempfile.TemporaryDirectory() as folder:
            server = self._server(Path(folder))
            try:
                customers = self._in_state(server, killed.state)
            finally:
                server.kill()
            if beyond:
                _let_time_pass(server.own / "kiosk.sqlite")
            if killed.state == "starting":
                self._end_while_it_starts(killed, Path(folder))
                return
            again = self._server(Path(folder))
            try:
                if beyond and again.files():
                    killed.wrong.append(f"after their time: {again.files()}")
                for customer in customers if not beyond else ():
                    self._look(killed, again, customer)
            finally:
                if (status := again.stop()) != 0:
                    killed.wrong.append(f"the server ended with {status}")
            if again.files():
                killed.wrong.append(f"after the end: {again.files()}")

    def _server(self, folder: Path, *, wait: bool = True) -> ServerProcess:
        return ServerProcess(folder, package=self.package, threads=self.threads, toml=_TOML, wait=wait)

    def _end_while_it_starts(self, killed: Killed, folder: Path) -> None:
        again = self._server(folder, wait=False)
        time.sleep(self.rng.uniform(0, _START))
        if (status := again.stop()) != 0:
            killed.wrong.append(f"the server that was starting ended with {status}")
        if again.files():
            killed.wrong.append(f"after the end of the start: {again.files()}")

    def _in_state(self, server: ServerProcess, state: str) -> list[Customer]:
        """Bring customers into a state, and wait for a random moment of it."""
        customers = [Customer(server.url) for _ in range(3 if state == "queued" else 1)]
        customer = customers[-1]
        if state == "uploading":
            half = self.photo[: len(self.photo) // 2]
            host, _, port = server.url.rpartition("/")[2].rpartition(":")
            head = f"POST {customer.path}/photo HTTP/1.1\r\nHost: {host}\r\n"
            sender = socket.create_connection((host, int(port)))
            sender.sendall(f"{head}Content-Length: {len(self.photo)}\r\n\r\n".encode() + half)
            time.sleep(0.2)
        if state in ("empty", "uploading"):
            return customers
        for each in customers:
            each.bring(self.photo)
        if state in ("queued", "preparing"):
            time.sleep(self.rng.uniform(0, 0.5))
            return customers
        customer.wait(lambda status: status["state"] == "ready")
        if state == "ready":
            return customers
        customer.choose("standard", 0.5)
        if state == "making":
            time.sleep(self.rng.uniform(0, 0.3))
            return customers
        customer.wait(lambda status: status["result"]["state"] == "done")
        if state == "take-home":
            customer.client.post(f"{customer.path}/take-home")
        return customers

    def _look(self, killed: Killed, server: ServerProcess, customer: Customer) -> None:
        """Check that a customer goes on where the kill was."""
        customer.client.base_url = server.url
        brought = killed.state not in ("empty", "uploading")
        status = customer.wait(lambda status: status["state"] in ("empty", "ready", "failed"))
        if (status["state"] == "ready") != brought:
            killed.wrong.append(f"the visit is {status['state']}: {status['error']}")
        if killed.state in ("making", "done", "take-home"):
            status = customer.wait(lambda status: (status["result"] or {}).get("state") in ("done", "failed"))
            size = len(customer.get("/result/file").content)
            if size != status["result"]["bytes"]:
                killed.wrong.append(f"the result has {size} bytes of {status['result']['bytes']}")
        if left := [name for name in server.files() if "upload" in name or ".tmp" in name]:
            killed.wrong.append(f"half of something is left: {left}")


def _let_time_pass(store: Path) -> None:
    """Age everything that a killed server has stored, as if the power had been off for a while."""
    with closing(sqlite3.connect(store)) as database:
        for table in ("visits", "takes"):
            earlier = f"touched = touched - {_OFF}, ends = ends - {_OFF}, boot = 'another'"
            database.execute(f"UPDATE {table} SET {earlier}")
        database.commit()


def kill_in_each_state(killing: Killing, times: int, tick: Callable[[], None]) -> list[Killed]:
    """Kill the server so many times in each state, within the customers' time and beyond it."""
    found = []
    for state in STATES:
        killed = Killed(state)
        for i in range(times):
            killing.run(killed, beyond=i % 2 == 1)
            tick()
        found.append(killed)
    return found
