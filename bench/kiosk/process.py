"""Run a kiosk's server as a process, and act as its customer."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from base.errors import GpenEdgeError

LONGEST = 300.0
"""Seconds after which a measurement is abandoned."""


class ServerProcess:
    """A running server."""

    def __init__(
        self,
        folder: Path,
        *,
        package: str | None,
        threads: int | None,
        toml: str = "",
        wait: bool = True,
    ) -> None:
        """Start it on a free port. Raises GpenEdgeError.

        wait  until it serves; otherwise only until signals do not kill it any more
        """
        config = folder / "kiosk.toml"
        config.write_text(toml)
        self.own = folder / "own"
        command = [sys.executable, "-m", "runtime.serve", "--folder", str(self.own), "--kiosk", str(config)]
        command += ["--port", "0", "--log-format", "json"]
        command += ["--model", package] if package else []
        command += ["--threads", str(threads)] if threads else []
        self._log = (folder / "log").open("w+")
        self._process = subprocess.Popen(command, stderr=self._log, text=True)
        self.url = ""
        try:
            if wait:
                self.url = self._address(folder / "log")
            else:
                self._wait_until_it_ends_cleanly()
        except BaseException:
            self.kill()
            raise

    def _wait_until_it_ends_cleanly(self) -> None:
        status = Path(f"/proc/{self._process.pid}/status")
        while self._process.poll() is None:
            line = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
            if int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
                return
            time.sleep(0.02)
        raise GpenEdgeError("the server does not start")

    def _address(self, log: Path) -> str:
        ends = time.monotonic() + LONGEST
        while time.monotonic() < ends and self._process.poll() is None:
            for line in log.read_text().splitlines():
                if line.startswith("{") and (said := json.loads(line))["event"] == "serving":
                    return str(said["message"]).rpartition(" ")[2]
            time.sleep(0.05)
        raise GpenEdgeError(f"the server does not start: {log.read_text()[-300:]}")

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of all threads so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> float:
        """Resident memory in MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    @property
    def handles(self) -> int:
        """Open files and connections."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))  # noqa: PTH208

    def files(self) -> list[str]:
        """Return the files of customers in its folder."""
        below = (path for name in ("visits", "takes", "prints") for path in (self.own / name).rglob("*"))
        return sorted(path.relative_to(self.own).as_posix() for path in below)

    def kill(self) -> None:
        """Kill it without a warning, unless it has ended."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def stop(self) -> int:
        """Ask it to end; return its exit status."""
        self._process.terminate()
        try:
            return self._process.wait(LONGEST)
        finally:
            self.kill()


class Customer:
    """A visit, and how often the kiosk was busy."""

    def __init__(self, url: str) -> None:
        # Without HTTPS no certificates are needed, and loading them takes as long as a small photo.
        self.client = httpx.Client(base_url=url, timeout=LONGEST, verify=False)
        self.busy = 0
        self.path = f"/api/visits/{self._patiently('POST', '/api/visits').json()['visit']}"

    def bring(self, photo: bytes) -> None:
        """Upload a photo."""
        self._patiently("POST", f"{self.path}/photo", content=photo)

    def choose(self, preset: str = "standard", strength: float = 1.0) -> None:
        """Ask for a result."""
        self._patiently("POST", f"{self.path}/result", json={"preset": preset, "strength": strength})

    def get(self, path: str = "") -> httpx.Response:
        """Get something of the visit."""
        return self._patiently("GET", self.path + path)

    def wait(self, until: Callable[[dict[str, Any]], bool], every: float = 0.02) -> dict[str, Any]:
        """Wait for a status. Raises GpenEdgeError if it does not come."""
        ends = time.monotonic() + LONGEST
        while time.monotonic() < ends:
            status: dict[str, Any] = self.get().json()
            if until(status):
                return status
            time.sleep(every)
        raise GpenEdgeError(f"nothing more comes of a visit: {status}")

    def leave(self) -> None:
        """Delete everything."""
        self._patiently("DELETE", self.path)
        self.client.close()

    def _patiently(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request, and repeat it while the kiosk reports that it is busy. Raises GpenEdgeError for
        other errors."""
        while True:
            answer = self.client.request(method, path, **options)
            if answer.status_code == 503 and answer.json()["error"]["code"] == "busy":
                self.busy += 1
                assert answer.json()["error"]["message"].startswith("busy")
                time.sleep(min(2.0, float(answer.headers["retry-after"])))
                continue
            if answer.is_error:
                raise GpenEdgeError(f"{method} {path.rpartition('/')[2]}: {answer.status_code} {answer.text}")
            return answer
