"""Report signs of code that is hard to read: `python scripts/report_style.py [--figures] [PATH ...]`.

Nothing in the report fails a build. Each line is a place to look at: a name that is a participle or has no verb, a
docstring that begins with a question word or does not begin with an imperative verb, a public function without a
docstring, a very long file or function. `--figures` prints the size of the code base instead. Without a path, both
cover langchain_gptoss, benchmarks and scripts.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, quantiles

ROOT = Path(__file__).parents[1]
DEFAULT_PLACES = [ROOT / "langchain_gptoss", ROOT / "benchmarks", ROOT / "scripts"]
MAX_FILE_LINES, MAX_FUNCTION_LINES = 500, 60
QUESTION_WORDS = ("What", "Whether", "How", "Who", "Told", "Whoever", "Whatever", "Where", "Which", "Whose")
IRREGULAR_PARTICIPLES = frozenset(
    """begun bound broken built caught chosen come done drawn driven fallen felt found forgotten given gone grown heard
    held hidden hung kept known laid led left lent lost made meant met mended opened paid proven quit risen said seen
    sent shown spoken spent stood stolen sunk taken taught thought thrown told torn understood won worn
    written""".split()
)
NO_PARTICIPLES = frozenset("embed feed seed need proceed exceed speed shed".split())
VERBS = frozenset(
    """abandon abort abstain accept access account acquire activate adapt add advance align allocate allow analyse
    anchor answer append apply approve are arm arrange ask assemble assert assign attach attend audit await balance
    batch backdate begin bind blank block boost break bring browse build cache calculate calibrate call can cancel
    canonicalize cap capture cast catch change charge chat check choose chunk cite claim clamp classify clean clear
    clip close collapse collect combine compact compare compile complete compose compress compute concatenate
    condense configure confirm connect consume contains continue contradict contradicts convert convolve copy
    correct count cover covers create crop cut deal decide declare decline decode decompress decrypt dedent
    deduplicate define delay delegate delete deliver demand dequantize derive describe deserialize detach detect
    determine diff disable discard disconnect dispatch display divide do does download draft drain draw drop dump embed
    emit enable encode encrypt end enforce enforces enlarge ensure enter enumerate escape estimate evaluate
    evict examine exchange exclude execute exists exit expand expect explain export expose extend extract fail
    feed fetch fill filter find finish fit fits fix flatten flip flush fold follow forbid forget format forward free
    freeze fsync fuse gather generate get give grade group grow guard guess halt handle has hash hide highlight
    hold holds identify ignore import include includes index infer inherit initialize inline insert inspect
    install interleave interpret intersect invalidate invert invoke is iterate join judge keep kill label launch
    lay lead let lex limit link list listen load locate lock log look lower main make map mark mask match
    matches materialize measure merge migrate mirror mount move multiply must name narrow needs negate negotiate
    normalize note notice notify number observe offer omit open order overlaps override own pack pad parse
    partition pass patch pause perform permute pick pin place plan play poll pool pop populate post predict prefill
    preempt prefix prepare prepend preprocess present preserve press print probe process produce profile project prompt
    prove provide prune pseudonymize publish pull push put quantize query quote raise rank read rebuild
    recalculate receive recognize recompute reconstruct record recover redact reduce refer refresh refuse
    regenerate register reject relabel relax release reload remove rename render reopen reorder repair repeat replace
    replay reply report request require requires rerank reread reserve reset resolve respond restart restore
    restrict resume retain retrieve retry return reuse reverse revise rewrite roll rotate round route run sample
    sanitize save say scale scan schedule score scroll search select send separate serialize serve set settle
    shape share shift shorten should show shrink shuffle shut sign silence simplify simulate sink skip sleep
    slice smooth solve sort spawn speak spell split squeeze stack standardize start state stem step stop store
    stream strip submit subtract suggest sum summarize supports swap switch sync synchronize take tally tell
    test throttle tie time toggle tokenize total touch trace track train transform translate transpose traverse
    treat trim truncate try turn unescape unify union unload unlock unpack unpermute unpickle unregister unwrap
    update upgrade upload upsert use uses validate verify view visit wait walk warm warn watch weigh widen will
    withdraw wrap write yield zip alter attack authorize craft damage imitate inject""".split()
)
# Names that are given from outside, and the reason.
PRESCRIBED_NAMES = {
    "similarity_search": "LangChain's VectorStore",
    "asimilarity_search": "LangChain's VectorStore",
    "similarity_search_with_score": "LangChain's VectorStore",
    "asimilarity_search_with_score": "LangChain's VectorStore",
    "similarity_search_by_vector": "LangChain's VectorStore",
    "max_marginal_relevance_search": "LangChain's VectorStore",
    "amax_marginal_relevance_search": "LangChain's VectorStore",
    "max_marginal_relevance_search_by_vector": "LangChain's VectorStore",
    "amax_marginal_relevance_search_by_vector": "LangChain's VectorStore",
    "model_copy": "pydantic's BaseModel",
    "readable": "io.IOBase",
    "read1": "io.BufferedIOBase",
    "dumps": "LangServe's serializer",
    "after_model": "LangChain's AgentMiddleware",
    "aafter_model": "LangChain's AgentMiddleware",
    "dumps_typed": "LangGraph's SerializerProtocol",
    "loads_typed": "LangGraph's SerializerProtocol",
    "lc_id": "LangChain's Serializable",
    "parser": "the data flow in docs/architecture.md: format.parser().feed(id)",
    "domains": "the command `gptoss domains`",
    "startup": "uvicorn's Server",
    "connection_made": "asyncio's Protocol",
    "data_directory": "a place, as cache_directory",
}
# Each Triton kernel is one loop on the GPU and cannot call Python functions.
LONG_FUNCTIONS = frozenset({"_multiply_vector_kernel", "_multiply_tile_kernel"})
OTHER_FIRST_WORDS = frozenset("from as to on with in at for by".split())  # from_texts, as_retriever, on_llm_start


@dataclass(frozen=True, kw_only=True)
class Function:
    """One function of the code base."""

    path: Path
    node: ast.FunctionDef | ast.AsyncFunctionDef
    is_method: bool
    is_nested: bool

    @property
    def name(self) -> str:
        """The name without leading underscores."""
        return self.node.name.strip("_")

    @property
    def line_count(self) -> int:
        """Number of lines, decorators excluded."""
        return (self.node.end_lineno or self.node.lineno) - self.node.lineno + 1

    @property
    def code_line_count(self) -> int:
        """Number of lines without the docstring."""
        return self.line_count - (ast.get_docstring(self.node) or "").count("\n") - 1

    @property
    def decorators(self) -> set[str]:
        """Last part of each decorator's name."""
        names = (ast.unparse(decorator).split("(")[0] for decorator in self.node.decorator_list)
        return {name.rsplit(".", 1)[-1] for name in names}

    @property
    def is_value(self) -> bool:
        """True for properties, which are named by nouns."""
        return bool(self.decorators & {"property", "cached_property", "computed_field", "setter"})

    @property
    def place(self) -> str:
        """Path and line, as editors open them."""
        return f"{self.path.relative_to(ROOT)}:{self.node.lineno}"


