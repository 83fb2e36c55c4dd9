"""Small networks train faster on one thread, the more so where another process has the other core."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Threads that wait for each other over tiny layers cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
