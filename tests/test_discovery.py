"""Finding the application: every form, every mistake, and the names modules get (row B51)."""

import importlib
import os
import signal
import subprocess
import sys
import threading
import types

import pytest

import longshore
from longshore.discovery import load
from longshore.errors import AppImportFailed, AppNotFound, ConfigurationError, StoreUnavailable

MAKES = "from dock import Longshore\njobs = Longshore()\n"


class Longshore:
    """Stands for the real class; remembers which module made it, as kinds do."""

    def __init__(self):
        self.made_in = sys._getframe(1).f_globals["__name__"]


@pytest.fixture(autouse=True)
def fresh_imports(monkeypatch):
    """Each test imports its own files, under names that others use too."""
    dock = types.ModuleType("dock")
    dock.Longshore = Longshore
    modules, path = dict(sys.modules), list(sys.path)
    sys.modules["dock"] = dock
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a changed file is read again
    yield
    sys.path[:] = path
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    importlib.invalidate_caches()


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def find(folder, spec=None, *, environ=None, **options):
    return load(spec, environ=environ or {}, cwd=str(folder), instance_of=Longshore, **options)


def refused(error, folder, spec=None, **options):
    with pytest.raises(error) as caught:
        find(folder, spec, **options)
    return str(caught.value)


# --- forms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", ["shop.work:jobs", "shop.work", "shop/work.py:jobs", "shop/work.py", "./shop/work.py"]
)
def test_every_form_gives_the_object_under_the_ordinary_name(tmp_path, spec):
    write(tmp_path, {"shop/work.py": MAKES})
    app, where = find(tmp_path, spec)
    assert isinstance(app, Longshore)
    assert app.made_in == "shop.work"
    assert where == "shop.work:jobs"


def test_an_absolute_path(tmp_path):
    write(tmp_path, {"shop/work.py": MAKES})
    app, where = find("/", str(tmp_path / "shop" / "work.py"))
    # Without __init__.py and outside the path its own folder is where a script starts.
    assert where == "work:jobs"
    assert app.made_in == "work"


def test_an_attribute_inside_another(tmp_path):
    write(
        tmp_path, {"shop.py": "from dock import Longshore\nclass site:\n    jobs = Longshore()\n"}
    )
    assert find(tmp_path, "shop:site.jobs")[1] == "shop:site.jobs"


def test_a_factory_is_called(tmp_path):
    write(
        tmp_path, {"shop.py": "from dock import Longshore\ndef create():\n    return Longshore()\n"}
    )
    app, where = find(tmp_path, "shop:create()")
    assert isinstance(app, Longshore)
    assert where == "shop:create()"


def test_two_names_of_one_object_are_no_ambiguity(tmp_path):
    write(tmp_path, {"shop.py": f"{MAKES}app = jobs\n"})
    assert find(tmp_path, "shop")[1] == "shop:jobs"


# --- names ----------------------------------------------------------------------------------


def test_a_file_in_a_package_is_named_from_the_packages_root(tmp_path):
    write(tmp_path, {"backend/shop/__init__.py": "", "backend/shop/work.py": MAKES})
    app, where = find(tmp_path, "backend/shop/work.py")
    assert (app.made_in, where) == ("shop.work", "shop.work:jobs")


def test_a_package_itself_can_hold_it(tmp_path):
    write(tmp_path, {"shop/__init__.py": MAKES})
    assert find(tmp_path, "shop/__init__.py")[1] == "shop:jobs"


def test_a_file_under_src_is_named_without_src(tmp_path):
    write(tmp_path, {"src/shop/work.py": MAKES})
    assert find(tmp_path, "src/shop/work.py")[1] == "shop.work:jobs"


def test_a_module_under_src_is_found_by_its_name(tmp_path):
    write(tmp_path, {"src/shop/work.py": MAKES})
    assert find(tmp_path, "shop.work:jobs")[1] == "shop.work:jobs"


def test_a_path_and_a_name_give_the_same_object(tmp_path):
    write(tmp_path, {"shop/work.py": MAKES})
    assert find(tmp_path, "shop.work")[0] is find(tmp_path, "shop/work.py")[0]


def test_a_file_that_was_imported_is_not_imported_again(tmp_path):
    write(tmp_path, {"shop/work.py": MAKES})
    sys.path.insert(0, str(tmp_path / "shop"))
    work = importlib.import_module("work")
    assert find(tmp_path, "shop/work.py") == (work.jobs, "work:jobs")


def test_a_script_is_imported_beside_itself_running_as_main(tmp_path, monkeypatch):
    write(tmp_path, {"work.py": MAKES})
    main = types.ModuleType("__main__")
    main.__file__ = str(tmp_path / "work.py")
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert find(tmp_path, "work.py")[0].made_in == "work"


