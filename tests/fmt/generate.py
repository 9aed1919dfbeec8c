"""Random sources that parse: a walk over the grammar (grammar/cnn.y). They mean nothing."""

NAMES = ["a", "in_", "x1", "conv", "s", "a_rather_long_name_for_a_thing", "b", "c", "unit"]


class Walk:
    def __init__(self, rng):
        self.rng = rng
        self.depth = 0

    def maybe(self, text, p=0.5):
        return text() if self.rng.random() < p else ""

    def some(self, make, most, between):
        return between.join(make() for _ in range(self.rng.randint(0, most)))

    def name(self):
        return self.rng.choice(NAMES)

    def text(self):
        return self.rng.choice(['"t"', '"a # b"', '"q\\"q"', '"s*.*.conv1"', '""'])

    def deep(self, shallow, *deeper):
        if self.depth > 4:
            return shallow()
        self.depth += 1
        made = self.rng.choice((shallow, shallow) + deeper)()
        self.depth -= 1
        return made

    def atom(self):
        return self.rng.choice(["1", "0.5", "3x3", "1e-5", "true", "in", "prev", "stage.stride", "block.i",
                                self.name(), self.text(), "in.c", "12345678901"])

    def expr(self):
        return self.deep(
            self.atom,
            lambda: f"({self.expr()})",
            lambda: f"{self.atom()} {self.rng.choice(['+', '-', '*', '/', '//', '%', 'and', 'or'])} {self.atom()}",
            lambda: f"({self.expr()}) * ({self.expr()})",
            lambda: f"not ({self.expr()})",
            lambda: f"-({self.expr()})",
            lambda: f"{self.name()}({self.args()})",
            lambda: f"{self.name()}[{self.expr()}]",
            lambda: f"[{self.some(self.expr, 9, ', ')}]",
            lambda: "[" + ", ".join(str(n) for n in range(self.rng.randint(0, 60))) + "]",
            lambda: f"if {self.atom()} {{ {self.expr()} }} else {{ {self.expr()} }}",
            lambda: f"if {self.atom()} {{ {self.expr()} }} else if {self.atom()} {{ 1 }} else {{ 2 }}",
            lambda: f"({self.atom()} -> {self.steps()})")

    def value(self):
        return self.rng.choice([self.expr, lambda: f"{self.name()} -> {self.steps()}"])()

    def args(self):
        made = self.some(lambda: self.maybe(lambda: f"{self.name()}=") + self.expr(), 5, ", ")
        return made + ("," if made and self.rng.random() < 0.1 else "")

    def annotations(self):
        return self.some(lambda: f"@{self.name()}({self.args()})", 1, " ")

    def step(self):
        tail = (self.maybe(lambda: f" * {self.name()}", 0.3) +
                self.maybe(lambda: f" when {self.atom()} == 1", 0.2) +
                self.maybe(lambda: f" as {self.name()}", 0.1))
        if self.depth < 4 and self.rng.random() < 0.15:
            self.depth += 1
            made = f"({self.steps()})"
            self.depth -= 1
            return made + tail
        layer = self.name() + self.maybe(lambda: "." + self.name(), 0.2)
        return f"{self.maybe(self.annotations, 0.1)} {layer}{self.maybe(lambda: f'({self.args()})', 0.7)}{tail}"

    def steps(self):
        return " -> ".join(self.step() for _ in range(self.rng.randint(1, 5)))

    def params(self):
        made = self.some(lambda: f"{self.name()}: {self.rng.choice(['int', '[int]', 'layer'])}" +
                         self.maybe(lambda: f" = {self.expr()}"), 6, ", ")
        return f"({made}{',' if made and self.rng.random() < 0.2 else ''})"

    def statement(self):
        return self.rng.choice([
            lambda: f"{self.name()} = {self.value()}",
            lambda: f"out = {self.value()}",
            lambda: f"let {self.name()} = {self.value()}",
            lambda: f"require {self.expr()}, {self.text()}"])()

    def block(self):
        head = f"block {self.name()}{self.maybe(self.params)}"
        if self.rng.random() < 0.5:
            return f"{head} = {self.steps()}"
        return f"{head} {{ {self.some(self.statement, 5, chr(10))} }}"

    def item(self):
        return self.rng.choice([
            lambda: f"input {self.name()}[{self.some(self.expr, 3, ', ')}]{self.maybe(lambda: f'({self.args()})')}",
            lambda: f"{self.annotations()} stage {self.name()}{self.maybe(lambda: f'({self.args()})')} {{ {self.steps()} }}",
            lambda: f"stage {self.name()} {{ unit({self.args()}) * {self.name()} }}",
            lambda: f"head {self.name()}{self.maybe(lambda: f'({self.args()})')} = {self.steps()}",
            lambda: f"let {self.name()}{self.maybe(self.params)} = {self.value()}",
            self.block,
            lambda: f"train {{ {self.some(lambda: f'{self.name()} = {self.value()}', 4, chr(10))} }}",
            lambda: f"names {self.name()} {{ {self.some(lambda: self.rng.choice([f'{self.text()} = {self.text()}', f'ignore {self.text()}']), 4, chr(10))} }}",
            lambda: f"require {self.expr()}, {self.text()}",
            self.choice])()

    def choice(self):
        if self.depth > 2:
            return "stage s { a }"
        self.depth += 1
        made = f"if {self.atom()} {{ {self.some(self.item, 3, chr(10))} }}"
        made += self.maybe(lambda: f" else {{ {self.some(self.item, 2, chr(10))} }}")
        made += "" if "else" in made[-1:] else ""
        self.depth -= 1
        return made

    def declaration(self):
        return self.rng.choice([
            lambda: f"import std.{self.name()}{self.maybe(lambda: f' as {self.name()}')}",
            lambda: f'import "x.cnn"',
            lambda: f"let {self.name()}{self.maybe(self.params)} = {self.value()}",
            self.block,
            lambda: f"net {self.name()}{self.maybe(self.params)} = {self.name()}({self.args()})",
            lambda: f"{self.annotations()} net {self.name()}{self.maybe(self.params)} {{ {self.some(self.item, 7, chr(10))} }}"])()


def source(rng):
    """One file; blank lines and comments here and there."""
    walk = Walk(rng)
    parts = []
    for _ in range(rng.randint(0, 6)):
        walk.depth = 0
        parts.append(walk.declaration())
        parts.append(rng.choice(["\n", "\n\n\n", " # why\n", "\n## what\n"]))
    return "".join(parts)
