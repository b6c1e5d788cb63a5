"""Batch runs, planned and run; those with kernels share one batch."""

from types import SimpleNamespace

import pytest
from small_notebooks import result_of, write_notebook, write_settings

from erlib import paths
from erlib.execute import NotebookFailed
from erlib.notebook_files import source_hash
from erlib.runs import plan, run

# Plan


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [
        ([], [1, 2, 3]),
        (["3"], [3]),
        (["03"], [3]),
        (["2-3"], [2, 3]),
        (["3", "1", "1-1"], [1, 3]),
        (["02_second"], [2]),
        (["notebooks/02_second.ipynb"], [2]),
    ],
)
def test_selection_in_the_order_of_the_numbers(three, selection, numbers):
    assert [int(each.id[:2]) for each in plan(selection)] == numbers


def test_an_unknown_selection_lists_what_exists(three):
    with pytest.raises(ValueError, match=r"'03_thrid'.*mean '03_third'.*01_first, 02_second"):
        plan(["03_thrid"])
    with pytest.raises(ValueError, match="no notebook '4-9'"):
        plan(["4-9"])


def test_a_misspelt_parameter_is_refused_with_a_suggestion(three):
    with pytest.raises(ValueError, match=r"01_first has no parameter 'hiden' \(did you mean 'hi"):
        plan(["1"], overrides={"hiden": 5})


def test_a_parameter_must_belong_to_every_selected_notebook(three):
    assert [each.parameters["hidden"] for each in plan(["1-2"], overrides={"hidden": 5})] == [5, 5]
    with pytest.raises(ValueError, match="03_third has no parameter 'hidden'; it has none"):
        plan(overrides={"hidden": 5})


def test_full_profile_is_one_run_for_each_yaml(three):
    write_settings("01_first", "seeds: [0, 1, 2, 3, 4]\n")
    write_settings("01_first.fashion", "hidden: 1e3\n")
    runs = plan(profile="full", overrides=None)
    assert [each.id for each in runs] == ["01_first", "01_first.fashion", "02_second", "03_third"]
    assert runs[0].parameters == {"seeds": [0, 1, 2, 3, 4], "hidden": 10}
    assert runs[1].parameters == {"seeds": [0, 1], "hidden": 1000.0}
    assert runs[2].parameters == {"hidden": 20}
    assert [each.id for each in plan(["01_first.fashion"], profile="full")] == ["01_first.fashion"]
    assert len(plan(["1"], profile="full")) == 2
    assert len(plan(["1"])) == 1, "quick takes no yaml"


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("01_first", "sedes: [1]", "01_first has no parameter 'sedes'.*mean 'seeds'"),
        ("01_frist", "seeds: [1]", "full/01_frist.yaml belongs to no notebook"),
        ("01_first", "- seeds", "full/01_first.yaml is no mapping"),
        ("01_first", "seeds: [1", "full/01_first.yaml cannot be read as YAML"),
    ],
)
def test_a_mistake_in_a_yaml_file_is_refused(three, name, text, complaint):
    write_settings(name, text)
    with pytest.raises(ValueError, match=complaint):
        plan(profile="full")


def test_the_command_repeats_the_run(three):
    overrides = {"seeds": [1, 2], "hidden": 1e-3}
    command = plan(["1"], profile="full", overrides=overrides)[0].command
    assert command == "erlib run 01_first --profile full -p seeds '[1, 2]' -p hidden 0.001"
    tricky = plan(["2"], overrides={"hidden": "3"})[0].command
    assert tricky.endswith("""-p hidden '"3"'"""), "text that looks like a number stays text"


# Run, with kernels


def test_a_failure_is_pointed_at_and_the_others_still_run(batch):
    assert batch.failed == ["02_fails"]
    text = "\n".join(batch.printed)
    assert "02_fails        FAILED" in text
    assert "In [2]  raise KeyError('gone')\n  KeyError: 'gone'" in text
    assert f"jupyter lab runs/{batch.folder.name}/02_fails.ipynb" in text
    assert text.endswith("3 ok, 1 failed")
    files = {file.name for file in batch.folder.glob("*.*")}
    ids = ("01_values", "03_light", "03_light.other")
    assert files == {"02_fails.ipynb"} | {f"{i}.{s}" for i in ids for s in ("ipynb", "json")}


def test_lines_come_in_order_with_verdict_and_time(batch):
    lines = [line for line in batch.printed if line[:2].isdigit()]
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
    assert (figures / "03_light.other" / "03_plot.png").read_text() == "2"


def test_without_print_environment_the_threads_are_unknown(batch):
    seen = result_of(batch.folder, "03_light")["environment"]
    assert seen["torch_threads"] is None
    assert seen["python"] == result_of(batch.folder, "01_values")["environment"]["python"]


# Run, without kernels


@pytest.fixture
def no_kernel(monkeypatch):
    """Execute nothing: the labels that would have been executed; those in ``broken`` fail."""
    spy = SimpleNamespace(executed=[], broken=set())

    def pretend(notebook, output, *, label, **_):
        spy.executed.append(label.strip())
        if label.strip() in spy.broken:
            raise NotebookFailed(2, "1 / 0", "ZeroDivisionError", "division by zero")

    monkeypatch.setattr("erlib.runs.execute", pretend)
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
    run(plan(), output=place / "out", force=True)
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
    run(plan(["1"], overrides={"hidden": 7}), output=place / "out", force=True)
    assert result_of(place / "out", "01_first")["parameters"]["hidden"] == 7


def test_a_failed_repetition_leaves_no_older_result(three, place, no_kernel):
    run(plan(["1"]), output=place / "out")
    no_kernel.broken = {"01_first"}
    run(plan(["1"]), output=place / "out", force=True)
    assert not (place / "out" / "01_first.json").exists()


def test_stop_keeps_later_notebooks_from_running(three, place, no_kernel):
    no_kernel.broken = {"01_first"}
    assert run(plan(), output=place / "out", stop=True) == ["01_first"]
    assert no_kernel.executed == ["01_first"]


def test_two_batches_in_one_second_get_folders_of_their_own(three, no_kernel):
    run(plan(["1"]))
    run(plan(["1"]))
    assert len(list(paths.RUNS.glob("quick-*/01_first.json"))) == 2


def test_an_interrupt_says_how_to_go_on(three, place, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("erlib.runs.execute", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(plan(), output=place / "out")
    assert "--output out goes on" in capsys.readouterr().out
