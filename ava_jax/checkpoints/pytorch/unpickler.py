"""Reads pickles without executing them.

Python's unpickler calls what a file tells it to. This one interprets the same
opcodes but knows no functions: a name in the pickle is looked up in a table that
the caller gives, objects of a few harmless packages become `Skipped`, and any
other name is refused. Nothing is imported, and no method of a loaded object runs.
"""

import dataclasses
import itertools
import pickletools
import struct
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

# Objects of these occur in training checkpoints, beside the tensors. They are
# passed over, never built.
SKIPPED_PACKAGES = frozenset(
    [
        *("addict", "argparse", "datetime", "fvcore", "mmaction", "mmcv", "mmdet"),
        *("mmengine", "numpy", "omegaconf", "pathlib", "yacs"),
    ]
)
# How pickles write a bound or static method; passed over likewise.
SKIPPED_NAMES = frozenset({"builtins.getattr", "__builtin__.getattr"})
SCALARS = (str, bytes, int, float, bool, type(None))


class RefusedError(Exception):
    """A pickle that is damaged, or holds what is not allowed; says what."""


@dataclasses.dataclass(frozen=True)
class Name:
    """A name that a pickle mentions, such as 'torch.FloatStorage'."""

    text: str


@dataclasses.dataclass(frozen=True, eq=False)
class Skipped:
    """Stands for an object that was not built; `name` is its class's."""

    name: str


@dataclasses.dataclass(eq=False)
class Built:
    """An object of `name`, as the pickle describes it: how to make and fill it."""

    name: str
    arguments: tuple
    state: Any = None


class _Mark:
    pass


_MARK = _Mark()


