"""What the pickle inside a checkpoint says, without running it: names, numbers, texts and tensors; all else is a placeholder.

A pickle is a program that names functions of Python and calls them. Here a name stays a text: it is never looked up,
imported or called. The few calls that tensors and dictionaries are written with are rules of this file; the result of
any other call is an Inert. So a checkpoint may hold callbacks, settings or numpy scalars beside its weights: the tensors
are taken, and no code of the file runs. Names that only an attack asks for are refused all the same.
Source of the operations: CPython Lib/pickletools.py; of the tensors' form: torch/_utils.py and torch/serialization.py.
"""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

MAX_STEPS = 500_000
"""Operations of one pickle. iResNet-200 with AdamW's state takes 150,000; each is a microsecond and up to 100 bytes."""
LARGEST_KEY = 2**60
"""Of whole numbers as keys. Larger ones can be chosen so that all fall into one place of the table: hours of looking up."""

ELEMENT_BYTES = {
    f"torch.{kind}Storage": size
    for size, kinds in {1: "Bool Byte Char", 2: "Short Half BFloat16", 4: "Int Float", 8: "Long Double ComplexFloat"}.items()
    for kind in kinds.split()
} | {"torch.storage.UntypedStorage": 1, "torch.ComplexDoubleStorage": 16}  # fmt: skip
OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg", "commands": "subprocess", "_io": "io"}
"""Modules as pickles of protocol 2, which torch writes, still call them."""
ATTACKS = re.compile(
    r"(os|posix|nt|sys|subprocess|importlib|runpy|ctypes|_ctypes|socket|_socket|shutil|pty|marshal|codeop|webbrowser|pip"
    r"|pdb|bdb|timeit|cProfile|doctest|ftplib|smtplib|pickle|_pickle|dill|cloudpickle|joblib|pydoc)\..*"
    r"|builtins\.(eval|exec|compile|__import__|open|input|breakpoint|execfile|file|apply|globals|locals|vars|setattr|delattr)"
    r"|io\.(open|open_code|FileIO)|types\.(CodeType|FunctionType|LambdaType)|code\.(interact|Interactive\w+)"
    r"|torch\.(hub|jit|load|package|ops|classes)(\..*)?|torch\.utils\.(cpp_extension|model_zoo)\..*"
    r"|torch\.serialization\.(?!_get_layout).*|numpy\.(load|fromfile|memmap)|numpy\.(testing|f2py)\..*"
)
"""Names that no training loop stores and that run programs, open files or reach others."""
ALLOCATIONS = re.compile(r"builtins\.bytearray|torch\.(cuda\.)?\w*Tensor")
"""Calls that would take as much memory as they are told to."""
DICTIONARIES = ("collections.OrderedDict", "collections.defaultdict", "collections.Counter", "builtins.dict")
_MARK = object()


class Unreadable(Exception):
    """What is wrong with the pickle, without the file's name."""


class Hostile(Exception):
    """The pickle asks for something that no checkpoint needs; the message begins with a verb: "asks for subprocess.Popen"."""


@dataclass(frozen=True, slots=True, eq=False)
class Name:
    """A class or function of Python that the file mentions; nothing but its name."""

    full: str


class Inert(dict[Any, Any]):
    """A placeholder for an object of an unknown class: without code and state; the items of a dictionary's subclass stay."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other


@dataclass(frozen=True, slots=True)
class Storage:
    """Numbers that lie elsewhere in the file: their type as torch names it, under which key, and how many."""

    kind: str
    key: str
    count: int

    @property
    def declared(self) -> int:
        """Its bytes."""
        return self.count * ELEMENT_BYTES[self.kind]


@dataclass(frozen=True, slots=True)
class View:
    """A tensor as it is written: numbers of a storage, from `offset` on, by sizes and strides; dtype: where it is said."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str = ""


@dataclass(slots=True)
class Content:
    """value: what the pickle holds; storages: the largest declared under each key; classes: unknown names, in order."""

    value: Any = None
    storages: dict[str, Storage] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)


def read_content(stream: io.BytesIO, tensor: Callable[[View], Any] = lambda view: view) -> Content:
    """What the pickle at the stream's position holds; `tensor` makes a tensor of a View. Leaves the stream after it.

    Raises Unreadable and Hostile. Memory and time are bounded by MAX_STEPS and the stream's own length.
    """
    machine = _Machine(tensor)
    try:
        for step, (operation, argument, _) in enumerate(pickletools.genops(stream)):
            if step >= MAX_STEPS:
                _wrong(f"its pickle takes more than {MAX_STEPS:,} steps")
            machine.step(operation.name, argument)
    except (ValueError, IndexError, UnicodeDecodeError, OverflowError, MemoryError, RecursionError) as error:
        raise Unreadable(str(error)) from error
    return machine.content


