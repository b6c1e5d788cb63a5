"""The evaluator of claims: values by hand, and mistakes that name the claim."""

import pytest
import yaml
from click.testing import CliRunner

from erlib.notebook import paths
from erlib.runs.claims import as_page, as_text, judge
from erlib.runs.cli import main

ROWS = """arm,width,seed,accuracy
ER,30,0,0.25
ER,30,0,0.75
ER,30,1,0.5
its control,30,0,0.5
its control,30,1,0.5
ER,60,0,0.5
its control,60,0,0.75
"""
LEAD = "(ER - `its control`).mean()"


@pytest.fixture
def file(place, monkeypatch):
    """A companion with one table."""
    monkeypatch.setattr(paths, "ROOT", place)
    (paths.NOTEBOOKS / "03_one.ipynb").touch()
    for folder, text in (("full", ROWS), ("benchmarks", ROWS.replace("0.25", "0.125"))):
        (place / "results" / folder).mkdir(parents=True)
        (place / "results" / folder / f"{folder}.csv").write_text(text)
    (place / "docs").mkdir()
    return place / "claims.yaml"


def write(file, change=None, **check):
    check = {"what": "lead", "value": LEAD, "band": [0, 1]} | check
    claim = {"statement": "ER leads", "verdict": "At times.", "notebook": "03_one"}
    claim |= {"table": "full.csv", "columns": "arm", "checks": [check]} | (change or {})
    file.write_text(yaml.safe_dump([{k: v for k, v in claim.items() if v != "absent"}]))


def values(file, **check):
    write(file, **check)
    return judge()[0]["checks"][0]["values"]


def test_differences_are_paired_by_seed_at_the_ends_of_curves(file):
    assert values(file, where="width == 30") == [0.125]


def test_groups_have_to_hold_one_by_one(file):
    assert values(file, by="width") == [0.125, -0.25]
    (claim,) = judge()
    assert not claim["checks"][0]["ok"]
    assert "lead: -0.25 to 0.125 (0 to 1) FAILED" in as_text([claim])


def test_tables_one_below_the_other(file):
    both = ["full.csv", "benchmarks.csv"]
    assert values(file, table=both, columns=None, by="file", value="accuracy.min()") == [
        0.125,
        0.25,
    ]


def test_rows_that_no_group_would_have_are_a_mistake(file):
    other = paths.ROOT / "results" / "benchmarks" / "benchmarks.csv"
    other.write_text(ROWS.replace("width", "units"))
    write(file, table=["full.csv", "benchmarks.csv"], by="width")
    with pytest.raises(ValueError, match="by: width is missing in some rows"):
        judge()


@pytest.mark.parametrize(
    "check, message",
    [
        ({"table": "fall.csv"}, "no table fall.csv"),
        ({"value": "(ER - `its contrl`).mean()"}, "its_contrl"),
        ({"columns": "arms"}, "arms"),
        ({"of": "acuracy"}, "acuracy"),
        ({"where": "widht == 30"}, "widht"),
        ({"where": "width == 31"}, "no rows where width == 31"),
        ({"value": "ER - `its control`"}, "gives no number"),
        ({"value": "(ER / 0).mean()"}, "gives no number but inf"),
        ({"value": "ER.mean("}, "lead"),
        ({"band": [1, 0]}, r"band: expected \[low, high\], found \[1, 0\]"),
        ({"band": [1]}, "lead"),
        ({"bands": [0, 1]}, "unknown: bands"),
        ({"change": {"verdict": "absent"}}, "lacks verdict"),
        ({"change": {"verdict": "so " * 26}}, "more than 25 words"),
        ({"change": {"notebok": "03_one"}}, "unknown: notebok"),
        ({"change": {"notebook": "04_two"}}, "no notebook 04_two"),
        ({"change": {"quote": "ER"}}, "unknown: statement"),
        ({"change": {"table": "absent"}}, "lacks table"),
    ],
    ids=str,
)
def test_a_mistake_names_the_claim(file, check, message):
    write(file, **check)
    with pytest.raises(ValueError, match=message) as raised:
        judge()
    assert "'ER leads'" in str(raised.value) or "'ER'" in str(raised.value)


def test_command(file):
    write(file, where="width == 30")
    shown = CliRunner().invoke(main, ["claims"])
    assert shown.exit_code == 0 and "ok  lead: 0.125 (0 to 1)" in shown.output
    assert CliRunner().invoke(main, ["claims", "--page"]).exit_code == 0
    assert (file.parent / "docs/claims.md").read_text(encoding="utf-8") == as_page(judge())
    write(file, where="width == 60")
    assert CliRunner().invoke(main, ["claims"]).exit_code == 1
    write(file, band=[1, 0])
    assert CliRunner().invoke(main, ["claims"]).exit_code == 2