def test_a_name_with_a_hyphen_is_as_good(tmp_path):
    (tmp_path / "my-jobs.py").write_text(MAKES)
    assert find(tmp_path, "my-jobs.py")[1] == "my-jobs:jobs"


@pytest.mark.parametrize("name", ["queue.py", "sys.py", "my.jobs.py"])
def test_a_file_that_cannot_have_its_own_name_is_refused(tmp_path, name):
    (tmp_path / name).write_text(MAKES)
    assert "Rename the file" in refused(AppNotFound, tmp_path, name)


def test_the_current_folder_is_put_first_as_python_m_does(tmp_path):
    write(tmp_path, {"shop.py": f"import helper\n{MAKES}", "helper.py": ""})
    find(tmp_path, "shop")
    assert sys.path[0] == str(tmp_path)


# --- where it is looked for -------------------------------------------------------------------


def test_what_was_asked_for_wins_then_the_variable_then_the_file_then_the_usual_names(tmp_path):
    write(
        tmp_path,
        {
            "asked.py": MAKES,
            "variable.py": MAKES,
            "named.py": MAKES,
            "jobs.py": MAKES,
            "pyproject.toml": "[tool.longshore]\napp = 'named:jobs'\n",
        },
    )
    environ = {"LONGSHORE_APP": "variable:jobs"}
    assert find(tmp_path, "asked", environ=environ)[1] == "asked:jobs"
    assert find(tmp_path, environ=environ)[1] == "variable:jobs"
    assert find(tmp_path)[1] == "named:jobs"
    (tmp_path / "pyproject.toml").write_text("")
    assert find(tmp_path, environ={"LONGSHORE_APP": ""})[1] == "jobs:jobs"


@pytest.mark.parametrize("app", ["shop.work:jobs", "shop/work.py:jobs"])
def test_the_file_of_a_folder_above_counts_from_there(tmp_path, app):
    write(tmp_path, {"shop/work.py": MAKES, "pyproject.toml": f"[tool.longshore]\napp = '{app}'\n"})
    assert find(tmp_path / "shop")[1] == "shop.work:jobs"


def test_the_usual_names_in_their_order(tmp_path):
    write(
        tmp_path, {"jobs.py": "x = 1\n", "main.py": MAKES, "tasks.py": MAKES, "src/app.py": MAKES}
    )
    assert find(tmp_path)[1] == "main:jobs"


def test_the_usual_names_in_src(tmp_path):
    write(tmp_path, {"src/app.py": MAKES})
    assert find(tmp_path)[1] == "app:jobs"


def test_nothing_anywhere_says_where_it_was_looked_for(tmp_path):
    message = refused(AppNotFound, tmp_path)
    for part in ("-A", "LONGSHORE_APP", "pyproject.toml", "jobs.py, app.py", str(tmp_path)):
        assert part in message


def test_a_broken_project_file_is_a_configuration_error(tmp_path):
    write(tmp_path, {"jobs.py": MAKES, "pyproject.toml": "[tool.longshore\n"})
    assert "line 1" in refused(ConfigurationError, tmp_path)
    assert find(tmp_path, "jobs")[1] == "jobs:jobs"


def test_app_in_the_project_file_must_be_text(tmp_path):
    write(tmp_path, {"pyproject.toml": "[tool.longshore]\napp = 3\n"})
    assert "app=3" in refused(ConfigurationError, tmp_path)


# --- mistakes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("", "does not name"),
        (":", "does not name"),
        ("shop:", "does not name"),
        (":jobs", "does not name"),
        ("shop:a:b", "does not name"),
        ("shop..work", "names no module"),
        (".shop", "names no module"),
        ("shop/work:jobs", "names no module"),
        ("nosuch.module", "no module nosuch"),
        ("shop.nosuch", "no module shop.nosuch"),
        ("shop.work.deep", "no module shop.work.deep"),
        ("nosuch.py", "no file"),
        ("shop", "holds no Longshore"),
        ("shop.work:job", "There is shop.work:jobs"),
        ("shop.work:jobs.x", "no attribute jobs.x"),
        ("shop.tools:creat", "Did you mean create?"),
        ("shop.tools:create", "If it makes one, write shop.tools:create()"),
        ("shop.tools:wrong()", "is of type int, not a Longshore"),
        ("shop.tools:number", "is of type int, not a Longshore"),
        ("shop.tools:number()", "not a function"),
        ("shop.two", "shop.two:jobs and shop.two:second"),
    ],
)
def test_a_wrong_specification_says_what_is_wrong(tmp_path, spec, says):
    write(
        tmp_path,
        {
            "shop/__init__.py": "",
            "shop/work.py": MAKES,
            "shop/tools.py": "number = 3\ndef create(): ...\ndef wrong():\n    return 3\n",
            "shop/two.py": f"{MAKES}second = Longshore()\n",
        },
    )
    assert says in refused(AppNotFound, tmp_path, spec)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "def open_up():\n    raise KeyError('key 7')\nopen_up()\n",
            ["KeyError: 'key 7'", "line 2"],
        ),
        ("import nosuch_library\n", ["No module named 'nosuch_library'", "line 1"]),
        ("from dock import nothing\n", ["cannot import name 'nothing'"]),
        ("def f(:\n", ["SyntaxError", "work.py", "line 1"]),
        ("raise SystemExit(3)\n", ["SystemExit: 3"]),
        ("x = 'é\n", ["SyntaxError"]),
        ("def f(): f()\nf()\n", ["RecursionError"]),
        ("class E(Exception):\n    def __str__(self): raise E\nraise E\n", ["str() failed"]),
        ("{}.x\n", ["AttributeError", "line 1"]),
        ("raise ValueError\n", ["ValueError", "line 1"]),
    ],
    ids=lambda value: str(value)[:20],
)
@pytest.mark.parametrize("spec", ["work:jobs", "work.py"])
def test_an_import_that_raises_shows_the_end_of_the_users_traceback_alone(
    tmp_path, spec, text, says
):
    write(tmp_path, {"work.py": text})
    message = refused(AppImportFailed, tmp_path, spec)
    for part in [*says, "importing work failed"]:
        assert part in message
    assert "importlib" not in message
    assert "discovery.py" not in message
    assert len(message.splitlines()) < 25


