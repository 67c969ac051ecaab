"""How much memory is free: what limits and groups say is what is told."""

import subprocess
import sys

import pytest

from command import ENVIRONMENT
from conv_cli.parallel import memory
from conv_cli.parallel.memory import available_memory


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_machine_is_shared_between_processes():
    whole, half = available_memory(), available_memory(2)
    assert 0 < half < whole
    assert half == pytest.approx(whole / 2, rel=0.2)


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_limit_on_addresses_is_each_process_own():
    code = (
        "import resource\n"
        "from conv_cli.parallel.memory import available_memory\n"
        "resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))\n"
        "print(available_memory(), available_memory(2))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=ENVIRONMENT)
    alone, shared = map(int, done.stdout.split())
    assert alone == shared
    assert 100 << 20 < alone < 300 << 20


@pytest.mark.parametrize(
    ("limit", "free"), [("1000000", 700_000), ("max", None), ("300000", 0), (None, None)]
)
def test_group_leaves_what_is_not_used_or_only_cached(tmp_path, monkeypatch, limit, free):
    if limit is not None:
        (tmp_path / "limit").write_text(f"{limit}\n")
    (tmp_path / "usage").write_text("500000\n")
    (tmp_path / "statistics").write_text("anon 300000\ninactive_file 200000\nactive_file 7\n")
    monkeypatch.setattr(memory, "_GROUPS", ((str(tmp_path / "limit"), "usage", "statistics"),))
    monkeypatch.setattr(memory, "_machine", lambda: None)
    monkeypatch.setattr(memory, "_own_limits", list)
    assert available_memory() == free
    assert available_memory(2) == (free and free // 2)
