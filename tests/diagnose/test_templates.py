from nearfar.diagnose.templates import SLOT, Templates, parts


def test_numbers_identifiers_and_quoted_strings_are_slots():
    found = parts("Don't print 'two words' of get_user, maxDepth or /etc/hosts 3 times (please)!")
    assert found == ["don't", "print", SLOT, "of", SLOT, SLOT, "or", SLOT, SLOT, "times", "please"]


def test_rare_words_are_one_slot_and_frequent_words_are_kept():
    queries = [f"How do I use {name} in Python?" for name in ("sockets", "regular expressions", "queues", "threads")]
    templates = Templates.of(queries)
    assert set(map(templates.template, queries)) == {"how do i use _ in python"}
    assert templates.counts(queries) == {"how do i use _ in python": 4}


def test_keywords_have_no_template():
    queries = ["asthma treatment", "heart murmur", "skin rash causes", "python list sort"]
    templates = Templates.of(queries)
    assert [templates.template(query) for query in queries] == [""] * 4
    assert templates.counts(queries).total() == 0


def test_a_word_is_frequent_only_above_its_share():
    fillers = ["".join(chr(97 + int(digit)) for digit in str(number)) for number in range(100, 200)]
    queries = [f"what is the {'colour' if number < 4 else 'shape'} of {name}" for number, name in enumerate(fillers)]
    assert Templates.of(queries).template("what is the colour of x") == "what is the _ of _"
    assert Templates.of(queries).template("what is the shape of x") == "what is the shape of _"
