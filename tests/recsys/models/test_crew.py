"""Oracle: what is asked is what comes back, in order, and torch is left as it was."""

import threading

import pytest
import torch

from recsys.models.crew import crew, one_thread, spans


@pytest.mark.parametrize("threads", [1, 3])
def test_answers_come_in_the_order_of_the_parts(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with crew() as workers:
            assert torch.get_num_threads() == 1
            assert workers.map(lambda i: i * i, range(50)) == [i * i for i in range(50)]
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_several_threads_do_the_work_and_each_has_one_for_torch():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    meet = threading.Barrier(2, timeout=20)  # both must be at work at once to pass
    try:
        with crew() as workers:
            assert workers.map(lambda _: (meet.wait(), torch.get_num_threads())[1], range(2)) == [1, 1]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("context", [crew, one_thread])
def test_an_error_passes_and_the_threads_are_given_back(context):
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), context():
        1 / 0  # noqa: B018
    assert torch.get_num_threads() == before


def test_spans_cover_everything_once():
    for n in range(8):
        assert [i for span in spans(n, 3) for i in range(n)[span]] == list(range(n))
