"""Jobs over processes: order, progress, failures, and workers that die."""

import os
import signal
import sys
import time

import pytest

from conv_cli.parallel.processes import answers

METHODS = [
    pytest.param("fork", marks=pytest.mark.skipif(sys.platform != "linux", reason="no copies")),
    "spawn",
]


@pytest.fixture(params=METHODS, autouse=True)
def method(request, monkeypatch):
    """Workers that are copies of this process, and such that start anew."""
    monkeypatch.setenv("CONV_CLI_START_METHOD", request.param)


def run(work, jobs, count=2, progress=None):
    return list(answers(work, jobs, count, progress, lambda job, process, how: (job, how)))


def ten_times(job, _):
    time.sleep(0.2 if job == 0 else 0)
    return job * 10


def own_number(job, _):
    time.sleep(0.4)
    return os.getpid()


def telling(job, progress):
    progress(job / 2)
    return job


def failing(job, _):
    raise ZeroDivisionError(f"job {job}")


def dying(job, _):
    if job in (1, 4):
        os.kill(os.getpid(), signal.SIGKILL)
    return job


def sleeping(job, _):
    time.sleep(30 if job else 0)
    return os.getpid()


def test_answers_come_in_the_order_of_the_jobs():
    assert run(ten_times, range(9), 3) == [job * 10 for job in range(9)]


def test_jobs_run_in_other_processes_several_at_once():
    found = run(own_number, range(4), 2)
    assert len(set(found)) == 2
    assert os.getpid() not in found


def test_progress_is_told_in_this_process():
    told = []
    run(telling, [1, 2, 3], progress=told.append)
    assert sorted(told) == [0.5, 1, 1.5]


def test_exception_in_a_worker_is_raised_here():
    with pytest.raises(ZeroDivisionError, match="job 7"):
        run(failing, [7])


@pytest.mark.parametrize("count", [1, 3])
def test_worker_that_is_killed_costs_its_job_alone(count):
    expected = [0, (1, "by signal 9"), 2, 3, (4, "by signal 9"), 5]
    assert run(dying, range(6), count) == expected


def test_closing_early_ends_the_workers():
    results = answers(sleeping, [0, 1, 2], 2, None, lambda job, process, how: None)
    first = next(results)
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 10
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
