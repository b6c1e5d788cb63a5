"""What is claimed holds in the committed tables, and the page of it is up to date."""

import pytest

from erlib.notebook.paths import ROOT
from erlib.runs.claims import as_page, judge


@pytest.fixture(scope="module")
def claims():
    return judge()


def test_every_claim_holds(claims):
    assert not [check for claim in claims for check in claim["checks"] if not check["ok"]]


def test_the_page_is_what_the_command_writes(claims):
    page = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    assert page == as_page(claims), "renew it by: erlib claims --page"
