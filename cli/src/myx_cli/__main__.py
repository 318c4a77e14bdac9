"""The `myx` command."""

import gc
import sys
from collections.abc import Callable
from importlib import import_module

from myx_cli.errors import BROKEN_PIPE, INTERRUPTED, MYX_FAILED, Failure
from myx_cli.output import note, note_fault, open_standard_descriptors
from myx_cli.parser import parse


def main() -> int:
    """Does what the command line says; the exit code. Never a traceback, unless MYX_DEBUG is set."""
    # Nothing here makes cycles; looking for them costs a third of a large log's time.
    gc.disable()
    open_standard_descriptors()
    try:
        arguments, handler = parse(sys.argv[1:])
        module, _, name = handler.partition(":")
        run: Callable[[object], int] = getattr(import_module(module), name)
        return run(arguments)
    except Failure as failure:
        note(failure.message)
        return failure.exit_code
    except BrokenPipeError:
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 (the last edge: a fault of ours is one line, too)
        note_fault(error)
        return MYX_FAILED


if __name__ == "__main__":
    sys.exit(main())