def read_pickle(
    file: BinaryIO,
    builders: Mapping[str, Callable[..., Any]],
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """The value of the pickle at the file's position, which moves behind it.

    Dictionaries of every kind become `dict`, sets become `list`.

    Args:
      file: open for reading bytes.
      builders: name -> function of the arguments that the pickle gives; its
        result takes the object's place.
      persistent: from the identifier of an object outside of the pickle to it.

    Raises:
      RefusedError: the pickle is damaged or asks for something else.
    """
    machine = _Machine({**_CONTAINERS, **builders}, persistent)
    try:
        for opcode, argument, _ in pickletools.genops(file):
            machine.run(opcode.name, argument)
        return machine.pop()
    except RefusedError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        IndexError,
        KeyError,
        MemoryError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:
        raise RefusedError(f"the pickle in it is damaged ({error})") from None


class _Machine:
    """A stack, a memo, and what each opcode does to them."""

    def __init__(self, builders, persistent):
        self._builders = builders
        self._persistent = persistent
        self._stack = []
        self._memo = {}

    def run(self, opcode: str, argument: Any) -> None:
        if opcode in _CONSTANTS:
            self._stack.append(argument)
        elif opcode in _VALUES:
            self._stack.append(_VALUES[opcode]())
        elif opcode in _TUPLES:
            items = [self.pop() for _ in range(_TUPLES[opcode])]
            self._stack.append(tuple(reversed(items)))
        elif opcode not in _IGNORED:
            action = getattr(self, f"_op_{opcode.lower()}", None)
            if action is None:
                raise RefusedError(f"it uses the pickle opcode {opcode}")
            action(argument)

    def pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise RefusedError("the pickle in it is damaged (stray mark)")
        return value

    def _pop_to_mark(self) -> list:
        reverse = itertools.takewhile(
            lambda value: value is not _MARK, iter(self._stack.pop, self)
        )
        return list(reverse)[::-1]

    # ------------------------------------------------------------ stack and memo
    def _op_pop(self, _):
        self._stack.pop()

    def _op_pop_mark(self, _):
        self._pop_to_mark()

    def _op_dup(self, _):
        self._stack.append(self._stack[-1])

    def _op_put(self, index):
        self._memo[index] = self._stack[-1]

    _op_binput = _op_long_binput = _op_put

    def _op_memoize(self, _):
        self._memo[len(self._memo)] = self._stack[-1]

    def _op_get(self, index):
        self._stack.append(self._memo[index])

    _op_binget = _op_long_binget = _op_get

    # ---------------------------------------------------------------- containers
    def _op_list(self, _):
        self._stack.append(self._pop_to_mark())

    _op_frozenset = _op_list

    def _op_tuple(self, _):
        self._stack.append(tuple(self._pop_to_mark()))

    def _op_dict(self, _):
        items = self._pop_to_mark()
        self._stack.append({})
        self._set_items(items)

    def _op_append(self, _):
        self._extend([self.pop()])

    def _op_appends(self, _):
        self._extend(self._pop_to_mark())

    _op_additems = _op_appends

    def _op_setitem(self, _):
        value, key = self.pop(), self.pop()
        self._set_items([key, value])

    def _op_setitems(self, _):
        self._set_items(self._pop_to_mark())

    def _extend(self, items):
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(items)
        elif not isinstance(self._stack[-1], Skipped):
            raise RefusedError("the pickle in it is damaged (append to no list)")

    def _set_items(self, items):
        target = self._stack[-1]
        if isinstance(target, Skipped):
            return
        if not isinstance(target, dict):
            raise RefusedError("the pickle in it is damaged (item of no dict)")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Other keys occur in metadata only. Hashing them may recurse deeply.
            if isinstance(key, SCALARS):
                target[key] = value

    # ------------------------------------------------------------ names, objects
    def _op_global(self, argument):
        self._push_name(".".join(argument.split(" ", 1)))

    def _op_stack_global(self, _):
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise RefusedError("the pickle in it is damaged (a name is no text)")
        self._push_name(f"{module}.{name}")

    def _push_name(self, text):
        if text not in self._builders and not _is_skipped(text):
            raise RefusedError(
                f"it asks for {text[:200]!r}, which is neither a tensor nor a container"
            )
        self._stack.append(Name(text))

    def _op_reduce(self, _):
        arguments, function = self.pop(), self.pop()
        self._stack.append(self._build(function, arguments))

    _op_newobj = _op_reduce

    def _op_newobj_ex(self, _):
        self.pop()
        self._op_reduce(None)

    def _build(self, function, arguments):
        if isinstance(function, Skipped):
            return function
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise RefusedError("the pickle in it is damaged (a call of no name)")
        builder = self._builders.get(function.text)
        return builder(*arguments) if builder else Skipped(function.text)

    def _op_build(self, _):
        state = self.pop()
        target = self._stack[-1]
        if isinstance(target, Built):
            target.state = state
        elif not isinstance(target, dict | list | Skipped):
            # Attributes of dictionaries (a state dict's versions) are not needed.
            raise RefusedError("the pickle in it is damaged (attributes of no object)")

    def _op_binpersid(self, _):
        if self._persistent is None:
            raise RefusedError("it refers to objects outside of its pickle")
        self._stack.append(self._persistent(self.pop()))


def _is_skipped(name: str) -> bool:
    return name.partition(".")[0] in SKIPPED_PACKAGES or name in SKIPPED_NAMES


def _ordered_dict(pairs=()):
    # Python 2 gives the items as an argument, Python 3 sets them afterwards.
    return {key: value for key, value in pairs if isinstance(key, SCALARS)}


def _list(items=()):
    return items if isinstance(items, list) else list(items)


_CONTAINERS = {
    "collections.OrderedDict": _ordered_dict,
    "collections.defaultdict": lambda factory=None: {},
    "collections.Counter": lambda counts=None: {} if counts is None else counts,
    "torch.Size": lambda sizes=(): tuple(sizes),
    "copy_reg._reconstructor": lambda cls, base, state: Skipped(cls.text),
}
_CONTAINERS |= {
    f"{module}.{kind}": _list
    for module in ("builtins", "__builtin__")
    for kind in ("set", "frozenset", "list")
}
# These push what stands behind them in the file.
_CONSTANTS = frozenset(
    [
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
        *("FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    ]
)
_VALUES = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = frozenset({"PROTO", "FRAME", "STOP"})
