import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.stack import FRAMES, parsed

PYTHON = """refund failed
Traceback (most recent call last):
  File "/app/services/db.py", line 10, in connect
    return psycopg.connect(dsn)
           ^^^^^^^^^^^^^^^^^^^^
  File "/app/.venv/lib/python3.11/site-packages/psycopg/__init__.py", line 99, in connect
    raise ex
psycopg.OperationalError: no route

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/usr/lib/python3.11/asyncio/tasks.py", line 277, in __step
    result = coro.send(None)
  File "/app/api.py", line 1, in handle
    refund(order)
  File "/app/services/refund.py", line 42, in refund
    raise RefundError("x") from error
app.RefundError: could not refund
second line of the message
"""
JAVASCRIPT = """TypeError: Cannot read properties of undefined (reading 'id')
    at refundOrder (/app/src/refund.js:10:15)
    at async handle (file:///app/src/api.mjs:5:3)
    at Module._compile (node:internal/modules/cjs/loader:1105:14)
    at Layer.handle [as handle_request] (/app/node_modules/express/lib/router/layer.js:95:5)
    at /app/src/index.js:99:1
"""
JAVA = """java.lang.IllegalStateException: refund failed
\tat java.base/java.util.Objects.requireNonNull(Objects.java:233)
\tat com.shop.refund.RefundService$$EnhancerBySpringCGLIB$$1a2b.refund(RefundService.java:42)
\tat org.springframework.web.Foo.bar(Foo.java:1)
\tat com.shop.api.Api.lambda$handle$0(Api.java:10)
Caused by: java.sql.SQLException: no connection
\tat com.shop.db.Db.open(Db.java:1)
\t... 12 more
"""
GO = """panic: runtime error: invalid memory address or nil pointer dereference

goroutine 1 [running]:
runtime.gopanic({0x1, 0x2})
\t/usr/local/go/src/runtime/panic.go:884 +0x212
main.(*Service).refund(0xc00001, {0xc0000, 0x1})
\t/app/refund.go:42 +0x1d
github.com/shop/api/handlers.Handle(...)
\t/app/handlers/handle.go:7
github.com/gin-gonic/gin.(*Context).Next(0xc0)
\t/root/go/pkg/mod/github.com/gin-gonic/gin@v1/context.go:174 +0x2b
created by main.main
\t/app/main.go:3 +0x1
"""


@pytest.mark.parametrize(
    ("text", "said", "frames"),
    [
        (
            PYTHON,
            (
                "refund failed\npsycopg.OperationalError: no route\napp.RefundError: could not refund\n"
                "second line of the message"
            ),
            ["refund in refund.py", "handle in api.py"],
        ),
        (
            JAVASCRIPT,
            "TypeError: Cannot read properties of undefined (reading 'id')",
            ["refundOrder in refund.js", "handle in api.mjs", "index.js"],
        ),
        (
            JAVA,
            (
                "java.lang.IllegalStateException: refund failed\n"
                "Caused by: java.sql.SQLException: no connection"
            ),
            ["RefundService.refund in RefundService.java", "Api.handle in Api.java"],
        ),
        (
            GO,
            "panic: runtime error: invalid memory address or nil pointer dereference",
            ["main.(*Service).refund in refund.go", "handlers.Handle in handle.go"],
        ),
    ],
)
def test_only_the_callers_frames_are_kept_nearest_first(
    text: str, said: str, frames: list[str]
) -> None:
    stack = parsed(text)
    assert stack.said == said
    assert [str(frame) for frame in stack.frames] == frames


def test_a_recursion_is_told_once_and_only_the_nearest_frames_are() -> None:
    deep = "".join(f'  File "/app/{name}.py", line 1, in f\n' for name in "abcdef")
    again = '  File "/app/z.py", line 7, in g\n' * 100
    stack = parsed(f"Traceback (most recent call last):\n{deep}{again}RecursionError: too deep")
    assert [frame.file for frame in stack.frames] == ["z.py", "f.py", "e.py"]
    assert len(stack.frames) == FRAMES


def test_line_numbers_and_folders_change_nothing() -> None:
    moved = PYTHON.replace("/app/", "/srv/releases/7/").replace("line 42", "line 57")
    assert parsed(moved) == parsed(PYTHON)


def test_an_error_without_a_stack_trace_stays_as_it_is() -> None:
    for text in ("boom", "look at this\nand at that (please)", "meet me at noon:10:20", ""):
        assert parsed(text).said == text
        assert parsed(text).frames == ()


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [*PYTHON.splitlines(), *JAVASCRIPT.splitlines(), *JAVA.splitlines(), *GO.splitlines()]
        )
        | st.text(max_size=30),
        max_size=30,
    )
)
def test_whatever_the_lines_are_nothing_is_raised(lines: list[str]) -> None:
    stack = parsed("\n".join(lines))
    assert len(stack.frames) <= FRAMES
    assert all(str(frame).isprintable() for frame in stack.frames)


def test_a_long_line_of_anything_takes_no_longer_than_its_length() -> None:
    for unit in ("(", "a.", "at ", "    at a (", ' File "', "1:"):
        assert parsed("x\n    at " + unit * 50_000 + "\nat .go:").frames == ()
