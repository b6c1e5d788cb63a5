import pytest
from click.testing import CliRunner

from erlib.runs.cli import main


def collect(*words):
    return CliRunner().invoke(main, ["collect", *map(str, words)])


def test_a_picture_of_a_sweep(sweep, tmp_path):
    file = tmp_path / "picture.png"
    words = (sweep, "--table", "rows", "--by", "width,arm", "--value", "score", "--plot", file)
    shown = collect(*words, "--log")
    assert shown.exit_code == 0 and f"wrote {file}" in shown.output
    before = file.read_bytes()
    assert before.startswith(b"\x89PNG") and len(before) > 5_000
    collect(*words, "--log")
    assert file.read_bytes() == before, "the same rows give the same file"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--plot", "x.png"), "--plot needs --by, its first column across, and --value"),
        (("--plot", "x.png", "--by", "width", "--value", "note"), "no column of numbers 'note'"),
        (("--plot", "x.png", "--by", "wdth", "--value", "score"), "did you mean 'width'?"),
        (("--value", "score"), "--value is the column that --plot draws"),
        (("--plot", "no/x.png", "--by", "width", "--value", "score"), "there is no folder no"),
        (("--where", "width"), "where 'width': expected name=value"),
        (("--table", "row"), "did you mean 'rows'?"),
        (("--by", "seed"), "did you mean 'seeds'?"),
    ],
)
def test_a_mistake_is_explained_and_nothing_is_drawn(
    sweep, words, complaint, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shown = collect(sweep, *words)
    assert shown.exit_code == 2 and complaint in shown.output
    assert not (tmp_path / "x.png").exists()


def test_what_else_is_there_is_told_apart_from_the_table(sweep):
    (sweep / "01_a-1.failed").write_text("{}")
    shown = collect(sweep, "--csv")
    assert shown.stdout.startswith("width,seeds,score") and "left out: 1 failed" in shown.stderr
    assert "tables: rows (2 rows a run)" in shown.stderr