def find_functions(path: Path) -> Iterator[Function]:
    """Yield the functions of a file."""

    def visit(node: ast.AST, *, in_class: bool, in_function: bool) -> Iterator[Function]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield Function(path=path, node=child, is_method=in_class, is_nested=in_function)
                yield from visit(child, in_class=False, in_function=True)
            else:
                yield from visit(child, in_class=isinstance(child, ast.ClassDef), in_function=in_function)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), in_class=False, in_function=False)


def is_participle(word: str) -> bool:
    """Return True if a name is a single word that looks like a past participle."""
    is_regular = len(word) > 4 and word.endswith("ed") and word not in NO_PARTICIPLES
    return "_" not in word and (is_regular or word in IRREGULAR_PARTICIPLES)


def is_dunder(name: str) -> bool:
    """Return True for special methods."""
    return name.startswith("__") and name.endswith("__")


def check_function(function: Function) -> Iterator[str]:
    """Yield remarks on one function."""
    node, name = function.node, function.name
    docstring = ast.get_docstring(node) or ""
    if function.code_line_count > MAX_FUNCTION_LINES and node.name not in LONG_FUNCTIONS:
        yield f"{node.name} has {function.code_line_count} lines"
    if is_dunder(node.name):
        return
    if is_participle(name) and not name.startswith(("is_", "has_", "can_")):
        yield f"{node.name} is a participle"
    elif not function.is_value and name not in PRESCRIBED_NAMES and not _has_leading_verb(name):
        yield f"{node.name} does not begin with a verb"
    if docstring.split(" ")[0] in QUESTION_WORDS and not function.is_value:
        yield f"the docstring of {node.name} begins with {docstring.split(' ')[0]!r}"
    if (
        not docstring
        and not node.name.startswith(("_", "test_"))
        and not function.is_nested
        and "override" not in function.decorators
    ):
        yield f"{node.name} has no docstring"


