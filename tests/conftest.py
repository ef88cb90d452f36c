"""One thread per process, before torch is loaded; and the long tests first."""

import os

import pytest

# Small tensors gain nothing from more.
os.environ.setdefault("OMP_NUM_THREADS", "1")

LONG = (  # a minute or more each: none of them is begun last
    "test_a_run_killed_three_times_and_shared_otherwise_measures_the_same",
    "test_status_follows_a_run_that_fails_is_stopped_is_killed_and_ends_well",
    "test_what_fails_is_said_in_its_cells_and_a_repaired_run_ends_with_a_whole_board",
    "test_boards_of_two_machines_become_one_that_equals_that_of_one_machine",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the workflow tests first, the LONG ones before all, and all else in its order.

    One worker begins with them, and makes their board, while another begins with the rest and then
    takes over half of what is left.
    """
    items.sort(key=lambda item: (item.name not in LONG, "workflow" not in item.path.parts[-2:]))
