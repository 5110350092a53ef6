import pytest
from pydantic import Field, ValidationError

from nearfar.core.config import Config, fields_of, nearest
from nearfar.core.errors import BadInput


class Inner(Config):
    temperature: float = Field(default=0.05, gt=0)
    epochs: int = 1


class Other(Config):
    margin: float = 1.0


class Outer(Config):
    inner: Inner = Inner()
    maybe: Inner | None = None
    several: list[Inner] = Field(default_factory=list)
    named: dict[str, Inner] = Field(default_factory=dict)
    either: Inner | Other = Inner()
    base: str = "minilm"


class Needy(Config):
    data: str


def complaint(values, model=Outer) -> str:
    with pytest.raises(BadInput) as caught:
        model.parse(values, "nearfar.yaml")
    message = str(caught.value)
    assert message.startswith("nearfar.yaml: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix("nearfar.yaml: ")


def test_good_values_are_kept():
    parsed = Outer.parse({"inner": {"epochs": 3}, "several": [{"temperature": 0.1}]}, "x")
    assert (parsed.inner.epochs, parsed.inner.temperature, parsed.several[0].temperature) == (3, 0.05, 0.1)


def test_config_is_frozen():
    with pytest.raises(ValidationError):
        Inner().epochs = 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"bsae": "x"}, "expected a known key, found 'bsae'; did you mean 'base'?"),
        ({"inner": {"temprature": 1}}, "expected a known key, found 'inner.temprature'; did you mean 'temperature'?"),
        ({"maybe": {"epoch": 1}}, "expected a known key, found 'maybe.epoch'; did you mean 'epochs'?"),
        ({"several": [{}, {"epoch": 1}]}, "expected a known key, found 'several.1.epoch'; did you mean 'epochs'?"),
        ({"named": {"a": {"epoch": 1}}}, "expected a known key, found 'named.a.epoch'; did you mean 'epochs'?"),
        ({"named": {"inner": {"epoch": 1}}}, "expected a known key, found 'named.inner.epoch'; did you mean 'epochs'?"),
        (
            {"either": {"marginn": 1}},
            "expected a known key, found 'either.Inner.marginn'; choose one of: epochs, temperature",
        ),
        ({"inner": {"zzz": 1}}, "expected a known key, found 'inner.zzz'; choose one of: epochs, temperature"),
        ({1: "x"}, "expected a known key, found '1'; choose one of: base, either, inner, maybe, named, several"),
        ({"bas\n": 1}, r"expected a known key, found 'bas\n'; did you mean 'base'?"),
    ],
)
def test_unknown_keys_name_the_nearest_right_one(values, expected):
    assert complaint(values) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"inner": {"temperature": "warm"}},
            ("'inner.temperature': expected a valid number, found 'warm'; change 'inner.temperature'"),
        ),
        (
            {"inner": {"temperature": 0}},
            "'inner.temperature': expected greater than 0, found '0'; change 'inner.temperature'",
        ),
        ({"base": 3}, "'base': expected a valid string, found '3'; change 'base'"),
        (
            {"several": [{"epochs": None}]},
            "'several.0.epochs': expected a valid integer, found 'None'; change 'several.0.epochs'",
        ),
        (
            {"inner": 5},
            "'inner': expected keys with values, found '5'; choose keys from: temperature, epochs",
        ),
    ],
)
def test_wrong_values_are_named_with_their_path(values, expected):
    assert complaint(values) == expected


@pytest.mark.parametrize("values", [None, [], "text", 3])
def test_a_file_without_keys_is_told_which_keys_there_are(values):
    assert (
        complaint(values, Inner)
        == f"expected keys with values, found '{values}'; choose keys from: temperature, epochs"
    )


def test_a_missing_key_is_asked_for():
    assert complaint({}, Needy) == "expected the key 'data', found none; add 'data'"


def test_a_long_value_is_shortened():
    assert len(complaint({"inner": {"epochs": "x\n" * 10_000}})) < 250


def test_nearest_lists_all_when_none_is_near():
    assert nearest("qqq", ["beta", "alpha"]) == "choose one of: alpha, beta"


def test_fields_of_follows_lists_mappings_and_unions():
    assert fields_of(Outer, ("several", 0)) == ["temperature", "epochs"]
    assert fields_of(Outer, ("named", "key")) == ["temperature", "epochs"]
    assert fields_of(Outer, ("either",)) == ["temperature", "epochs", "margin"]
    assert fields_of(Outer, ("either", "Other")) == ["margin"]
