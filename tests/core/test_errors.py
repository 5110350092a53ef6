from pathlib import Path

import pytest

from nearfar.core.errors import (
    BadInput,
    DimensionMismatch,
    FingerprintMismatch,
    Interrupted,
    MissingExtra,
    NearfarError,
    excerpt,
)


def test_bad_input_names_place_expectation_finding_and_way_out():
    error = BadInput.at(Path("a.csv"), expected="a query", found="none", do="fill it in", line=7)
    assert str(error) == "a.csv:7: expected a query, found none; fill it in"


def test_bad_input_without_a_line_number():
    assert str(BadInput.at("--base", expected="x", found="y", do="z")) == "--base: expected x, found y; z"


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\u2028"])
def test_bad_input_stays_on_one_line(line_break):
    error = BadInput.at(f"odd{line_break}name", expected="x", found=f"y{line_break}", do="z")
    assert len(str(error).splitlines()) == 1


def test_missing_extra_names_the_install_command():
    assert str(MissingExtra.of("reading the hub", "hub")).endswith("pip install 'nearfar[hub]'")


@pytest.mark.parametrize("kind", [BadInput, FingerprintMismatch, DimensionMismatch, MissingExtra])
def test_input_errors_exit_with_two(kind):
    assert issubclass(kind, NearfarError)
    assert kind.exit_code == 2


def test_interruption_exits_as_shells_expect():
    assert Interrupted.exit_code == 130


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("short", "'short'"),
        ("it's", '"it\'s"'),
        ("a\nb", r"'a\nb'"),
        ("x" * 10, "'xxxxxxxxxx'"),
        ("x" * 11, "'xxxxxxxxxx…'"),
        ("it's too long", '"it\'s too l…"'),
    ],
)
def test_excerpt_quotes_on_one_line_and_shortens(text, shown):
    assert excerpt(text, limit=10) == shown
