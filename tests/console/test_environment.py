from __future__ import annotations

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from console import environment
from console.environment import SERVER_GONE, ConfigurationError, database_from_url


@pytest.fixture(autouse=True)
def no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THING", raising=False)
    monkeypatch.delenv("THING_FILE", raising=False)


@pytest.mark.parametrize("word", ["1", "true", "YES", " on "])
def test_these_words_mean_true(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING", word)

    assert environment.env_bool("THING") is True


@pytest.mark.parametrize("word", ["0", "False", "no", "OFF"])
def test_these_words_mean_false(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING", word)

    assert environment.env_bool("THING", default=True) is False


def test_any_other_word_is_no_boolean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING", "maybe")

    with pytest.raises(ConfigurationError, match=r"^THING must be true or false, not 'maybe'\.$"):
        environment.env_bool("THING")


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING", "")

    assert environment.env_int("THING", default=7) == 7
    assert environment.env_list("THING", default=["a"]) == ["a"]


@pytest.mark.parametrize(
    ("value", "complaint"),
    [("8o00", "must be a whole number, not '8o00'"), ("0", "must be from 1 to 65535, not 0"), ("65536", "not 65536")],
)
def test_a_number_that_makes_no_sense_is_refused(value: str, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING", value)

    with pytest.raises(ConfigurationError, match=complaint):
        environment.env_int("THING", default=8000, minimum=1, maximum=65535)


def test_a_list_is_words_between_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING", "a.example, b.example,,")

    assert environment.env_list("THING") == ["a.example", "b.example"]


def test_a_setting_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "thing").write_text("from the file\n")
    monkeypatch.setenv("THING_FILE", str(tmp_path / "thing"))

    assert environment.env_str("THING") == "from the file"


def test_a_setting_given_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING", "a")
    monkeypatch.setenv("THING_FILE", str(tmp_path / "thing"))

    with pytest.raises(ConfigurationError, match="THING and THING_FILE are both set"):
        environment.env_str("THING")


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING_FILE", str(tmp_path / "gone"))

    with pytest.raises(ConfigurationError, match=r"^THING_FILE names .*/gone, which cannot be read: No such file"):
        environment.env_str("THING")


def test_a_short_secret_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING", "hunter2")

    with pytest.raises(ConfigurationError, match="at least 32 characters") as caught:
        environment.env_secret("THING")

    assert "hunter2" not in str(caught.value)


def test_a_secret_without_default_must_be_set() -> None:
    with pytest.raises(ConfigurationError, match="^THING must be set"):
        environment.env_secret("THING")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:p%40ss%2Fword@db.example:6543/clarion",
        "postgres://ann@[::1]:5433/with%20space",
        "postgresql://ann@/clarion?host=/var/run/postgresql",
        "postgresql://%2Fvar%2Frun%2Fpostgresql/clarion?user=ann&password=secret",
        "postgresql://db.example/clarion?sslmode=verify-full&sslrootcert=/etc/ca.pem&options=-c%20jit%3Doff",
    ],
)
def test_a_database_url_means_what_libpq_takes_it_for(url: str) -> None:
    entry = database_from_url(url)

    wanted = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    given = {libpq: entry[django] for django, libpq in wanted.items() if entry[django]}
    options = entry["OPTIONS"]
    assert isinstance(options, dict)
    assert {**given, **options} == SERVER_GONE | conninfo_to_dict(url)


@pytest.mark.parametrize("url", ["sqlite:///clarion.db", "mysql://root@localhost/clarion", "clarion"])
def test_another_database_than_postgresql_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="^DATABASE_URL must start with postgresql:// .* PostgreSQL only"):
        database_from_url(url)


@pytest.mark.parametrize("url", ["postgresql://localhost", "postgresql://localhost/"])
def test_a_database_url_names_its_database(url: str) -> None:
    with pytest.raises(ConfigurationError, match="^DATABASE_URL must end with the name of a database"):
        database_from_url(url)


def test_a_port_that_is_no_number_is_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match="^DATABASE_URL is not a URL: Port could not be cast"):
        database_from_url("postgresql://u:hunter2@localhost:54x2/clarion")


def test_a_path_is_absolute_whatever_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THING", "data")

    assert environment.env_path("THING", tmp_path) == tmp_path / "data"


def test_a_service_address_is_http_or_https(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING", "fcm.googleapis.com")

    with pytest.raises(ConfigurationError, match="^THING must be an http or https address"):
        environment.env_url("THING", default="https://fcm.googleapis.com/")


def test_a_service_address_loses_its_final_slash() -> None:
    assert environment.env_url("THING", default="https://fcm.googleapis.com/") == "https://fcm.googleapis.com"
