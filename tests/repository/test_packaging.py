"""The files that describe the package tell one story: requirements, versions, licence, citation."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import erlib
from erlib.notebook import paths

CONDA_NAMES = {"torch": "pytorch-cpu"}  # where conda-forge calls it differently
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}


def text(name):
    return (paths.ROOT / name).read_text(encoding="utf-8")


PROJECT = tomllib.loads(text("pyproject.toml"))["project"]
RUN = [Requirement(line) for line in PROJECT["dependencies"]]
DASK = [Requirement(line) for line in PROJECT["optional-dependencies"]["dask"]]
TEST = [Requirement(line) for line in PROJECT["optional-dependencies"]["test"]]
DOCS = [Requirement(line) for line in PROJECT["optional-dependencies"]["docs"]]


def pins(lines):
    """Exact versions by name, from lines of constraints.txt."""
    requirements = map(Requirement, re.findall(r"^[^#\n].*", lines, re.M))
    return {canonicalize_name(each.name): str(each.specifier) for each in requirements}


PINS = pins(text("constraints.txt"))
OF_DOCS = pins(text("constraints.txt").partition('# the extra "docs"')[2])


def each(requirements):
    return pytest.mark.parametrize("requirement", requirements, ids=lambda r: r.name)


# ---- requirements -------------------------------------------------------------------------------


def conda_packages():
    """Bounds by name, and what pip installs, from environment.yml."""
    *packages, last = yaml.safe_load(text("environment.yml"))["dependencies"]
    split = (re.fullmatch(r"([\w.-]+)(.*)", package).groups() for package in packages)
    return {canonicalize_name(name): bound for name, bound in split}, last["pip"]


def test_environment_yml_has_the_requirements_and_no_others():
    packages, by_pip = conda_packages()
    expected = {
        CONDA_NAMES.get(requirement.name, canonicalize_name(requirement.name)): str(
            requirement.specifier
        )
        for requirement in RUN + TEST
    }
    assert packages.pop("python") == "=3.11"
    assert packages.pop("pip") == ""
    assert packages == expected
    assert by_pip == ["-e ."]


def test_the_published_package_is_for_benchmarks_only():
    (package,) = map(Requirement, PROJECT["optional-dependencies"]["bench"])
    assert str(package) == "expectation-reflection==0.0.10"
    assert "'.[bench]'" in text("Makefile")
    using = [
        file
        for file in (paths.ROOT / "erlib").rglob("*.py")
        if "expectation_reflection" in file.read_text(encoding="utf-8")
    ]
    assert not using
    assert canonicalize_name(package.name) not in PINS


def test_one_python_version():
    bound = PROJECT["requires-python"]
    assert SpecifierSet(bound) == SpecifierSet(">=3.11")
    assert conda_packages()[0]["python"] == "=3.11"
    assert "version_info < (3, 11)" in text("Makefile")
    assert "Python 3.11" in text("constraints.txt")


@each(RUN + TEST + DOCS)
def test_constraints_pin_one_version_within_the_bounds(requirement):
    pin = PINS[canonicalize_name(requirement.name)]
    assert re.fullmatch(r"==[\w.]+", pin), "exact, and no local build such as +cpu"
    assert pin[2:] in requirement.specifier


@each(RUN + TEST)
@pytest.mark.skipif((Path(sys.prefix) / "conda-meta").is_dir(), reason="conda chooses the versions")
def test_constraints_are_what_is_installed(requirement):
    installed = importlib.metadata.version(requirement.name).partition("+")[0]
    assert PINS[canonicalize_name(requirement.name)] == f"=={installed}", "run make again"


def test_constraints_pin_what_the_requirements_require_and_no_more():
    assert required(RUN + TEST) == PINS.keys() - OF_DOCS.keys()


def test_constraints_pin_what_the_site_requires_and_no_more():
    if not all(map(is_installed, DOCS)):
        pytest.skip("make site installs the extra docs")
    assert required(RUN + TEST + DOCS) == PINS.keys()


def is_installed(requirement):
    try:
        return importlib.metadata.version(requirement.name) in requirement.specifier
    except importlib.metadata.PackageNotFoundError:
        return False


def required(requirements):
    """The names of all packages that these require, with their own."""
    waiting, seen = [*requirements], set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if (name, *wanted.extras) not in seen:
            seen.add((name, *wanted.extras))
            waiting += requirements_of(name, wanted.extras)
    return {name for name, *_ in seen}


def requirements_of(name, extras):
    """What an installed package requires on Linux; nothing if it is not for this system."""
    try:
        lines = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for requirement in map(Requirement, lines):
        # Builds of torch for GPUs require packages that torch itself pins.
        of_gpu = name == "torch" and re.match("nvidia|cuda|triton", requirement.name)
        cases = [LINUX | {"extra": extra} for extra in ["", *extras]]
        marker = requirement.marker
        if not of_gpu and (marker is None or any(map(marker.evaluate, cases))):
            yield requirement


def test_erlib_imports_only_what_it_requires():
    of_module = importlib.metadata.packages_distributions()
    declared = {canonicalize_name(requirement.name) for requirement in RUN + DASK}
    for file in (paths.ROOT / "erlib").rglob("*.py"):
        for module in imported_modules(file) - sys.stdlib_module_names - {"erlib"}:
            owners = set(map(canonicalize_name, of_module[module]))
            assert owners & declared, f"{file.name} imports {module}"


def imported_modules(file):
    """Top-level names of all absolute imports, also of those inside functions."""
    modules = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.add(node.module.partition(".")[0])
    return modules


# ---- version, licence, citation, README ---------------------------------------------------------


def test_one_version():
    assert erlib.__version__ == PROJECT["version"] == importlib.metadata.version("erlib")


def test_licence():
    assert text("LICENSE").startswith("MIT License\n\nCopyright (c) 2026 the erlib authors\n")
    assert PROJECT["license"] == "MIT"


def test_citation_of_the_companion_and_of_the_paper():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    paper = citation["preferred-citation"]
    assert paper["title"] == "Multiplicative Learning"
    assert [author["family-names"] for author in paper["authors"]] == [
        "Kim",
        "Soh",
        "Periwal",
        "Jo",
    ]
    assert paper["identifiers"][0]["value"] == "arXiv:2503.10144"
    assert paper["url"] == PROJECT["urls"]["Paper"]


def test_readme_names_the_two_commands():
    readme = text("README.md")
    assert "make reproduce" in readme and "make test" in readme


def test_links_of_the_readme_lead_somewhere():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text("README.md"))
    assert targets
    assert not [target for target in targets if not (paths.ROOT / target).exists()]


# ---- style, layout and types --------------------------------------------------------------------


def steps_of(target):
    """What a target of the Makefile requires, and its commands."""
    found = re.search(rf"^{target}:([^#\n]*)[^\n]*\n((?:\t.*\n)*)", text("Makefile"), re.M)
    return found[1].split(), re.findall(r"^\t(.*)$", found[2], re.M)


def test_style_and_types_are_checked_by_the_same_commands_everywhere():
    _, commands = steps_of("lint")
    assert {command.split()[0] for command in commands} == {"$(BIN)/ruff", "$(BIN)/mypy"}
    assert "lint" in steps_of("check")[0]
    assert re.search(r"^make lint\nmake test$", text(".ci/run"), re.M)
    (hooks,) = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    entries = [hook["entry"].replace(".venv/bin", "$(BIN)") for hook in hooks["hooks"]]
    assert entries == commands
    for workflow, command in (("check", "make check"), ("nightly", ".ci/run")):
        (job,) = yaml.safe_load(text(f".github/workflows/{workflow}.yml"))["jobs"].values()
        assert job["steps"][-1] == {"run": command}


def test_those_who_read_types_see_what_is_loaded():
    tree = ast.parse(text("erlib/__init__.py"))
    read = {
        name.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert read == erlib._MODULES
    assert (paths.ROOT / "erlib/py.typed").is_file()


# ---- what is committed --------------------------------------------------------------------------


def committed_files():
    """Paths of the files that are committed or about to be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    return [file for name in listed.stdout.split("\0") if (file := paths.ROOT / name).is_file()]


def test_no_committed_file_names_a_folder_of_this_machine():
    # ../ is relative; the other folders are where checkouts and temporary files usually lie.
    machine = re.compile(r"(?<![\w.])/(?:home|root|tmp|Users|work)/\w")
    for file in committed_files():
        try:
            content = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # a picture
            continue
        found = machine.search(content)
        assert not found, f"{file.relative_to(paths.ROOT)}: {found[0]}"


def test_large_files_are_not_committed():
    large = [file.name for file in committed_files() if file.stat().st_size > 1_500_000]
    assert not large
