"""An object store for the tests of archives, and its errors."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

memory = pytest.importorskip(
    "fsspec.implementations.memory", reason="fsspec is not installed: pip install 'gpen-edge[archive]'"
)


class AnswerError(Exception):
    """An error as libraries of stores raise it: no OSError, of several lines, with a signed address."""

    def __init__(self, status: int | None = None) -> None:
        super().__init__("refused\nby https://host/a.jpg?X-Amz-Credential=WHO&X-Amz-Signature=SECRET")
        if status:
            self.response = {"ResponseMetadata": {"HTTPStatusCode": status}}


class Store(memory.MemoryFileSystem):  # type: ignore[misc, name-defined]
    """An object store of fsspec, which remembers what it has listed and looked up."""

    protocol = "stand-in"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    refuses: ClassVar[dict[str, Exception]] = {}
    """Errors by the names of what fails."""
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[object, Any] = {}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("stand-in://", "memory://")))

    def invalidate_cache(self, path: str | None = None) -> None:
        self.known.clear()

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        self._check("read" if mode == "rb" else "write")
        return super()._open(path, mode, **options)

    def info(self, path: str, **options: Any) -> Any:
        return self._known("info", path, lambda: super(Store, self).info(path, **options))

    def find(self, path: str, *given: Any, **options: Any) -> Any:
        return self._known("find", path, lambda: super(Store, self).find(path, *given, **options))

    def _known(self, what: str, path: str, ask: Callable[[], Any]) -> Any:
        if (what, path) not in self.known:
            self._check("list")
            self.known[what, path] = ask()
        return self.known[what, path]

    def _check(self, what: str) -> None:
        if what in self.refuses:
            raise self.refuses[what]
