"""One thread per process, before torch is loaded; and the long tests first."""

import os

import pytest

# Small tensors gain nothing from more.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the workflow tests first, all else in its order.

    One worker begins with them, and makes their board, while another begins with the rest and then
    takes over half of what is left.
    """
    items.sort(key=lambda item: "workflow" not in item.path.parts[-2:])
