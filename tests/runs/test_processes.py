"""What is refused before a batch runs by dask; that it runs there is in test_faults."""

import distributed
import pytest

from erlib.runs import processes as executors
from erlib.runs.plan import Settings
from erlib.runs.processes import executor, workers_of


def test_workers_on_this_machine():
    assert workers_of("local:4") == 4
    assert workers_of("tcp://far:8786") is None
    for wrong in ("local", "local:", "local:0", "local:two", "foo", "far:8786"):
        with pytest.raises(ValueError, match="allowed: local:N with N >= 1, or an address"):
            workers_of(wrong)


def test_no_scheduler_there(monkeypatch, tmp_path):
    def nobody(address, timeout):
        raise OSError("timed out")

    monkeypatch.setattr(distributed, "Client", nobody)
    with (
        pytest.raises(ValueError, match="no scheduler of dask answers at tcp://far:1: timed out"),
        executor(tmp_path, Settings(dask="tcp://far:1")),
    ):
        pass


class Client:
    """A scheduler whose workers answer as they are told to."""

    def __init__(self, answer):
        self.answer = answer

    def nthreads(self):
        return {"tcp://worker": 1} if self.answer else {}

    def run(self, function, *arguments):
        return {"tcp://worker": self.answer}


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (None, "has no workers"),
        (("another", True), "worker tcp://worker has another state of erlib"),
        (("this", False), "worker tcp://worker does not see .*: use a folder that all share"),
    ],
)
def test_workers_that_cannot_do_it(monkeypatch, tmp_path, answer, complaint):
    monkeypatch.setattr(executors, "code_state", lambda modules: "this")
    with pytest.raises(ValueError, match=complaint):
        executors._check(Client(answer), tmp_path)


def test_a_worker_sees_the_folder(tmp_path):
    here, seen = executors._seen_by_worker(str(tmp_path))
    assert seen and "regress.py" in here
    assert not executors._seen_by_worker(str(tmp_path / "nowhere"))[1]
