"""Batches; those with kernels share one."""

import json
import os
import shutil
from types import SimpleNamespace

import pytest
from small_notebooks import result_of, write_notebook

from erlib.notebook import paths
from erlib.notebook.code_state import code_state
from erlib.runs import batch as module
from erlib.runs.batch import describe, run, states_in, threads_each
from erlib.runs.notebooks import source_hash
from erlib.runs.plan import Settings, plan
from erlib.runs.processes import failed
from erlib.runs.sweep import plan_sweep

# With kernels


def test_a_failure_is_pointed_at_and_the_others_still_run(batch):
    assert batch.failed == ["02_fails"]
    text = "\n".join(batch.printed)
    assert "02_fails        FAILED" in text
    assert "In [2]  raise KeyError('gone')\n  KeyError: 'gone'" in text
    assert f"jupyter lab runs/{batch.folder.name}/02_fails.ipynb" in text
    assert text.endswith("3 ok, 1 failed")
    files = {file.name for file in batch.folder.glob("0*.*")}
    ids = ("01_values", "03_light", "03_light.other")
    of_each = {f"{id}.{kind}" for id in ids for kind in ("ipynb", "json", "log")}
    assert files == of_each | {"02_fails.ipynb", "02_fails.failed", "02_fails.log"}


def test_lines_come_in_order_with_verdict_and_time(batch):
    lines = [line for line in "\n".join(batch.printed).splitlines() if line[:2].isdigit()]
    assert [line.split()[0] for line in lines if "  ok  " in line or "FAILED" in line] == [
        "01_values",
        "02_fails",
        "03_light",
        "03_light.other",
    ]
    assert all(line.endswith(" s") for line in lines)


def test_the_result_says_what_led_to_it(batch):
    result = result_of(batch.folder, "01_values")
    assert result["recorded"] == {
        "hidden": 5,
        "table": [{"seed": 0, "score": 0.0}, {"seed": 1, "score": 0.25}],
    }
    assert result["parameters"] == {"hidden": 5, "seeds": [0, 1]}
    assert result["data"] == {"digits": "abc"}
    assert result["profile"] == "full" and result["threads"] == 1
    assert result["command"] == "erlib run 01_values --profile full --threads 1"
    assert result["notebook_sha256"] == source_hash(batch.root / "notebooks" / "01_values.ipynb")
    assert result["seconds"] > 0 and result["started"].endswith("+00:00")
    assert result["environment"]["torch_threads"] == 1, "as seen inside the kernel"
    assert not list(batch.folder.glob("*.jsonl"))


def test_parameters_of_the_full_profile_reach_the_kernel(batch):
    assert result_of(batch.folder, "03_light")["parameters"] == {"rate": 1e-3}
    # Two runs of one notebook must not overwrite each other's figures.
    figures = batch.folder / "figures"
    assert (figures / "03_light" / "03_plot.png").read_text() == "0.001"
    assert (figures / "03_light.other" / "03_plot.png").read_text() == "2.0"


def test_without_print_environment_the_threads_are_unknown(batch):
    seen = result_of(batch.folder, "03_light")["environment"]
    assert seen["torch_threads"] is None
    assert seen["python"] == result_of(batch.folder, "01_values")["environment"]["python"]


# Without kernels


@pytest.fixture
def no_kernel(monkeypatch):
    """Execute nothing: the ids that would have been performed; those in ``broken`` fail."""
    spy = SimpleNamespace(executed=[], broken=set(), why="In [2]  1 / 0\nZeroDivisionError")

    def pretend(order, tell=None):
        run = order.run
        spy.executed.append(run.id)
        if run.id in spy.broken:
            end = failed(spy.why, cell=True) | {"seconds": 1.0}
            order.write_failure(end)
            return end
        code, sha256 = code_state(["regress.py"]), source_hash(run.notebook)
        order.write_result(recorded={}, code=code, notebook_sha256=sha256)
        return {"end": "ok", "seconds": 1.0}

    monkeypatch.setattr("erlib.runs.processes.perform", pretend)
    return spy


