"""The stack and memo of a pickle, without what makes pickles dangerous: a name stays a text, and nothing is called.

Two rooms read strangers' pickles: verification packs (data.formats.pickles) and checkpoints (models.files.inert). Each
derives a machine that says what names, calls and buffers mean to it. A step is allowed if its machine has a method
`do_<step>`; the method of every other step is `refuse`. Steps are named, and their arguments read, as in the standard
library's pickletools, which documents each of them.
"""

from __future__ import annotations

from typing import Any, NoReturn

MARK = object()
NUMBERS = frozenset({"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"})
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


class Unreadable(Exception):
    """What is wrong with a pickle, without the file's name."""


def wrong(message: str) -> NoReturn:
    raise Unreadable(message)


class Machine:
    """Steps that every machine has: constants, lists, tuples and the memo. Raises Unreadable."""

    plain = NUMBERS
    """Steps whose argument is what they put on the stack."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}  # a dictionary: index 4 billion costs what index 0 does

    def refuse(self, step: str) -> NoReturn:
        """For a step that this machine does not have."""
        raise NotImplementedError

    def name(self, module: str, name: str) -> None:
        """Put on the stack what stands for a class or function of Python."""
        raise NotImplementedError

    def word(self, value: Any) -> str:
        """A text of the pickle that is a name."""
        if not isinstance(value, str):
            wrong("its pickle has something else where a name belongs")
        return value

    def allows(self, step: str) -> bool:
        return step in self.plain or step in _CONSTANTS or hasattr(self, f"do_{step.lower()}")

    def step(self, step: str, argument: Any) -> None:
        """Carry out one step; argument: as pickletools reads it, None where there is none."""
        if step in self.plain:
            self.stack.append(argument)
        elif step in _CONSTANTS:
            self.stack.append(_CONSTANTS[step])
        else:
            method = getattr(self, f"do_{step.lower()}", None)
            if method is None:
                self.refuse(step)
            method(argument) if argument is not None else method()

    def pop(self, count: int = 1) -> list[Any]:
        taken = self.stack[-count:]
        if len(taken) < count or any(value is MARK for value in taken):
            wrong("its pickle takes more than it has")
        del self.stack[-count:]
        return taken

    def since_mark(self) -> list[Any]:
        taken: list[Any] = []
        while self.stack:
            value = self.stack.pop()
            if value is MARK:
                return taken[::-1]
            taken.append(value)
        wrong("its pickle takes more than it has")

    def last(self) -> Any:
        if not self.stack or self.stack[-1] is MARK:
            wrong("its pickle takes more than it has")
        return self.stack[-1]

    def extend(self, values: list[Any]) -> None:
        target = self.last()
        if not isinstance(target, list):
            wrong("its pickle appends to something that is not a list")
        target.extend(values)

    def do_mark(self) -> None:
        self.stack.append(MARK)

    def do_put(self, index: int) -> None:
        self.memo[index] = self.last()

    do_binput = do_long_binput = do_put

    def do_memoize(self) -> None:
        self.memo[len(self.memo)] = self.last()

    def do_get(self, index: int) -> None:
        if index not in self.memo:
            wrong("its pickle names a value that it never had")
        self.stack.append(self.memo[index])

    do_binget = do_long_binget = do_get

    def do_empty_list(self) -> None:
        self.stack.append([])

    def do_list(self) -> None:
        self.stack.append(self.since_mark())

    def do_append(self) -> None:
        self.extend(self.pop())

    def do_appends(self) -> None:
        self.extend(self.since_mark())

    def do_tuple(self) -> None:
        self.stack.append(tuple(self.since_mark()))

    def do_tuple1(self) -> None:
        self.stack.append(tuple(self.pop(1)))

    def do_tuple2(self) -> None:
        self.stack.append(tuple(self.pop(2)))

    def do_tuple3(self) -> None:
        self.stack.append(tuple(self.pop(3)))

    def do_global(self, both: str) -> None:
        self.name(*both.split(" ", 1))

    def do_stack_global(self) -> None:
        module, name = self.pop(2)
        self.name(self.word(module), self.word(name))
