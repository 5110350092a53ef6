"""Code is cut along its syntax, under the names of classes and functions."""

import pytest

from nearfar.core.errors import BadInput
from nearfar.text import syntax_outline
from nearfar.text.kinds import kind_of, outline_of
from tiling import SHAPES, parts


def test_python_by_its_syntax():
    assert parts(SHAPES, 14, "python") == [
        ((), '"""Shapes."""\nimport math'),
        (("Circle",), 'class Circle:\n    """A circle."""'),
        (("Circle", "area"), "# how large\n    @property\n    def area(self):\n        total = math.pi"),
        (("Circle", "area"), "return total * self.radius * self.radius"),
        (("Circle", "move"), "async def move(self, x, y):\n        self.x = self.x + x"),
        (("Circle", "move"), "if y:\n            self.y = self.y + y\n        return self"),
        ((), "SIZE = 1 + 2 + 3 + 4 + 5"),
    ]


BRACES = """int area(int r) {
    int t = 3;
    return t * r * r;
}

int side(int s) {
    return s + 1;
}
"""


@pytest.mark.parametrize("kind", ["code", "c"])
def test_functions_in_braces(kind):
    assert [own for _, own in parts(BRACES, 15, kind)] == [part.strip() for part in BRACES.split("\n\n")]


def test_code_without_a_grammar_is_cut_by_indentation():
    text = "class A\n  # so\n  def area(r)\n    t = r * r\n    t\n  end\n\n  def side(s)\n    s + 1\n  end\nend\n"
    assert parts(text, 13, "code") == [
        (("A",), "class A\n  # so\n  def area(r)\n    t = r * r\n    t\n  end"),
        (("A", "side"), "def side(s)\n    s + 1\n  end\nend"),
    ]


SOURCES = {  # language: text, names of its passages
    "c": (
        """/* so */
static int *area(int r)
{
  int t = r * r * r;
  return t;
}

struct side {
  int first;
  int b; int c; int d;
};
""",
        [("area",), ("side",)],
    ),
    "cpp": (
        """namespace n {
class A {
  // so
  void move(int x) {
    y = x + z;
  }
  int size() {
    int n = 1 + 1 + 1;
    int m = n;
    return m;
  }
};
}
""",
        [("n",), ("n", "A", "size")],
    ),
    "go": (
        """package a

import (
\t"fmt"
\t"os"
)

// Area is so
func Area(r int) int {
\tt := r * r
\treturn t
}

type Side struct {
\tfirst int
\tb int
}
""",
        [(), ("Area",), ("Side",)],
    ),
    "java": (
        """class A {
  /** So. */
  @Override
  int area(int r) {
    int t = r * r;
    return t;
  }
  int side() {
    int n = 1 + 1 + 1;
    return n;
  }
}
""",
        [("A",), ("A", "side")],
    ),
    "javascript": (
        """class A {
  area(r) {
    const t = r * r;
    return t;
  }
}

// so
export const side = (s) => {
  const t = s + 1;
  return t;
};
""",
        [("A",), ("side",)],
    ),
    "rust": (
        """/// So
#[test]
fn area(r: i32) -> i32 {
    let t = r * r;
    t
}

impl Side {
    fn len(&self) -> i32 {
        let n = 1 + 1;
        n
    }
}
""",
        [("area",), ("Side",)],
    ),
    "typescript": (
        """interface Side {
  first: number;
  b: number;
  c: number;
}

// so
function area(r: number): number {
  const t = r * r;
  return t;
}
""",
        [("Side",), ("area",)],
    ),
    "tsx": (
        """function Side(p: P) {
  const t = p.a * p.b;
  return <b>{t}</b>;
}

// so
function Area(p: P) {
  return <i>{p.a}</i>;
}
""",
        [("Side",), ("Area",)],
    ),
}


@pytest.mark.parametrize("language", SOURCES)
def test_other_languages_by_their_syntax(language):
    pytest.importorskip("tree_sitter", reason="needs the extra 'code'")
    text, paths = SOURCES[language]
    found = parts(text, 20, language)
    assert [path for path, _ in found] == paths
    assert all("(" in own for _, own in found if "so" in own.lower())  # a comment stays with its function


def test_without_the_extra_code_is_cut_by_indentation(monkeypatch):
    monkeypatch.setitem(syntax_outline.GRAMMARS, "c", ("no_such_package", "language"))
    syntax_outline._parser.cache_clear()
    assert outline_of(BRACES, "c") == outline_of(BRACES, "code")
    syntax_outline._parser.cache_clear()


def test_kinds():
    assert kind_of("a/b.py") == "python"
    assert kind_of("README.md") == "prose"
    assert kind_of("x.Rs") == "rust"
    assert kind_of("d123") is kind_of("no.such.suffix") is None
    with pytest.raises(BadInput, match="did you mean 'python'"):
        outline_of("", "pyton")


PAGE = "# A\n\n```\ndef f(x):\n```\n"


@pytest.mark.parametrize(
    ("text", "kind"), [(SHAPES, "python"), (BRACES, "code"), ("Some text.\n\nMore of it.", "prose"), (PAGE, "prose")]
)
def test_kind_by_the_looks(text, kind):
    assert outline_of(text, None) == outline_of(text, kind)
