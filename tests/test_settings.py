"""Settings: values, layers, origins, files (rows B35, B36, B38, B39, B41, B46, B50).

Rows of configuration that are tested elsewhere or later: B40 with the worker's queues; B42 and B48
(SQLite) with the SQLite store; B43 and the key file of B50 with encryption; B44 when signing comes;
B45 with schedules; the pools of B39, B47, B48 (servers) and B49 with the server stores.
"""

import os
import sys
import warnings
from datetime import timedelta

import pytest

from longshore import config
from longshore.core.settings import DEFAULTS, Layer, build
from longshore.errors import (
    ConfigurationError,
    LongshoreWarning,
)

DAY = 86_400.0


def arguments(**values):
    return build([Layer("arguments", values)])


def environment(**values):
    return build([Layer("environment", values, text=True)])


def project(tmp_path, text):
    (tmp_path / "pyproject.toml").write_text(text)
    return str(tmp_path / "jobs.py")


def refused(run, *args, **kwargs):
    with pytest.raises(ConfigurationError) as caught:
        run(*args, **kwargs)
    return str(caught.value)


# --- values ---------------------------------------------------------------------------------


def test_defaults():
    settings = build([])
    assert str(settings.store) == "sqlite:///longshore.db"
    assert (settings.lease, settings.poll_interval, settings.shutdown_timeout) == (15, 1, 25)
    kept = (settings.keep_succeeded, settings.keep_cancelled, settings.keep_dead)
    assert kept == (DAY, 7 * DAY, 90 * DAY)
    assert (settings.max_payload, settings.default_queue) == (1_048_576, "default")
    assert (settings.prefix, settings.durability) == ("longshore_", "full")
    assert set(settings.sources) == set(DEFAULTS)
    assert set(settings.sources.values()) == {"default"}


def test_settings_are_frozen():
    settings = build([])
    with pytest.raises(AttributeError):
        settings.lease = 1.0


def test_retention_in_the_stores_unit_0_for_nothing_none_for_ever():
    retention = arguments(keep_succeeded=0, keep_cancelled=None, keep_dead="2d").retention
    assert (retention.succeeded, retention.cancelled) == (0, None)
    assert retention.dead == 2 * 86_400_000_000


@pytest.mark.parametrize("text", ["forever", "Forever", "none"])
def test_for_ever_can_be_said_in_text(text):
    assert environment(keep_dead=text).keep_dead is None
    assert arguments(keep_dead=text).keep_dead is None


def test_digits_alone_are_a_number_in_the_environment_only():
    settings = environment(lease="20", max_payload="2048", keep_dead="0", poll_interval="0.5")
    assert (settings.lease, settings.max_payload) == (20, 2048)
    assert (settings.keep_dead, settings.poll_interval) == (0, 0.5)
    assert "max_payload='2048'" in refused(arguments, max_payload="2048")
    assert "lease='20'" in refused(arguments, lease="20")