class _Machine:
    def __init__(self, tensor: Callable[[View], Any]) -> None:
        self.tensor = tensor
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}  # a dictionary: index 4 billion costs what index 0 does
        self.content = Content()

    def step(self, name: str, argument: Any) -> None:
        if name in _PLAIN:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name not in _IGNORED:
            method = getattr(self, f"do_{name.lower()}", None)
            if method is None:
                raise Hostile(f"uses {name}, which torch.save does not write")
            method(argument) if argument is not None else method()

    def pop(self, count: int = 1) -> list[Any]:
        taken = self.stack[-count:]
        if len(taken) < count or any(value is _MARK for value in taken):
            _wrong("its pickle takes more than it has")
        del self.stack[-count:]
        return taken

    def since_mark(self) -> list[Any]:
        taken: list[Any] = []
        while self.stack:
            value = self.stack.pop()
            if value is _MARK:
                return taken[::-1]
            taken.append(value)
        _wrong("its pickle takes more than it has")

    def last(self) -> Any:
        (value,) = self.pop()
        self.stack.append(value)
        return value

    def do_mark(self) -> None:
        self.stack.append(_MARK)

    def do_stop(self) -> None:
        (self.content.value,) = self.pop()

    def do_pop(self) -> None:
        if not self.stack:
            _wrong("its pickle takes more than it has")
        self.stack.pop()

    def do_pop_mark(self) -> None:
        self.since_mark()

    def do_dup(self) -> None:
        self.stack.append(self.last())

    def do_put(self, index: int) -> None:
        self.memo[index] = self.last()

    do_binput = do_long_binput = do_put

    def do_memoize(self) -> None:
        self.memo[len(self.memo)] = self.last()

    def do_get(self, index: int) -> None:
        if index not in self.memo:
            _wrong("its pickle names a value that it never had")
        self.stack.append(self.memo[index])

    do_binget = do_long_binget = do_get

    def do_list(self) -> None:
        self.stack.append(self.since_mark())

    def do_tuple(self) -> None:
        self.stack.append(tuple(self.since_mark()))

    def do_tuple1(self) -> None:
        self.stack.append(tuple(self.pop(1)))

    def do_tuple2(self) -> None:
        self.stack.append(tuple(self.pop(2)))

    def do_tuple3(self) -> None:
        self.stack.append(tuple(self.pop(3)))

    def do_frozenset(self) -> None:
        self.since_mark()
        self.stack.append(Inert("builtins.frozenset"))

    def do_dict(self) -> None:
        items = self.since_mark()
        self.stack.append({})
        self.set_items(items)

    def do_setitem(self) -> None:
        self.set_items(self.pop(2))

    def do_setitems(self) -> None:
        self.set_items(self.since_mark())

    def set_items(self, items: list[Any]) -> None:
        target = self.last()
        if not isinstance(target, dict) or len(items) % 2:
            _wrong("its pickle sets an entry of something that has none")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_key(key)] = value

    def do_append(self) -> None:
        self.extend(self.pop())

    def do_appends(self) -> None:
        self.extend(self.since_mark())

    do_additems = do_appends

    def extend(self, values: list[Any]) -> None:
        target = self.last()
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, Inert):
            _wrong("its pickle appends to something that is not a list")

    def do_build(self) -> None:
        """A state is dropped: it belongs to an Inert, or it is what torch notes beside a dictionary of tensors."""
        self.pop()
        self.last()

    def do_global(self, both: str) -> None:
        self.name(*both.split(" ", 1))

    def do_stack_global(self) -> None:
        module, name = self.pop(2)
        if not isinstance(module, str) or not isinstance(name, str):
            _wrong("its pickle has something else where a name belongs")
        self.name(module, name)

    def name(self, module: str, name: str = "") -> None:
        full = f"{OLD_MODULES.get(module, module)}.{name}"[:200]
        if ATTACKS.fullmatch(full):
            raise Hostile(f"asks for {full}, which could run code and was not loaded")
        self.stack.append(Name(full))

    def do_inst(self, both: str) -> None:
        self.name(*both.split(" ", 1))
        (what,) = self.pop()
        self.since_mark()
        self.stack.append(self.inert(what))

    def do_obj(self) -> None:
        self.stack.append(self.inert(next(iter(self.since_mark()), None)))

    def do_newobj(self) -> None:
        self.stack.append(self.call(*self.pop(2)))

    def do_newobj_ex(self) -> None:
        what, arguments, _ = self.pop(3)
        self.stack.append(self.call(what, arguments))

    def do_reduce(self) -> None:
        self.stack.append(self.call(*self.pop(2)))

    def inert(self, what: Any) -> Inert:
        name = what.full if isinstance(what, Name) else "an unknown class"
        if name not in self.content.classes and len(self.content.classes) < 100:
            self.content.classes.append(name)
        return Inert(name)

    def do_binpersid(self) -> None:
        (form,) = self.pop()
        if isinstance(form, tuple) and len(form) == 6 and form[5] is None:
            form = form[:5]  # files of torch < 1.6 name a view here, or None
        match form:
            case ("storage", Name(kind), str(key), str(), int(count)) if kind in ELEMENT_BYTES and count >= 0:
                storage = Storage(kind, key, int(count))
            case ("module", Name() as what, *_):  # files of torch < 1.6 name a network's class so, with its source code
                self.stack.append(what)
                return
            case _:
                _strange()
        largest = self.content.storages.get(key)
        if largest is None or storage.declared > largest.declared:
            self.content.storages[key] = storage
        self.stack.append(storage)

    def call(self, function: Any, arguments: Any) -> Any:
        """What a call stands for: the handful that tensors and dictionaries need; nothing is ever called."""
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            return self.inert(None)
        full = function.full
        if full.startswith(("torch._utils._rebuild_tensor", "torch._utils._rebuild_parameter")):
            return self.rebuilt(full.rpartition(".")[2], arguments)
        if full == "torch._tensor._rebuild_from_type_v2" and len(arguments) == 4:
            return self.call(arguments[0], arguments[2])
        if full in DICTIONARIES:
            return dict(_pairs(arguments))
        if full == "torch.Size" and len(arguments) == 1 and isinstance(arguments[0], tuple):
            return arguments[0]
        if ALLOCATIONS.fullmatch(full):
            raise Hostile(f"calls {full}, which takes any amount of memory")
        return self.inert(function)

    def rebuilt(self, function: str, arguments: tuple[Any, ...]) -> Any:
        match (function, arguments):
            case ("_rebuild_parameter" | "_rebuild_parameter_with_state", (tensor, bool(), *_)):
                return tensor
            case ("_rebuild_tensor", (Storage() as storage, int(offset), tuple(size), tuple(stride))):
                return self.tensor(View(storage, offset, *_sides(size, stride)))
            case ("_rebuild_tensor_v2", (Storage() as storage, int(offset), tuple(size), tuple(stride), bool(), _, *_)):
                return self.tensor(View(storage, offset, *_sides(size, stride)))
            case (
                "_rebuild_tensor_v3",
                (Storage() as storage, int(offset), tuple(size), tuple(stride), bool(), _, Name(dtype), *_),
            ):
                return self.tensor(View(storage, offset, *_sides(size, stride), dtype))
        _strange()