def test_an_interrupted_batch_is_resumed(three, place, no_kernel, capsys):
    no_kernel.broken = {"02_second"}
    assert run(plan(), output=place / "out") == ["02_second"]
    assert no_kernel.executed == ["01_first", "02_second", "03_third"]

    no_kernel.executed, no_kernel.broken = [], set()
    assert run(plan(), output=place / "out") == []
    assert no_kernel.executed == ["02_second"]
    assert capsys.readouterr().out.endswith("1 ok, 2 done already\n")

    no_kernel.executed = []
    run(plan(), place / "out", Settings(force=True))
    assert no_kernel.executed == ["01_first", "02_second", "03_third"]


def test_another_result_is_not_overwritten_without_force(three, place, no_kernel):
    run(plan(["1-2"]), output=place / "out")
    no_kernel.executed = []
    with pytest.raises(ValueError, match=r"01_first\.json .* other values of hidden:.*--force"):
        run(plan(["1-2"], overrides={"hidden": 7}), output=place / "out")
    write_notebook("02_second", "changed = True", parameters="hidden = 20")
    with pytest.raises(ValueError, match=r"02_second\.json holds the result of an earlier state"):
        run(plan(["1-2"]), output=place / "out")
    assert no_kernel.executed == [], "refused before anything runs"
    run(plan(["1"], overrides={"hidden": 7}), place / "out", Settings(force=True))
    assert result_of(place / "out", "01_first")["parameters"]["hidden"] == 7


def test_stop_keeps_later_notebooks_from_running(three, place, no_kernel):
    no_kernel.broken = {"01_first"}
    assert run(plan(), place / "out", Settings(stop=True)) == ["01_first"]
    assert no_kernel.executed == ["01_first"]


def test_two_batches_in_one_second_get_folders_of_their_own(three, no_kernel):
    run(plan(["1"]))
    run(plan(["1"]))
    assert len(list(paths.RUNS.glob("quick-*/01_first.json"))) == 2