def test_an_empty_variable_counts_as_not_given():
    assert environment(lease="", store="").sources["lease"] == "default"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"lease": "5 parsecs"}, ["lease='5 parsecs'", '"1h30m"']),
        ({"lease": "1h30"}, ["lease='1h30'", '"1h30m"']),
        ({"lease": True}, ["lease=True", "timedelta"]),
        ({"lease": None}, ["lease=None"]),
        ({"lease": -15}, ["lease=-15", ">= 0"]),
        ({"poll_interval": 0}, ["poll_interval=0", ">= 1 ms"]),
        ({"shutdown_timeout": "2d"}, ["shutdown_timeout='2d'", "<= 1 day"]),
        ({"keep_dead": -1}, ["keep_dead=-1", "None"]),
        ({"keep_dead": [1]}, ["keep_dead=[1]", "0 keeps nothing"]),
        ({"max_payload": "10"}, ["max_payload='10'", "whole number of bytes"]),
        ({"max_payload": True}, ["max_payload=True"]),
        ({"max_payload": 1.5}, ["max_payload=1.5"]),
        ({"max_payload": 1023}, ["1024"]),
        ({"max_payload": 10**12}, ["67108864"]),
        ({"default_queue": "a b"}, ["default_queue='a b'", "lower-case"]),
        ({"default_queue": 7}, ["default_queue=7"]),
        ({"prefix": "1x"}, ["prefix='1x'"]),
        ({"prefix": 'a"; drop'}, ["lower-case letters"]),
        ({"prefix": "x" * 49}, ["1 to 48"]),
        ({"prefix": ""}, ["prefix=''"]),
        ({"durability": "fulll"}, ["durability='fulll'", "Did you mean full?"]),
        ({"durability": 1}, ['"full", "normal" or "replicated"']),
        ({"store": 5}, ["text, not int"]),
        ({"store": None}, ["text, not NoneType"]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_value_names_field_value_forms_and_origin(values, says):
    message = refused(arguments, **values)
    for part in [*says, "arguments"]:
        assert part in message


def test_a_lease_shorter_than_three_heartbeats_says_the_inequality():
    message = refused(arguments, lease="2s")
    assert "lease >= 3 x heartbeat" in message
    assert "2 s < 3 x 1 s" in message
    assert arguments(lease=timedelta(seconds=3)).lease == 3


# --- layers ---------------------------------------------------------------------------------


def test_the_strongest_layer_wins_and_each_value_keeps_its_origin(tmp_path):
    file = project(
        tmp_path,
        "[tool.longshore]\nlease='40s'\npoll_interval=2\nkeep_dead='1d'\nprefix='file_'\n"
        "app='jobs:jobs'\n",
    )
    environ = {"LONGSHORE_LEASE": "30s", "LONGSHORE_POLL_INTERVAL": "3", "HOME": "/"}
    settings = config.read({"store": "memory://", "lease": 20}, file, environ)
    assert (settings.lease, settings.poll_interval) == (20, 3)
    assert (settings.keep_dead, settings.prefix) == (DAY, "file_")
    origin = f"{tmp_path / 'pyproject.toml'} [tool.longshore]"
    assert settings.sources["lease"] == "arguments"
    assert settings.sources["poll_interval"] == "LONGSHORE_POLL_INTERVAL"
    assert settings.sources["prefix"] == origin
    assert settings.sources["max_payload"] == "default"
    rows = {name: (value, source) for name, value, source in settings.rows()}
    assert rows["lease"] == ("20 s", "arguments")
    assert rows["keep_dead"] == ("1 day", origin)
    assert list(rows) == list(DEFAULTS)


def test_none_as_an_argument_wins_over_a_weaker_layer(tmp_path):
    file = project(tmp_path, "[tool.longshore]\nkeep_dead='1d'\nstore='memory://'\n")
    assert config.read({"keep_dead": None}, file, {}).keep_dead is None


@pytest.mark.parametrize(
    ("name", "suggests"), [("leese", "lease"), ("Store", "store"), ("keep_death", "keep_dead")]
)
def test_an_unknown_argument_suggests_the_nearest(name, suggests):
    message = refused(arguments, **{name: 1})
    assert f"{name} is not a setting" in message
    assert f"Did you mean {suggests}?" in message


@pytest.mark.parametrize(
    "text", ["[tool.longshore]\npoll_intervall='1s'", "[tool.longshore.poll_intervall]\nx=1"]
)
def test_an_unknown_key_or_section_of_the_file_suggests_the_nearest(tmp_path, text):
    message = refused(config.read, {}, project(tmp_path, text), {})
    assert "Did you mean poll_interval?" in message
    assert str(tmp_path / "pyproject.toml") in message


def test_an_unknown_variable_is_a_warning_that_suggests_the_nearest():
    with pytest.warns(LongshoreWarning, match="LONGSHORE_LEESE.*Did you mean LONGSHORE_LEASE"):
        settings = config.read({"store": "memory://"}, None, {"LONGSHORE_LEESE": "30s"})
    assert settings.lease == 15


def test_the_warning_points_at_who_makes_the_object():
    def constructor():
        config.read({"store": "memory://"}, None, {"LONGSHORE_X": "1"})

    with pytest.warns(LongshoreWarning) as caught:
        constructor()
    line = test_the_warning_points_at_who_makes_the_object.__code__.co_firstlineno + 5
    assert (caught[0].filename, caught[0].lineno) == (__file__, line)


def test_the_variables_of_the_command_line_and_of_others_are_no_warning():
    environ = {"LONGSHORE_APP": "a:b", "LONGSHORE_THREADS": "4", "MY_LONGSHORE_X": "1"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config.read({"store": "memory://"}, None, environ)


def test_a_wrong_variable_is_named_as_the_origin():
    environ = {"LONGSHORE_LEASE": "5 parsecs"}
    assert "LONGSHORE_LEASE" in refused(config.read, {"store": "memory://"}, None, environ)


# --- the store's address --------------------------------------------------------------------


def test_the_store_can_be_named_by_another_variable():
    environ = {"LONGSHORE_STORE": "env:REDIS_URL", "REDIS_URL": "redis://:s3cr3t@cache:6379/1"}
    settings = config.read({}, None, environ)
    store = settings.store
    assert (store.store, store.host, store.port, store.path) == ("redis", "cache", 6379, "1")
    assert settings.sources["store"] == "LONGSHORE_STORE, env:REDIS_URL"


def test_a_bad_address_has_an_origin_too():
    environ = {"LONGSHORE_STORE": "env:REDIS_URL", "REDIS_URL": "redis://:s3cr3t"}
    message = refused(config.read, {}, None, environ)
    assert "LONGSHORE_STORE, env:REDIS_URL" in message
    assert "s3cr3t" not in message


@pytest.mark.parametrize("environ", [{}, {"REDIS_URL": ""}])
def test_a_variable_that_is_not_set_is_named(environ):
    assert "env:REDIS_URL" in refused(config.read, {"store": "env:REDIS_URL"}, None, environ)


# --- files ----------------------------------------------------------------------------------


def test_a_relative_path_starts_at_the_folder_of_the_project_file(tmp_path, monkeypatch):
    project(tmp_path, "[project]\nname='shop'\n")
    module = tmp_path / "src" / "shop" / "jobs.py"
    monkeypatch.chdir("/")
    settings = config.read({"store": "sqlite:///data/jobs.db"}, str(module), {})
    assert settings.store.path == str(tmp_path / "data" / "jobs.db")
    assert str(tmp_path / "data" / "jobs.db") in str(settings.store)


def test_without_a_project_file_it_starts_at_the_modules_folder(tmp_path, monkeypatch):
    if config.project_file(str(tmp_path)) is not None:
        pytest.fail("a pyproject.toml lies above the folder for temporary files")
    monkeypatch.chdir("/")
    settings = config.read({}, str(tmp_path / "jobs.py"), {})
    assert settings.store.path == str(tmp_path / "longshore.db")


def test_without_a_file_a_relative_path_is_refused_and_an_absolute_one_is_not(tmp_path):
    assert "absolute path" in refused(config.read, {}, None, {})
    settings = config.read({"store": f"sqlite:///{tmp_path}/../jobs.db"}, None, {})
    assert settings.store.path == str(tmp_path.parent / "jobs.db")


def test_the_nearest_project_file_is_the_one(tmp_path):
    project(tmp_path, "[tool.longshore]\nlease='40s'\n")
    inner = tmp_path / "inner"
    inner.mkdir()
    project(inner, "")
    assert config.read({}, str(inner / "jobs.py"), {}).lease == 15
    assert config.read({}, str(tmp_path / "jobs.py"), {}).lease == 40


def test_a_byte_order_mark_is_no_obstacle(tmp_path):
    (tmp_path / "pyproject.toml").write_bytes(b"\xef\xbb\xbf[tool.longshore]\nlease='40s'\n")
    assert config.read({}, str(tmp_path / "jobs.py"), {}).lease == 40


def a_folder(path):
    path.mkdir()


def a_pipe(path):
    os.mkfifo(path)


def a_dangling_link(path):
    path.symlink_to("nowhere.toml")


def a_loop(path):
    path.symlink_to(path)


def too_large(path):
    path.write_bytes(b"#" * 1_000_001)


def latin_1(path):
    path.write_bytes("# ok\na = 'é'\n".encode("latin-1"))


def utf_16(path):
    path.write_text("a = 1", encoding="utf-16")


def a_syntax_error(path):
    path.write_text("[tool.longshore]\nlease = 15s\n")


def cut_off(path):
    path.write_text("[tool.longshore]\nlease = ")


def deep(path):
    path.write_text("a = " + "[" * 100_000)


def a_huge_number(path):
    path.write_text("a = " + "9" * 5_000)


def a_value_for_a_table(path):
    path.write_text("[tool]\nlongshore = 1")


def no_tool_table(path):
    path.write_text("tool = 1")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (a_folder, "is not a file"),
        (a_pipe, "is not a file"),
        (a_dangling_link, "No such file"),
        (a_loop, "symbolic links"),
        (too_large, "larger than 1 MB"),
        (latin_1, "not UTF-8: line 2, column 6"),
        (utf_16, "not UTF-8: line 1, column 1"),
        (a_syntax_error, "line 2, column 11"),
        (cut_off, "line 2, column 9"),
        (deep, "nested too deeply"),
        (a_huge_number, "line 1"),
        (a_value_for_a_table, "must be a table"),
        (no_tool_table, "must be a table"),
    ],
)
def test_a_broken_file_is_named_with_the_place(tmp_path, make, says):
    make(tmp_path / "pyproject.toml")
    message = refused(config.read, {}, str(tmp_path / "jobs.py"), {})
    assert says in message
    assert str(tmp_path / "pyproject.toml") in message


