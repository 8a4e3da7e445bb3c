"""Runs one of CASA's graphical programs so that nothing of it remains, and nobody else can reach it.

    python -I -S confine.py FIFO DIRECTORY PROGRAM ARGUMENT...

CASA's viewers take commands on a TCP port of all network interfaces, and ask for no password. So a program gets a
network of its own (a network namespace), in which this process passes on what comes to a socket in DIRECTORY, which
only its user can enter. It gets a process and a mount namespace, too: with the first process of the former, Linux ends
all others of it, however they have detached themselves, and takes away their mounts. That matters for AppImages, whose
FUSE helper may miss, for good, that its program has ended: libfuse 2 looks at its flag, and then waits for a request.

Some systems do not allow namespaces of processes (where /proc is masked, as in many containers), or none at all. There
this process ends the helper itself; in the latter case, whoever reaches the machine can reach the program's port.

The address at which the program serves is written into FIFO. DIRECTORY is removed in the end. Standard input is the
life line, a socket: when its other end is closed, all ends; when the program has ended, it says so at once, while its
helper may take a moment more. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

_NEWNS, _NEWUSER, _NEWPID, _NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000  # sched.h
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_CAP_AMBIENT, _RAISE = 1, 36, 47, 2  # prctl.h
_CAP_SYS_ADMIN = 21
_MS_REC_SLAVE = 0x4000 | 0x80000  # what is mounted later is seen within, but nothing of ours without
_MNT_DETACH = 2
_MS_PROC = 0x2 | 0x4 | 0x8  # nosuid, nodev, noexec
_SIOCSIFFLAGS, _IFF_UP_RUNNING = 0x8914, 0x1 | 0x40
_GO_S = 3.0  # seconds in which a FUSE helper must have gone

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def enter() -> None:
    """Go into namespaces of one's own, but for that of processes: see `_start`.

    Raises:
        OSError: it is not allowed here; one may be half in.
    """
    user, group = os.geteuid(), os.getegid()
    spaces = _NEWNET | _NEWNS
    if _libc.unshare(_NEWUSER | spaces) == 0:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as stream:
                stream.write(text)
        _keep_right_to_mount()
    else:
        _check(_libc.unshare(spaces), "unshare")  # root, where user namespaces are forbidden
    _check(_libc.mount(b"none", b"/", None, _MS_REC_SLAVE, None), "mount")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        fcntl.ioctl(one, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP_RUNNING))


def _keep_right_to_mount() -> None:
    """An AppImage mounts itself: the programs that we execute keep that right, in their own namespace only."""
    header, sets = struct.pack("Ii", 0x20080522, 0), (ctypes.c_uint32 * 6)()  # capability.h, version 3
    _check(_libc.capget(header, sets), "capget")
    sets[2] |= 1 << _CAP_SYS_ADMIN  # inheritable
    _check(_libc.capset(header, sets), "capset")
    _check(_libc.prctl(_PR_CAP_AMBIENT, _RAISE, _CAP_SYS_ADMIN, 0, 0), "prctl")


def _own_processes() -> int:
    """Start the first child of a process namespace; 0 in the child, its former process id in the parent.

    Who asks for such a namespace is not in it, and can have no more threads.
    """
    _check(_libc.unshare(_NEWPID | _NEWNS), "unshare")
    child = os.fork()
    if not child:  # programs look into /proc under their own number
        _check(_libc.mount(b"proc", b"/proc", b"proc", _MS_PROC, None), "mount /proc")
    return child


def possible(processes: bool) -> bool:
    """Whether a program can have namespaces of its own here, found by trial. ``processes``: also one of processes."""
    trial = os.fork()
    if not trial:
        code = 1
        try:
            enter()
            child = _own_processes() if processes else 0
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if child else 0
        finally:
            os._exit(code)
    return os.waitpid(trial, 0)[1] == 0


# ---------------------------------------------------------------------------------------------- processes


def _execute(command: list[str]) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
        os._exit(127)


def _first_process(command: list[str]) -> None:
    """The first process of the namespace: with it, all others end. SIGTERM asks it to end the program."""
    program: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: os.kill(program[0], signal.SIGKILL) if program else os._exit(1))
    program.append(os.fork())
    if not program[0]:
        _execute(command)
    while True:
        ended, status = os.wait()
        if ended == program[0]:
            _tell_end()
            _end_helpers(command[0])  # that it takes its directory away; its mount would go anyway
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _start(processes: bool, command: list[str]) -> int:
    """Start the program, or the first process of its namespace; its process id."""
    life, other = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(other)
            if processes and _own_processes():
                os._exit(0)
            _begin(processes, life, command)
        finally:
            os._exit(127)
    os.close(life)
    if processes:
        os.waitpid(child, 0)
        (child,) = _children()  # an orphan, and so ours
    os.write(other, b"\n")
    return child


def _begin(processes: bool, life: int, command: list[str]) -> None:
    """``life``: tells when one is the child of who is to be followed; and only that one holds its other end."""
    if os.read(life, 1):
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if not select.select([life], [], [], 0)[0]:
            os.close(life)
            _first_process(command) if processes else _execute(command)


def _follow(owner: int, child: int, sign: int) -> None:
    """End the child when the owner is gone, or wants it."""
    while os.read(owner, 1024):
        pass
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, sign)


def _tell_end() -> None:
    with contextlib.suppress(OSError):  # nobody wants to know
        os.write(0, b"\n")


def _end_helpers(image: str) -> None:
    """Wait for the FUSE helper of an AppImage, an orphan that has become our child; see the module."""
    threading.Thread(target=_wake, args=(image,), daemon=True).start()
    end = time.monotonic() + _GO_S
    while _children() and time.monotonic() < end:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        time.sleep(0.02)
    for helper in _children():
        os.kill(helper, signal.SIGKILL)
        os.waitpid(helper, 0)
    for mount in _mounts(image):
        if _ask(mount) == errno.ENOTCONN:  # its helper was killed
            if _libc.umount2(os.fsencode(mount), _MNT_DETACH):  # without a namespace: not ours to unmount
                subprocess.run(["fusermount", "-u", "-z", mount], check=False, stderr=subprocess.DEVNULL)
            with contextlib.suppress(OSError):
                os.rmdir(mount)


def _wake(image: str) -> None:
    while True:
        for mount in _mounts(image):
            _ask(mount)
        time.sleep(0.1)


def _ask(mount: str) -> int | None:
    """Ask for something that Linux cannot answer from memory, so that the mount's helper must; the error."""
    try:
        os.stat(f"{mount}/.{time.monotonic_ns()}")
    except OSError as error:
        return error.errno
    return None


