"""Indonesian spellings of a name meet, and names that are not spellings of one another stay apart (docs/vault-format.md)."""

from __future__ import annotations

import itertools
import random
import re
from collections import defaultdict

from hypothesis import assume, given
from hypothesis import strategies as st

from app.vault.blind import normalise_name, same_name
from app.voters.synth import names

# Today's spelling → that of before 1947 and 1972 (Ejaan Soewandi, EYD).
OLD = {"sy": "sj", "ny": "nj", "kh": "ch", "u": "oe", "j": "dj", "c": "tj"}
_MODERN = re.compile("sy|ny|kh|u|j|c")
_DIGRAPH = re.compile("oe|dj|tj|sj|nj|ch")
ACCENTS = {"a": "áàâä", "e": "éèêë", "i": "íìî", "o": "óòôö", "u": "úùûü", "n": "ñ"}


def _corpus() -> list[str]:
    """Every given name, clan name and form of address of the synthetic voters, each once."""
    found: set[str] = set()
    for custom in vars(names).values():
        if isinstance(custom, names.Custom):
            for part in (custom.male, custom.female, custom.before_male, custom.before_female, custom.clans):
                found |= {word for entry in part for word in entry.split()}
    return sorted(found)


CORPUS = _corpus()
# Those of the corpus that the documented rules hold for one name, and no others.
SAME = [{"MOH", "MOHAMAD", "MUHAMAD", "MUHAMMAD"}]
# One to four words of the corpus, as a voter has them.
PEOPLE = st.lists(st.sampled_from(CORPUS), min_size=1, max_size=4).map(" ".join)


@given(PEOPLE, st.randoms(use_true_random=False))
def test_old_and_new_spellings_agree(name: str, dice: random.Random) -> None:
    """Wherever one writes the old spelling, and wherever the new: the whole name, or a letter here and there."""
    modern = normalise_name(name)
    wholly = _MODERN.sub(lambda found: OLD[found.group()], modern)
    partly = _MODERN.sub(lambda found: dice.choice((found.group(), OLD[found.group()])), modern)

    assert same_name(wholly, name), wholly
    assert same_name(partly, name), partly


@given(PEOPLE, st.randoms(use_true_random=False))
def test_case_spacing_and_punctuation_do_not_matter(name: str, dice: random.Random) -> None:
    """Capitals, doubled or missing spaces, hyphens, dots and apostrophes."""
    cased = "".join(dice.choice((letter.upper(), letter.lower())) for letter in name)
    spaced = re.sub(" ", lambda _: dice.choice(("  ", "-", ". ", " ", "\t", " ' ")), cased)
    at = dice.randrange(len(name) + 1)

    assert normalise_name(spaced) == normalise_name(name), spaced
    assert normalise_name(name[:at] + dice.choice("'`’ʼ") + name[at:]) == normalise_name(name)


@given(st.lists(st.sampled_from(CORPUS), min_size=2, max_size=4))
def test_words_run_together_are_the_same_to_the_index(words: list[str]) -> None:
    """NUR AINI and NURAINI; but where two words meet in letters that were one sound (SLAMET JOKO), or a word is one only by itself (MOH)."""
    apart = [normalise_name(word) for word in words]
    assume(not any(_DIGRAPH.search(one[-1] + other[0]) for one, other in itertools.pairwise(apart)))

    assert same_name(" ".join(apart), "".join(apart))


def test_a_space_left_out_between_letters_of_one_sound_is_not_found() -> None:
    """The limit of the rule before, as docs/search.md states it."""
    assert not same_name("Slamet Joko", "SlametJoko")
    assert not same_name("Eko Edwin", "Ekoedwin")


@given(PEOPLE, st.randoms(use_true_random=False))
def test_accents_do_not_matter(name: str, dice: random.Random) -> None:
    """As a form filled in abroad, or a careful clerk, may have them; composed or not."""
    accented = "".join(dice.choice((letter, *ACCENTS.get(letter, letter))) for letter in name.lower())

    assert normalise_name(accented) == normalise_name(name), accented


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_the_normal_form_is_words_of_letters_and_digits(name: str) -> None:
    """Whatever is typed: single spaces, no capitals where there are small letters, nothing left of the old spellings; and stable."""
    once = normalise_name(name)

    assert once == " ".join(once.split())
    assert all(letter.isalnum() or letter == " " for letter in once)
    assert not re.search("oe|dj|tj|sj|nj|ch", once)
    assert normalise_name(once) == once


def test_no_two_names_of_the_corpus_merge_beyond_the_rules() -> None:
    """Of hundreds of names that people of twenty cultures have today, only spellings of one name meet."""
    groups = defaultdict(set)
    for word in CORPUS:
        groups[normalise_name(word)].add(word)

    assert len(CORPUS) > 400
    assert [group for group in groups.values() if len(group) > 1] == SAME


def test_no_two_given_names_differ_by_spaces_alone() -> None:
    """What the index cannot tell apart, the corpus does not hold twice."""
    joined = defaultdict(set)
    for word in CORPUS:
        joined[normalise_name(word).replace(" ", "")].add(normalise_name(word))

    assert all(len(group) == 1 for group in joined.values())
