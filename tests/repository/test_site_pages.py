"""Every page of the built site in a browser (`make site-test`), at the width of a phone.

Skipped where no site of the present sources was built, or where there is no browser to try it in.
"""

import functools
import http.server
import re
import shutil
import threading
import urllib.parse

import nbformat
import pytest

from erlib.notebook import paths

SITE = paths.ROOT / "site/html"
PAGES = sorted(
    page.relative_to(SITE).as_posix()
    for page in SITE.rglob("*.html")
    if page.relative_to(SITE).parts[0] != "_static"
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
SOURCES = [
    file
    for folder in ("*", "docs/**/*", "notebooks/*", "erlib/**/*")
    for file in paths.ROOT.glob(folder)
    if file.suffix in {".md", ".rst", ".ipynb", ".py", ".css"}
]


def is_older_than_its_sources():
    built = (SITE / "index.html").stat().st_mtime  # written last, by each build
    return built < max(file.stat().st_mtime for file in SOURCES)


if not PAGES or is_older_than_its_sources():
    pytest.skip("no site of the present sources: make site", allow_module_level=True)
if not CHROMIUM:
    pytest.skip("no Chromium is installed: docs/site/browser.sh", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="pip install -e '.[docs]'")
pytestmark = pytest.mark.slow
each_page = pytest.mark.parametrize("page", PAGES)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def address():
    """Where the site is served."""
    handler = functools.partial(Quiet, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def is_fault(asked):
    """Whether a request failed by itself: the tab leaves a page before its icon is there."""
    return asked.failure != "net::ERR_ABORTED"


class Browser:
    """A tab, what went wrong in it, and the pages that it has looked at."""

    def __init__(self, tab, address):
        self.tab, self.address, self.wrong, self.seen = tab, address, [], {}
        tab.on("console", lambda said: self.note(said.type == "error", said.text))
        tab.on("pageerror", lambda error: self.note(True, str(error)))
        tab.on("request", lambda asked: self.note(self.is_elsewhere(asked.url), asked.url))
        tab.on("response", lambda got: self.note(got.status >= 400, f"{got.status} {got.url}"))
        tab.on("requestfailed", lambda asked: self.note(is_fault(asked), f"failed: {asked.url}"))

    def note(self, is_wrong, what):
        if is_wrong:
            self.wrong.append(what)

    def is_elsewhere(self, url):
        return not url.startswith((self.address, "data:"))

    def open(self, page):
        """What there is to know about a page, looked at once."""
        if page not in self.seen:
            self.wrong.clear()
            self.tab.goto(self.address + page)
            self.tab.evaluate("window.MathJax && MathJax.startup.promise")
            self.seen[page] = self.tab.evaluate(LOOK) | {"wrong": list(self.wrong)}
        return self.seen[page]


LOOK = """() => {
    const all = (what) => [...document.querySelectorAll(what)];
    const hidden = all("details.hide:not([open])").length;
    all("details").forEach(details => { details.open = true; });
    return {
        width: [document.documentElement.scrollWidth, document.documentElement.clientWidth],
        formulas: all(".math").length,
        unread: all(".math").filter(math => !math.querySelector("mjx-container > svg")
                    || math.querySelector("mjx-merror, [data-mjx-error]")).map(m => m.textContent),
        pictures: all("article img").map(img => [img.src, img.alt, img.naturalWidth]),
        links: all("a[href]").map(a => a.href),
        names: all("[id]").map(element => element.id),
        hidden,
    };
}"""


@pytest.fixture(scope="module")
def browser(address):
    with playwright.sync_playwright() as started:
        # Inside a container Chromium has no sandbox of its own to make.
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield Browser(chromium.new_page(viewport={"width": 375, "height": 700}), address)
        chromium.close()


@each_page
def test_nothing_goes_wrong_and_no_other_host_is_asked(browser, page):
    assert not browser.open(page)["wrong"]


@each_page
def test_formulas_are_rendered(browser, page):
    source = (SITE / page).read_text("utf-8")
    seen = browser.open(page)
    assert seen["formulas"] == len(re.findall(r'class="math ', source))
    assert not seen["unread"]


@each_page
def test_pictures_are_there_and_described(browser, page):
    for address, text, width in browser.open(page)["pictures"]:
        assert width > 0, address
        assert text and not text.endswith((".png", ".gif")), (address, text)


@each_page
def test_links_lead_somewhere(browser, page):
    for link in set(browser.open(page)["links"]):
        if not link.startswith(browser.address):
            continue
        path, _, name = urllib.parse.unquote(link.removeprefix(browser.address)).partition("#")
        path = path.partition("?")[0] or "index.html"
        assert (SITE / path).is_file(), link
        if name and path.endswith(".html"):
            assert name in browser.open(path)["names"], link


@each_page
def test_nothing_is_wider_than_a_phone(browser, page):
    content, window = browser.open(page)["width"]
    assert content <= window


def test_some_pages_have_formulas(browser):
    assert browser.open("notebooks/01_perceptron.html")["formulas"] > 10
    assert browser.open("docs/reference/verbs.html")["formulas"] > 10


@pytest.mark.parametrize("notebook", sorted(paths.NOTEBOOKS.glob("*.ipynb")), ids=lambda n: n.stem)
def test_what_a_notebook_hides_is_collapsed(browser, notebook):
    cells = nbformat.read(notebook, as_version=4).cells
    tagged = [cell for cell in cells if "hide-input" in cell.metadata.get("tags", ())]
    assert tagged
    assert browser.open(f"notebooks/{notebook.stem}.html")["hidden"] == len(tagged)


def test_search_finds_the_pseudo_inverse(browser):
    browser.tab.goto(f"{browser.address}search.html?q=pseudo-inverse")
    browser.tab.wait_for_function("document.body.textContent.includes('Search finished')")
    found = browser.tab.eval_on_selector_all("#search-results li a", "all => all.map(a => a.href)")
    assert any("notebooks/09_inverse_mapping.html" in link for link in found)
    assert any("docs/reference/verbs.html" in link for link in found)


def test_it_is_dark_where_that_is_wished(browser):
    shades = []
    for scheme in ("light", "dark"):
        browser.tab.emulate_media(color_scheme=scheme)
        browser.tab.goto(browser.address)
        shades.append(browser.tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    light, dark = (sum(map(int, re.findall(r"\d+", shade)[:3])) for shade in shades)
    assert dark < 200 < 600 < light
