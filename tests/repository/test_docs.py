"""The pages below docs/: their commands are understood, their links lead somewhere."""

import re
import shlex

import pytest
from click.testing import CliRunner

from erlib.notebook import paths
from erlib.runs.cli import main

PAGES = sorted((paths.ROOT / "docs").glob("*.md"))


def commands(verb):
    """The command lines of a verb in the pages and in README, without comments."""
    text = "\n".join(page.read_text("utf-8") for page in [*PAGES, paths.ROOT / "README.md"])
    lines = re.findall(rf"^(?:\$ )?erlib ({verb} .*)$", text, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in dict.fromkeys(lines)]


@pytest.mark.parametrize("words", commands("sweep"), ids=" ".join)
def test_a_sweep_can_be_planned_as_it_stands(words, monkeypatch, tmp_path):
    monkeypatch.chdir(paths.ROOT)
    shown = CliRunner().invoke(main, [*words, "--dry-run", "--out", str(tmp_path)])
    wrong = "widhts" in words[-1] or "filters=0" in words[-1]  # shown with its message
    assert shown.exit_code == (2 if wrong else 0), shown.output
    if wrong:
        message = shown.output.strip().splitlines()[-1].split(";")[0]
        page = (paths.ROOT / "docs/sweeps.md").read_text("utf-8")
        assert message in page


@pytest.mark.parametrize("words", [*commands("collect"), *commands("show")], ids=" ".join)
def test_other_commands_have_options_that_exist(words):
    shown = CliRunner().invoke(main, [words[0], "--help"])
    for option in (word for word in words if word.startswith("--")):
        assert option in shown.output


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8"))
    assert targets
    assert not [target for target in targets if not (page.parent / target).exists()]