def test_a_file_that_may_not_be_opened_is_named(tmp_path, monkeypatch):
    file = project(tmp_path, "")

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    # The tests may run as root, whom no mode keeps out.
    monkeypatch.setattr("builtins.open", denied)
    assert "Permission denied" in refused(config.read, {}, file, {})


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
nas:/deep /vol/deep/er nfs rw 0 0
/dev/sdc1 /vol ext4 rw 0 0
nas:/old /mnt nfs rw 0 0
/dev/sdd1 /mnt ext4 rw 0 0
nas:/data /data nfs4 rw 0 0
/dev/sdb1 /data/local ext4 rw 0 0
nas:/x /srv/my\\040data cifs rw 0 0
garbage
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/jobs.db", None),
        ("/data/a/jobs.db", "nfs4"),
        ("/database/jobs.db", None),
        ("/vol/deep/er/jobs.db", "nfs"),
        ("/mnt/jobs.db", None),
        ("/data/local/jobs.db", None),
        ("/srv/my data/jobs.db", "cifs"),
    ],
)
def test_network_file_systems_are_recognised(path, kind):
    assert config.network_filesystem(path, MOUNTS) == kind


def test_a_sqlite_file_on_a_network_file_system_is_refused(monkeypatch):
    monkeypatch.setattr(config, "_mounts", lambda: MOUNTS)
    message = refused(config.read, {"store": "sqlite:////data/a/jobs.db"}, None, {})
    assert "/data/a/jobs.db" in message
    assert "nfs4" in message


def test_reading_settings_needs_no_toml_parser_without_a_file(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tomllib", None)  # importing it would raise
    assert config.read({"store": "memory://"}, str(tmp_path / "jobs.py"), {}).lease == 15