def _mounts(image: str) -> list[str]:
    with open("/proc/self/mounts") as stream:
        mounts = [line.split() for line in stream]
    return [fields[1] for fields in mounts if fields[2] == f"fuse.{os.path.basename(image)}"]


def _children() -> list[int]:
    with open(f"/proc/self/task/{os.getpid()}/children") as stream:
        return [int(child) for child in stream.read().split()]


# ---------------------------------------------------------------------------------------------- the network


def _serve(inner: str, fifo: str, directory: str) -> None:
    """Pass on what comes to a socket in the directory to the program, once that has told its address."""
    with open(inner) as stream:
        address = stream.readline().strip()
    port = address.rpartition(":")[2]
    if not port.isdigit():
        return  # it has ended
    with socket.socket(socket.AF_UNIX) as door:
        path = f"{directory}/socket"
        door.bind(path)
        door.listen()
        with open(fifo, "w") as stream:
            stream.write(f"unix:{path}\n")
        while True:
            guest = door.accept()[0]
            try:
                host = socket.create_connection(("127.0.0.1", int(port)))
            except OSError:
                guest.close()
                continue
            for one, other in ((guest, host), (host, guest)):
                threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # either side has gone
        while data := source.recv(1 << 16):
            target.sendall(data)
    for side in (source, target):
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


# ---------------------------------------------------------------------------------------------- all together


def main() -> int:
    """See the module; the result is the program's exit code, or minus the signal that ended it."""
    fifo, directory, *command = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
        processes = possible(processes=True)
        private = processes or possible(processes=False)
        if private:
            enter()
        inner = f"{directory}/address" if private and fifo else fifo
        if inner != fifo:
            os.mkfifo(inner, 0o600)
        child = _start(processes, [argument.replace("{fifo}", inner) for argument in command])
        sign = signal.SIGTERM if processes else signal.SIGKILL
        threading.Thread(target=_follow, args=(0, child, sign), daemon=True).start()
        if inner != fifo:
            threading.Thread(target=_serve, args=(inner, fifo, directory), daemon=True).start()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if not processes:
            _tell_end()
            _end_helpers(command[0])
        elif code > 128:
            code = 128 - code
        return code
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    result = main()
    if result < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no other
            signal.signal(-result, signal.SIG_DFL)
        os.kill(os.getpid(), -result)
    os._exit(result)
