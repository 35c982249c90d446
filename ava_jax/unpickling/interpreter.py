"""Reads pickles of unknown origin without executing them.

Python's unpickler calls what a file names. This one interprets the same opcodes but
knows no functions: a name is looked up in a table that the caller gives, objects of
packages that the caller lists become `Skipped`, and any other name is refused.

A `pickle.Unpickler` whose `find_class` has such a table is shorter and not enough.
It decides which names are called, not what the opcodes do between the calls:

* NumPy's own functions trust the bytes: an array or a scalar whose type has objects
  in it takes addresses from the file, and the process ends with SIGSEGV. Here
  `numpy_arrays` builds arrays of numbers alone, from bytes that are present.
* A key of a dictionary or a member of a set is hashed. Tuples that contain each other
  twice take 2^n steps, a tuple in a tuple a million times overflows the C stack, and
  integers with equal hashes take n^2 steps. Here keys are never containers or large
  integers, and sets become lists.
* BUILD sets attributes, also of the table's own functions and classes, which changes
  them for the rest of the process. Here it only fills what was made from a table.
* The memo is an array as long as the largest index, so five bytes ask for 32 GB.
  Here it is a dictionary.
* A short file that passes the same long list to `list` or OrderedDict many times
  fills the memory. Here what is copied is in proportion to the bytes read.

So nothing that leaves `read_pickle` has been hashed, compared or printed in depth. It
may still be nested deeply or contain itself: callers look at as many levels as they
expect, and name values in messages by `describe`.
"""

import codecs
import contextlib
import dataclasses
import functools
import gc
import itertools
import pickletools
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, BinaryIO

# AVA's proposals, the largest pickles in use, have 5 to 8 million.
_MOST_OPCODES = 2**25
# How many values may be copied for every byte that was read.
_MOST_COPIES = 16
_MOST_ARGUMENTS = 16
_KEYS = (str, bytes, float, bool, type(None))


class RefusedError(Exception):
    """A pickle that is damaged, or holds what is not allowed; says what."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Name:
    """A name that a pickle mentions, such as 'torch.FloatStorage'."""

    text: str
    builder: Callable[..., Any]


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Skipped:
    """Stands for an object that was not built; `name` is its class's."""

    name: str


@dataclasses.dataclass(eq=False, slots=True)
class Built:
    """An object of `name`, as the pickle describes it: how to make and fill it."""

    name: str
    arguments: tuple
    state: Any = None


def read_pickle(
    file: BinaryIO,
    builders: Mapping[str, Callable[..., Any]],
    persistent: Callable[[Any], Any] | None = None,
    skipped: Collection[str] = (),
) -> Any:
    """Reads the pickle at the file's position, which moves to the pickle's end.

    Dictionaries of every kind become `dict`, sets become `list`. Keys that are
    neither text nor a number become `Skipped`.

    Args:
      file: in memory (`io.BytesIO` or `mmap`).
      builders: name -> function of the arguments that the pickle gives; its
        result takes the object's place.
      persistent: from the identifier of an object outside of the pickle to it.
      skipped: names and packages whose objects become `Skipped`.

    Raises:
      RefusedError: the pickle is damaged or asks for something else.
    """
    interpreter = _Interpreter(file, builders, persistent, skipped)
    try:
        with _paused_collector():
            return interpreter.run()
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        TypeError,
        ValueError,
    ) as error:
        raise RefusedError(f"the pickle in it is damaged ({error!s:.100})") from None