def _has_leading_verb(name: str) -> bool:
    first = name.split("_")[0].lower()
    return first in VERBS or first in OTHER_FIRST_WORDS or (first[:1] == "a" and first[1:] in VERBS | OTHER_FIRST_WORDS)


def check_file(path: Path) -> Iterator[str]:
    """Yield remarks on one file and its functions, each with its place."""
    text = path.read_text(encoding="utf-8")
    place = path.relative_to(ROOT)
    if (count := text.count("\n")) > MAX_FILE_LINES:
        yield f"{place}: the file has {count} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef | ast.Module):
            first = (ast.get_docstring(node) or "").split(" ")[0]
            if first in QUESTION_WORDS:
                yield f"{place}:{getattr(node, 'lineno', 1)}: a docstring begins with {first!r}"
    for function in find_functions(path):
        if path.name.startswith("test_") or path.name == "conftest.py":
            continue
        for remark in check_function(function):
            yield f"{function.place}: {remark}"


def describe_size(paths: list[Path]) -> str:
    """Return a table of figures on the size and the style of a code base."""
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in paths}
    functions = [function for path in paths for function in find_functions(path)]
    lengths = [function.line_count for function in functions]
    longest = max(lines, key=lines.__getitem__)
    participles = [function for function in functions if is_participle(function.name)]
    package = ROOT / "langchain_gptoss"
    private = [path for path in paths if path.parent == package and re.fullmatch(r"_[a-z].*", path.name)]
    rows = {
        "files": len(paths),
        "lines": sum(lines.values()),
        "mean lines of a file": round(mean(lines.values())),
        "longest file": f"{longest.relative_to(ROOT)} ({lines[longest]})",
        "functions": len(functions),
        "median lines of a function": median(lengths),
        "90th percentile": round(quantiles(lengths, n=10)[-1]),
        "functions that are a participle": len(participles),
        "private modules at the root": len(private),
    }
    return "\n".join(f"{name}: {value}" for name, value in rows.items())


def main() -> None:
    """Print the report, or the figures."""
    arguments = sys.argv[1:]
    wants_figures = "--figures" in arguments
    places = [ROOT / argument for argument in arguments if argument != "--figures"] or DEFAULT_PLACES
    paths = sorted(path for place in places for path in ([place] if place.is_file() else place.rglob("*.py")))
    if wants_figures:
        print(describe_size(paths))
        return
    remarks = [remark for path in paths for remark in check_file(path)]
    print(*remarks, f"{len(remarks)} remarks; they are signs to look at, not errors.", sep="\n")


if __name__ == "__main__":
    main()