def test_what_a_parent_package_raises_is_shown(tmp_path):
    write(tmp_path, {"shop/__init__.py": "raise KeyError('parent')\n", "shop/work.py": MAKES})
    for spec in ("shop.work", "shop/work.py"):
        assert "KeyError: 'parent'" in refused(AppImportFailed, tmp_path, spec)


def test_what_a_factory_raises_is_shown(tmp_path):
    write(tmp_path, {"work.py": "def create():\n    return {}['key 7']\n"})
    message = refused(AppImportFailed, tmp_path, "work:create()")
    assert "KeyError: 'key 7'" in message
    assert "return {}['key 7']" in message


@pytest.mark.parametrize("error", [ConfigurationError, StoreUnavailable, KeyboardInterrupt])
def test_errors_with_an_exit_code_of_their_own_pass(tmp_path, error):
    text = f"from {error.__module__} import {error.__name__}\nraise {error.__name__}('mine')\n"
    write(tmp_path, {"work.py": text})
    with pytest.raises(error, match=r"^mine$"):
        find(tmp_path, "work")


# --- time -----------------------------------------------------------------------------------

STUCK = "import threading\ndef connect():\n    threading.Event().wait()\nconnect()\n"


@pytest.mark.parametrize("text", [STUCK, "def connect():\n    while True: ...\nconnect()\n"])
def test_an_import_that_takes_too_long_is_given_up_and_says_where_it_was(tmp_path, text):
    write(tmp_path, {"work.py": text})
    message = refused(AppImportFailed, tmp_path, "work", import_time=0.1)
    assert "longer than 0.1 s" in message
    assert "in connect" in message
    assert "_TooLong" not in message


def test_somebody_elses_timer_goes_on(tmp_path):
    write(tmp_path, {"work.py": MAKES})
    handler = signal.getsignal(signal.SIGALRM)
    left, interval = signal.setitimer(signal.ITIMER_REAL, 40)
    try:
        find(tmp_path, "work")
        assert 30 < signal.getitimer(signal.ITIMER_REAL)[0] <= 40
        assert signal.getsignal(signal.SIGALRM) is handler
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, interval)


def test_no_timer_is_left_behind(tmp_path):
    write(tmp_path, {"work.py": MAKES})
    left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        find(tmp_path, "work")
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, interval)


def test_another_thread_can_load(tmp_path):
    write(tmp_path, {"work.py": MAKES})
    found = []
    thread = threading.Thread(target=lambda: found.append(find(tmp_path, "work")[1]))
    thread.start()
    thread.join(10)
    assert found == ["work:jobs"]


def test_the_environment_is_not_looked_at_by_itself(tmp_path, monkeypatch):
    write(tmp_path, {"jobs.py": MAKES})
    monkeypatch.setenv("LONGSHORE_APP", "nosuch")
    assert find(tmp_path)[1] == "jobs:jobs"
    assert os.environ["LONGSHORE_APP"] == "nosuch"


REAL = """\
from longshore import Longshore
jobs = Longshore("memory://")
@jobs.job
def send(number: int) -> int:
    return number
print(send.kind)
"""


def test_a_job_has_one_kind_whether_its_file_is_run_or_imported(tmp_path, capsys):
    write(tmp_path, {"work.py": REAL})
    ran = subprocess.run(
        [sys.executable, "work.py"],
        check=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )
    _, where = load("work.py", environ={}, cwd=str(tmp_path), instance_of=longshore.Longshore)
    assert where == "work:jobs"
    assert ran.stdout == capsys.readouterr().out == "work.send\n"
