"""Random sources that parse: derivations of the grammar as it stands in grammar/cnn.y, so that a new
production is tested as soon as it is there. They mean nothing. Standard library only."""
import pathlib
import re

NAMES = ["a", "in_", "x1", "conv", "s", "b", "_", "c", "unit", "Mixed_5b",
         "a_rather_long_name_for_a_thing", "another_name_that_takes_much_of_a_line_for_itself_alone"]
WORDS = {
    "IDENT": NAMES,
    "STRING": ['"t"', '"a # b"', '"q\\"q\\\\"', '"s*.*.conv1"', '""', '"zwölf Boxkämpfer"',
               '"a text that is long enough to make the line it stands in break, but not by itself"'],
    "INT": ["0", "1", "7", "64", "1000", "9223372036854775807"],
    "REAL": ["0.5", "1e-5", "2.50E+3", "3e7"],
    "SIZE": ["3x3", "1x7", "224x224"],
}
OPERATORS = {"ARROW": "->", "IDIV": "//", "EQ": "==", "NE": "!=", "LE": "<=", "GE": ">="}
EXPRESSIONS = ("expr", "or", "and", "not", "cmp", "add", "mul", "unary", "postfix",
               "primary", "annots")
# What may have annotations: the first words of these declarations and items.
ANNOTATED = ("block", "net", "input", "stage", "head")


def read_grammar(path):
    """{nonterminal: [alternative]}; an alternative is a list of symbols."""
    text = path.read_text().split("\n%%\n")[1]
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    depth, kept = 0, []
    for c in text:  # actions go; '{' and '}' in quotes stay
        quoted = len(kept) > 0 and kept[-1] == "'" and c in "{}"
        depth += c == "{" and not quoted
        if depth == 0:
            kept.append(c)
        depth -= c == "}" and not quoted and depth > 0
    rules = {}
    for rule in "".join(kept).split(";"):
        if ":" not in rule.replace("':'", ""):
            continue
        name, body = rule.split(":", 1)
        alternatives = [a.replace("%empty", "").split() for a in body.split("|")]
        rules[name.strip()] = [a for a in alternatives if "error" not in a]
    return rules


class Grammar:
    def __init__(self, path):
        self.rules = read_grammar(path)
        self.used = set()
        heights = self.least_heights()
        self.choices = {}
        for name, alternatives in self.rules.items():
            short = [a for a in alternatives if self.height(a, heights) == heights[name]]
            self.choices[name] = (short, [a for a in alternatives if a not in short])

    def least_heights(self):
        """The least height of a derivation, by nonterminal."""
        heights = {}
        changed = True
        while changed:
            changed = False
            for name, alternatives in self.rules.items():
                least = min((self.height(a, heights) for a in alternatives), default=1 << 30)
                if least < heights.get(name, 1 << 30):
                    heights[name] = least
                    changed = True
        return heights

    def height(self, alternative, heights):
        return 1 + max((heights.get(s, 1 << 30) if s in self.rules else 0 for s in alternative), default=0)

    def unused(self):
        return [(name, a) for name, alternatives in self.rules.items() for a in alternatives
                if (name, tuple(a)) not in self.used]

    def tokens(self, rng, most):
        """A list of tokens, about `most`."""
        out = []
        self.expand("top", rng, most, out, 0)
        return out

    def choose(self, name, rng, finish):
        """An alternative; one that soon ends to finish. Most expressions are operands, most steps
        without annotations."""
        short, others = self.choices[name]
        if finish or not others or rng.random() < (0.85 if name in EXPRESSIONS else 0.25):
            return rng.choice(short)
        return rng.choice(others)

    def expand(self, name, rng, most, out, depth):
        alternative = self.choose(name, rng, most <= 0 or depth > 90)
        self.used.add((name, tuple(alternative)))
        shares = [rng.random() if s in self.rules else 0 for s in alternative]
        left = most - shares.count(0)
        for symbol, share in zip(alternative, shares):
            start = len(out)
            if symbol in self.rules:
                self.expand(symbol, rng, left * share / sum(shares), out, depth + 1)
            else:
                out.append(terminal(symbol, rng))
            if symbol == "annots":
                annotations = start
            elif symbol in ("bare_decl", "item") and out[start] not in ANNOTATED:
                del out[annotations:start]


def terminal(symbol, rng):
    if symbol in WORDS:
        return rng.choice(WORDS[symbol])
    if symbol.startswith("'"):
        return symbol.strip("'")
    return OPERATORS.get(symbol, symbol.lower())


def glue(left, right):
    """Whether two tokens would become others without a blank between them."""
    word, sign = r"[\w.]", r"[-+*/%<>=!]"
    return any(re.match(c, left[-1]) and re.match(c, right[0]) for c in (word, sign))


def scatter(tokens, rng, comments):
    """The tokens as a text with ugly white space, and comments after a part of them."""
    out = []
    for i, token in enumerate(tokens):
        out.append(token)
        if rng.random() < comments:
            out.append(rng.choice([f" # c{i}\n", f"# c{i}  \r\n", f"\n\t# c{i}\n", f"\n\n  ## c{i}\n\n\n",
                                   f" # c{i}\n# d{i}\n"]))
        elif rng.random() < 0.5:
            out.append(rng.choice([" ", "  ", "\n", "\t ", "\r\n", "\n\n\n", " \n  \n"]))
        elif i + 1 < len(tokens) and glue(token, tokens[i + 1]):
            out.append(" ")
    return "".join(out)


def sources(root, rng, count):
    """(texts, productions that no text has)"""
    grammar = Grammar(pathlib.Path(root) / "grammar" / "cnn.y")
    texts = []
    for _ in range(count):
        tokens = grammar.tokens(rng, rng.choice([10, 60, 300, 1000, 2500]))
        texts.append(scatter(tokens, rng, rng.choice([0, 0, 0.02, 0.2])))
    return texts, grammar.unused()