def test_an_interrupt_says_how_to_go_on(three, place, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_perform", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(plan(), output=place / "out")
    assert "--output out goes on" in capsys.readouterr().out


def test_a_result_of_other_code_is_refused_or_renewed(three, place, no_kernel):
    run(plan(["1"]), output=place / "out")
    file = place / "out" / "01_first.json"
    result = json.loads(file.read_text()) | {"code": {"regress.py": "another", "reflect.py": ""}}
    file.write_text(json.dumps(result))
    with pytest.raises(ValueError, match=r"an earlier state of erlib \(regress\.py, reflect\.py\)"):
        run(plan(["1"]), output=place / "out")
    run(plan(["1"]), place / "out", Settings(replace=True))
    assert no_kernel.executed == ["01_first", "01_first"]


def test_a_file_cut_short_is_no_result(three, place, no_kernel):
    run(plan(["1"]), output=place / "out")
    file = place / "out" / "01_first.json"
    file.write_text(file.read_text()[:-20])
    assert states_in(place / "out", plan(["1"])) == {"01_first": "missing"}
    run(plan(["1"]), output=place / "out")
    assert no_kernel.executed == ["01_first", "01_first"]


def test_only_what_failed(three, place, no_kernel, capsys):
    no_kernel.broken = {"02_second"}
    run(plan(["1-2"]), output=place / "out")
    no_kernel.executed, no_kernel.broken = [], set()
    assert run(plan(), place / "out", Settings(only_failed=True)) == []
    assert no_kernel.executed == ["02_second"], "03 is missing, but did not fail"
    assert "2 ok" not in capsys.readouterr().out


def test_a_full_disk_stops_the_batch(three, place, no_kernel, capsys):
    no_kernel.broken, no_kernel.why = {"01_first"}, "[Errno 28] No space left on device: 'x'"
    assert run(plan(), output=place / "out") == ["01_first"]
    assert "03_third" not in no_kernel.executed
    assert "No space left" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_refused_at_once(three, place, no_kernel, monkeypatch):
    def refuse(path, content):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("erlib.runs.folder.write_atomically", refuse)
    with pytest.raises(ValueError, match="cannot write into out: Read-only file system"):
        run(plan(), output=place / "out")
    assert no_kernel.executed == []


def test_what_another_batch_is_at_comes_last_and_is_waited_for(three, place, monkeypatch, capsys):
    calls = []

    def pretend(order, tell=None):
        calls.append((order.run.id, order.wait))
        busy = order.run.id == "01_first" and not order.wait
        return {"end": "elsewhere" if busy else "ok", "seconds": 1.0}

    monkeypatch.setattr("erlib.runs.processes.perform", pretend)
    run(plan(), output=place / "out")
    assert calls[-1] == ("01_first", True) and len(calls) == 4
    assert capsys.readouterr().out.endswith("3 ok\n")


def test_cores_are_divided_among_the_runs_at_once(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    assert [threads_each(Settings(jobs=jobs)) for jobs in (1, 2, 3, 20)] == [8, 4, 2, 1]
    assert threads_each(Settings(dask="local:4")) == 2
    assert threads_each(Settings(dask="tcp://far:8786")) == 1


def test_a_plan_tells_what_is_there(three, place, no_kernel):
    no_kernel.broken = {"02_second"}
    run(plan(["1-2"]), output=place / "out")
    text = describe(plan(), place / "out")
    assert text.splitlines()[0] == "01_first: 3 runs: 1 done, 1 failed, 1 not run yet"


@pytest.fixture
def twins(place, no_kernel):
    """Two notebooks of one name and content, with other files beside them."""
    for folder in ("a", "b"):
        (place / folder).mkdir()
    file = write_notebook("train", parameters="x = 1").rename(place / "a" / "train.ipynb")
    shutil.copy(file, place / "b" / "train.ipynb")
    return no_kernel


def test_a_result_is_of_its_own_notebook_alone(twins, place):
    one, other = plan(["a/train.ipynb"]), plan(["b/train.ipynb"])
    run(one, output=place / "o")
    assert result_of(place / "o", "train")["place"] == "../a/train.ipynb"
    assert states_in(place / "o", one) == {"train": "done"}
    with pytest.raises(ValueError, match=r"train\.json .* another notebook, .*/a/train\.ipynb"):
        run(other, output=place / "o")
    run(other, place / "o", Settings(force=True))
    assert states_in(place / "o", other) == {"train": "done"}
    assert twins.executed == ["train", "train"]
    for moved in ("a", "b", "o"):
        (place / "moved" / moved).parent.mkdir(exist_ok=True)
        (place / moved).rename(place / "moved" / moved)
    there = plan([str(place / "moved/b/train.ipynb")])
    assert states_in(place / "moved/o", there) == {"train": "done"}


def test_a_failure_is_of_its_own_notebook_alone(twins, place):
    twins.broken = {"train"}
    run(plan(["a/train.ipynb"]), output=place / "o")
    with pytest.raises(ValueError, match=r"train\.failed .* another notebook, .*/a/train\.ipynb"):
        run(plan(["b/train.ipynb"]), output=place / "o")
    run(plan(["a/train.ipynb"]), output=place / "o")
    assert twins.executed == ["train", "train"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_sweep_mixes_no_two_notebooks(twins, place, fails):
    one, other = plan_sweep("a/train.ipynb", ["x=1"]), plan_sweep("b/train.ipynb", ["x=2"])
    twins.broken = {one[0].id} if fails else set()
    run(one, place / "o", Settings(replace=True))
    with pytest.raises(ValueError, match=r"o holds results of another notebook, .*/a/train\.ipynb"):
        run(other, place / "o", Settings(replace=True, force=True))
    with pytest.raises(ValueError, match="another notebook"):
        describe(other, place / "o")
    assert "1 run" in describe(one, place / "o")
    assert twins.executed == [one[0].id]


def test_a_result_that_does_not_say_where_its_notebook_is_counts_by_its_name(twins, place):
    one, other = plan(["a/train.ipynb"]), plan(["b/train.ipynb"])
    run(one, output=place / "o")
    result = result_of(place / "o", "train")
    del result["place"]
    (place / "o/train.json").write_text(json.dumps(result))
    assert states_in(place / "o", other) == {"train": "done"}


def test_true_is_no_result_of_1(place, no_kernel):
    write_notebook("01_any", parameters="x = None")
    run(plan(overrides={"x": 1}), output=place / "o")
    with pytest.raises(ValueError, match="other values of x"):
        run(plan(overrides={"x": True}), output=place / "o")


def test_the_folder_of_a_run_that_names_none(twins, place, monkeypatch):
    write_notebook("01_first", parameters="x = 1")
    (place / "here").mkdir()
    monkeypatch.chdir(place / "here")
    run(plan(["1"]))
    run(plan(["../a/train.ipynb"]))
    assert len(list(place.glob("runs/*/01_first.json"))) == 1
    assert len(list(place.glob("here/runs/*/train.json"))) == 1