@contextlib.contextmanager
def _paused_collector():
    # It would look at the millions of values in the memo again and again, which takes
    # as long as reading them.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def describe(value: Any) -> str:
    """A value as a short text for a message, without what is in its containers."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length():,} bits"
    if isinstance(value, str | bytes) and len(value) > 60:
        return f"{value[:60]!r}..."
    if isinstance(value, (int, *_KEYS)):
        return repr(value)
    if isinstance(value, Skipped | Built):
        return f"an object of {value.name:.100}"
    return f"a {type(value).__name__}"


def call(function: Any, arguments: Any) -> Any:
    """What the builder of a name makes of its arguments.

    Raises:
      RefusedError: these are not the name and the arguments of any object.
    """
    if isinstance(function, Skipped):
        return function
    if type(function) is not Name or type(arguments) is not tuple:
        raise RefusedError("the pickle in it is damaged (a call of no name)")
    if len(arguments) > _MOST_ARGUMENTS:
        raise RefusedError(f"it gives {function.text} too many arguments")
    return function.builder(*arguments)


class _Interpreter:
    """A stack, a memo, and what each opcode does to them."""

    def __init__(self, file, builders, persistent, skipped):
        self._file = file
        self._read = file.read
        self._builders = builders
        self._persistent = persistent
        self._skipped = skipped
        self._stack = []
        self._push = self._stack.append
        self._pop = self._stack.pop
        self._marks = []  # lengths of the stack
        self._memo = {}
        self._copies = 0

    def run(self) -> Any:
        actions = {
            opcode.code.encode("latin-1"): self._action(opcode.name)
            for opcode in pickletools.opcodes
        }
        codes = iter(functools.partial(self._read, 1), b".")
        for code in itertools.islice(codes, _MOST_OPCODES):
            if not code:
                raise RefusedError("it is cut short: the pickle in it has no end")
            actions[code]()
        if next(codes, None) is not None:
            raise RefusedError(f"its pickle has more than {_MOST_OPCODES:,} opcodes")
        return self._pop()

    def _action(self, opcode):
        if opcode in _READERS:
            push, read_value, file = self._push, _READERS[opcode], self._file
            return lambda: push(read_value(file))
        return getattr(self, f"_op_{opcode.lower()}", lambda: self._refuse(opcode))

    def _refuse(self, opcode):
        raise RefusedError(f"it uses the pickle opcode {opcode}")

    def _pop_to_mark(self) -> list:
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _op_proto(self):
        self._read(1)

    def _op_frame(self):
        self._read(8)

    # ------------------------------------- constants that arrays have many times
    # What is cut short here has no end, which `run` notices.
    def _op_binint1(self):
        self._push(self._read(1)[0])

    def _op_short_binunicode(self):
        text = self._read(self._read(1)[0])
        self._push(text.decode("utf-8", "surrogatepass"))

    def _op_binunicode(self):
        text = self._read(int.from_bytes(self._read(4), "little"))
        self._push(text.decode("utf-8", "surrogatepass"))

    def _op_short_binbytes(self):
        self._push(self._read(self._read(1)[0]))

    def _op_binbytes(self):
        self._push(self._read(int.from_bytes(self._read(4), "little")))

    # ------------------------------------------------------------ stack and memo
    def _op_mark(self):
        self._marks.append(len(self._stack))

    def _op_pop(self):
        # A mark is popped like a value.
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._pop()

    def _op_pop_mark(self):
        self._pop_to_mark()

    def _op_dup(self):
        self._push(self._stack[-1])

    def _op_memoize(self):
        self._memo[len(self._memo)] = self._stack[-1]

    def _op_binput(self):
        self._memo[self._read(1)[0]] = self._stack[-1]

    def _op_long_binput(self):
        self._memo[int.from_bytes(self._read(4), "little")] = self._stack[-1]

    def _op_put(self):
        index = int(self._file.readline())
        if not 0 <= index < 2**32:
            raise RefusedError("the pickle in it is damaged (a place in the memo)")
        self._memo[index] = self._stack[-1]

    def _op_binget(self):
        self._push(self._memo[self._read(1)[0]])

    def _op_long_binget(self):
        self._push(self._memo[int.from_bytes(self._read(4), "little")])

    def _op_get(self):
        self._push(self._memo[int(self._file.readline())])

    # ---------------------------------------------------------------- containers
    def _op_tuple(self):
        self._push(tuple(self._pop_to_mark()))

    def _op_tuple1(self):
        self._push((self._pop(),))

    def _op_tuple2(self):
        second = self._pop()
        self._push((self._pop(), second))

    def _op_tuple3(self):
        third, second = self._pop(), self._pop()
        self._push((self._pop(), second, third))

    def _op_list(self):
        self._push(self._pop_to_mark())

    _op_frozenset = _op_list

    def _op_dict(self):
        items = self._pop_to_mark()
        self._push({})
        self._set_items(items)

    def _op_append(self):
        self._extend([self._pop()])

    def _op_appends(self):
        self._extend(self._pop_to_mark())

    _op_additems = _op_appends

    def _op_setitem(self):
        value, key = self._pop(), self._pop()
        self._set_items([key, value])

    def _op_setitems(self):
        self._set_items(self._pop_to_mark())

    def _extend(self, values):
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, Skipped):
            raise RefusedError("the pickle in it is damaged (append to no list)")

    def _set_items(self, items):
        target = self._stack[-1]
        if isinstance(target, dict):
            target.update(_pairs(zip(items[::2], items[1::2], strict=True)))
        elif not isinstance(target, Skipped):
            raise RefusedError("the pickle in it is damaged (item of no dict)")

    # ------------------------------------------------------------ names, objects
    def _op_global(self):
        module, name = (self._file.readline()[:-1].decode() for _ in range(2))
        self._push_name(f"{module}.{name}")

    def _op_stack_global(self):
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise RefusedError("the pickle in it is damaged (a name is no text)")
        self._push_name(f"{module}.{name}")

    def _push_name(self, text):
        self._push(Name(text, self._find_builder(text)))

    def _find_builder(self, text):
        if text in self._builders:
            return self._builders[text]
        if text in _CONTAINERS:
            return functools.partial(self._copy, _CONTAINERS[text])
        if text in self._skipped or text.partition(".")[0] in self._skipped:
            return lambda *arguments: Skipped(text)
        raise RefusedError(
            f"it asks for {text[:200]}, which is neither numbers nor a container"
        )

    def _copy(self, builder, values=(), encoding=None):
        self._copies += len(values)
        if self._copies > _MOST_COPIES * self._file.tell():
            raise RefusedError("its containers would take much more memory than it")
        return builder(values)

    def _op_reduce(self):
        arguments, function = self._pop(), self._pop()
        self._push(call(function, arguments))

    _op_newobj = _op_reduce

    def _op_newobj_ex(self):
        self._pop()
        self._op_reduce()

    def _op_build(self):
        state = self._pop()
        target = self._stack[-1]
        if isinstance(target, Built):
            target.state = state
        elif isinstance(target, dict | list):
            # Attributes of containers (the versions of a state dict) are not needed.
            _check_attributes(type(target), state)
        elif not isinstance(target, Skipped):
            raise RefusedError("the pickle in it is damaged (attributes of no object)")

    def _op_binpersid(self):
        if self._persistent is None:
            raise RefusedError("it refers to objects outside of its pickle")
        self._push(self._persistent(self._pop()))


def _pairs(pairs):
    for key, value in pairs:
        # The hash of an integer is the integer itself, up to 2^61.
        is_key = isinstance(key, _KEYS) or (type(key) is int and abs(key) < 2**60)
        # `Built` may be a text of NumPy's; it is hashed by its identity.
        is_key = is_key or isinstance(key, Built)
        yield key if is_key else Skipped(type(key).__name__), value


def _check_attributes(kind, state):
    """Refuses attributes that replace a method: no program writes such a file."""
    for name in state if isinstance(state, dict) else ():
        if isinstance(name, str) and hasattr(kind, name):
            raise RefusedError(f"it replaces the method {name} of a {kind.__name__}")


def _empty_bytes(nothing):
    if nothing:
        raise RefusedError("it makes bytes from other than text")
    return b""


# Name -> function of its first argument, or of (). Python 2 gives an OrderedDict its
# items so, Python 3 sets them later. Protocols 0 to 2 write bytes as encoded Latin-1,
# and empty ones as `bytes()`.
_CONTAINERS = {
    "collections.OrderedDict": lambda pairs: dict(_pairs(pairs)),
    "_codecs.encode": lambda text: text.encode("latin-1"),
}
_CONTAINERS |= {
    f"{module}.{name}": kind
    for module in ("builtins", "__builtin__")
    for name, kind in (
        ("bytes", _empty_bytes),
        ("list", list),
        ("set", list),
        ("frozenset", list),
    )
}


_UNKNOWN_ESCAPE = re.compile(
    rb"(?<!\\)(?:\\\\)*\\(?:[^\\'\"abfnrtvx0-7]|[4-7][0-7][0-7])"
)


def _read_string(file: BinaryIO) -> str:
    # pickletools takes these to be ASCII; Python 2 wrote arrays so.
    line = pickletools.read_stringnl(file, decode=False)
    if _UNKNOWN_ESCAPE.search(line):
        # Python only warns about it, and no program writes it.
        raise ValueError("an unknown escape sequence")
    return codecs.escape_decode(line)[0].decode("latin-1")


# Opcode -> function from the file to the value that it pushes.
_READERS = {
    opcode.name: opcode.arg.reader
    for opcode in pickletools.opcodes
    if opcode.name
    in [
        "INT",
        "BININT",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "FLOAT",
        "BINFLOAT",
        "BINSTRING",
        "SHORT_BINSTRING",
        "UNICODE",
        "BINUNICODE8",
        "BINBYTES8",
        "BYTEARRAY8",
    ]
}
_READERS |= {
    "STRING": _read_string,
    "NONE": lambda file: None,
    "NEWTRUE": lambda file: True,
    "NEWFALSE": lambda file: False,
    "EMPTY_TUPLE": lambda file: (),
    "EMPTY_LIST": lambda file: [],
    "EMPTY_SET": lambda file: [],
    "EMPTY_DICT": lambda file: {},
}