_PLAIN = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "FLOAT", "BINFLOAT",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": lambda: Inert("builtins.set"),
}  # fmt: skip
_IGNORED = {"PROTO", "FRAME"}


def _key(value: Any) -> Any:
    """A key that is quickly looked up, whoever chose it; anything else keeps its entry under a placeholder."""
    plain = isinstance(value, str | bytes | bool | None | Name | Inert)
    return value if plain or (isinstance(value, int) and abs(value) < LARGEST_KEY) else Inert("a key")


def _pairs(arguments: tuple[Any, ...]) -> Iterator[tuple[Any, Any]]:
    """The entries that a dictionary is made with: none, a dictionary, or a list of pairs (Python 2's OrderedDict)."""
    for argument in arguments:
        entries = argument.items() if isinstance(argument, dict) else argument if isinstance(argument, list) else ()
        yield from ((_key(pair[0]), pair[1]) for pair in entries if isinstance(pair, tuple | list) and len(pair) == 2)


def _sides(size: tuple[Any, ...], stride: tuple[Any, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if len(size) != len(stride) or not all(isinstance(side, int) and 0 <= side < 2**62 for side in (*size, *stride)):
        _strange()
    return size, stride


def _strange() -> NoReturn:
    raise Hostile("declares its tensors in a way that torch.save does not write")


def _wrong(message: str) -> NoReturn:
    raise Unreadable(message)
