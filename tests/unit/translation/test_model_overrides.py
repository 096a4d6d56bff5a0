"""A caller's facts about models, over the built-in ones (docs/mapping.md#models)."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import pickle
from typing import Any

import pytest

from adapter.translation import Policy
from adapter.translation.model_profiles import BUILT_IN_PROFILES, ModelProfiles


def test_what_an_override_leaves_out_stays_as_it_is() -> None:
    facts = ModelProfiles.from_mapping(
        {"gpt-4o*": {"named_choice_stops": False, "source": "seen here"}}
    )
    profile, built_in = facts.profile("gpt-4o"), BUILT_IN_PROFILES.profile("gpt-4o")
    assert (
        dataclasses.replace(profile, named_choice_stops=True, sources=built_in.sources) == built_in
    )
    assert profile.sources[0] == "seen here"
    assert facts.profile("gpt-5") == BUILT_IN_PROFILES.profile("gpt-5")


def test_the_first_override_counts() -> None:
    facts = ModelProfiles.from_mapping(
        {
            "my-*": {"logprobs_key": False},
            "my-model": {"logprobs_key": True, "chat_only": True},
            "*": {"shutdown": "2030-01-01"},
        }
    )
    profile = facts.profile("my-model")
    assert (profile.logprobs_key, profile.chat_only, profile.shutdown) == (
        False,
        True,
        "2030-01-01",
    )
    assert facts.shutdown("gpt-4o") == "2030-01-01"


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("vendor/model*", "Vendor/Model-1"),
        ("model*", "vendor/model-1"),
        ("FT:gpt-4o:org*", "ft:gpt-4o:org::id"),
        ("gpt-4o", "ft:gpt-4o:org::id"),
    ],
)
def test_an_override_knows_names_as_they_are_written(pattern: str, name: str) -> None:
    assert ModelProfiles.from_mapping({pattern: {"chat_only": True}}).profile(name).chat_only


def test_an_override_can_undo_a_built_in_fact() -> None:
    facts = ModelProfiles.from_mapping(
        {
            "gpt-5-pro": {"chat_only": True},
            "gpt-audio": {"responses_only": True},
            "gpt-4o": {"shutdown": ""},
            "o1-pro": {"responses_only": False},
        }
    )
    assert (facts.profile("gpt-5-pro").chat_only, facts.profile("gpt-5-pro").responses_only) == (
        True,
        False,
    )
    assert (facts.profile("gpt-audio").chat_only, facts.profile("gpt-audio").responses_only) == (
        False,
        True,
    )
    assert facts.shutdown("gpt-4o") is None
    assert not facts.profile("o1-pro").responses_only


def test_dates_of_a_settings_file() -> None:
    assert (
        ModelProfiles.from_mapping({"m": {"shutdown": dt.date(2027, 1, 2)}}).shutdown("m")
        == "2027-01-02"
    )


WRONG: dict[str, tuple[Any, str]] = {
    "no table": ([], r"^models: "),
    "empty name": ({"": {}}, r"^models\.: "),
    "facts no table": ({"gpt-4o": "chat_only"}, r"^models\.gpt-4o: "),
    "near field": (
        {"gpt-4o": {"chatonly": True}},
        r"^models\.gpt-4o\.chatonly: .*did you mean chat_only\?",
    ),
    "far field": ({"gpt-4o": {"colour": True}}, r"^models\.gpt-4o\.colour: [^?]*$"),
    "names": ({"gpt-4o": {"names": ["x"]}}, r"^models\.gpt-4o\.names: "),
    "sources": ({"gpt-4o": {"sources": ["x"]}}, r"^models\.gpt-4o\.sources: "),
    "number": ({"gpt-*": {"chat_only": 1}}, r"^models\.gpt-\*\.chat_only: expected true or false"),
    "null": ({"gpt-*": {"chat_only": None}}, r"^models\.gpt-\*\.chat_only: expected true or false"),
    "near value": (
        {"m": {"tools_on_chat": "nevr"}},
        r"^models\.m\.tools_on_chat: .*did you mean 'never'\?",
    ),
    "list value": ({"m": {"tools_on_chat": ["never"]}}, r"^models\.m\.tools_on_chat: "),
    "efforts": ({"m": {"refused_efforts": "none"}}, r"^models\.m\.refused_efforts: "),
    "an effort": ({"m": {"refused_efforts": ["none", 1]}}, r"^models\.m\.refused_efforts: "),
    "date": ({"m": {"shutdown": "next year"}}, r"^models\.m\.shutdown: "),
    "month": ({"m": {"shutdown": "2027-13-01"}}, r"^models\.m\.shutdown: "),
    "source": ({"m": {"source": 1}}, r"^models\.m\.source: "),
    "both ways": ({"m": {"chat_only": True, "responses_only": True}}, r"^models\.m\.chat_only: "),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_facts_name_the_setting(case: str) -> None:
    given, pattern = WRONG[case]
    with pytest.raises(ValueError, match=pattern):
        ModelProfiles.from_mapping(given)


def test_facts_are_values() -> None:
    mapping = {"m": {"refused_efforts": ["none"], "chat_only": True}}
    before = copy.deepcopy(mapping)
    one, other = ModelProfiles.from_mapping(mapping), ModelProfiles.from_mapping(mapping)
    assert mapping == before
    one.profile("gpt-4o")
    assert one == other != BUILT_IN_PROFILES
    assert hash(one) == hash(other)
    assert ModelProfiles() == BUILT_IN_PROFILES
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    assert Policy(models=one) == Policy(models=other) != Policy()
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.overrides = ()  # type: ignore[misc]


def test_profiles_are_cached_and_the_cache_is_bounded() -> None:
    facts = ModelProfiles()
    assert facts.profile("gpt-4o") is facts.profile("gpt-4o")
    for number in range(5000):
        facts.profile(f"made-up-{number}")
    assert len(facts._cache) <= 512
    assert facts.profile("gpt-4o") == BUILT_IN_PROFILES.profile("gpt-4o")
