"""What is true of the passages of any text, and a text to cut."""

from nearfar.text.passages import PassageConfig, count_words, passages

SHAPES = '''"""Shapes."""
import math

class Circle:
    """A circle."""

    # how large
    @property
    def area(self):
        total = math.pi
        return total * self.radius * self.radius

    async def move(self, x, y):
        self.x = self.x + x
        if y:
            self.y = self.y + y
        return self

SIZE = 1 + 2 + 3 + 4 + 5
'''


def check(text, found, config, count=count_words):
    """What is true of any text; `found` are its passages."""
    place = 0
    for passage in found:
        assert place <= passage.start <= passage.end <= len(text)
        assert not text[place : passage.start].strip()
        assert passage.own(text) == passage.own(text).strip()
        assert passage.window[0] <= passage.start
        assert passage.end <= passage.window[1]
        assert count([passage.own(text)])[0] <= config.limit
        assert count([passage.embedded(text)])[0] <= config.limit + config.context
        place = passage.end
    assert not text[place:].strip()
    assert len(found) == 1 or all(passage.own(text) for passage in found)


def parts(text, limit, kind="prose", **options):
    found = passages(text, kind=kind, config=PassageConfig(limit=limit, **options))
    return [(p.heading, p.own(text)) for p in found]
