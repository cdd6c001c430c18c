"""Encrypts what a job carries: arguments, result, steps. AES-256-GCM; how is in docs/adr/0024.

What is encrypted is a *box*: JSON that names its key and holds nonce, ciphertext and tag in base64.
A box is bound to what it is, and to the job and its kind: anywhere else it does not open. The nonce
is a keyed digest of all that and of the content, so the same call sealed twice is the same box: by
that a repeated enqueue is told, and nothing in here needs chance or a clock.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from longshore.core.batches import marker, marks
from longshore.core.codec.outputs import Unfilled
from longshore.core.codec.text import VERSION
from longshore.core.keyring import Key
from longshore.core.model import Claimed, NewJob, Step
from longshore.core.wording import shown
from longshore.errors import ConfigurationError, InvalidOption, Undecryptable

if TYPE_CHECKING:
    from hmac import HMAC

NONCE: Final = 12
#: What is shown to people in place of what is encrypted.
SHOWN: Final = "[encrypted]"
#: How every box begins; no payload of a job that is not encrypted does.
HEAD: Final = f'{{"v":{VERSION},"kid":'.encode()

_INSTALL: Final = "pip install 'longshore[encryption]'"

_to_json: Final = msgspec.json.Encoder().encode


class _Box(msgspec.Struct, rename={"sealed_for": "as"}):
    kid: str
    box: str
    sealed_for: str | None = None  # a call that may move to another job: what it was made for
    of: str | None = None  # a result: the kind of its job, for who takes it as an argument
    outputs: dict[str, msgspec.Raw] = {}


_read_box: Final = msgspec.json.Decoder(_Box).decode


def is_box(data: bytes) -> bool:
    """Whether a payload is encrypted, or what a job with such a payload returned or saved.

    Example:
        >>> is_box(b'{"v":1,"kid":"k1","box":"..."}'), is_box(b'{"v":1,"args":[42]}')
        (True, False)
    """
    return data.startswith(HEAD)


class _Opener(NamedTuple):
    """What one key is good for; derived, so that no two uses share a key."""

    cipher: Any  # an AESGCM of `cryptography`, which is loaded for it
    nonces: HMAC  # with its key and nothing else: copied it costs half of one made anew
    begin: bytes  # of every box, up to what is in it


class Sealer:
    """The keys of an application, at work: the first seals, all open. Threads may share it.

    >>> from longshore.core.keyring import read_keys
    >>> sealer = Sealer(read_keys("k1:" + 43 * "A" + "="))
    >>> box = sealer.call("0192", "app.send", b'{"v":1,"args":[42]}')
    >>> sealer.opened_call("0192", "app.send", box)
    b'{"v":1,"args":[42]}'
    """

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = {key.kid: key for key in keys}
        self._first = keys[0].kid
        self._openers: dict[str, _Opener] = {}
        # Whatever their order, so that it stays the same while a key is being exchanged: names
        # that are dates begin with the oldest.
        self._texts = _derived(min(keys, key=lambda key: key.kid), b"keys of jobs")
        #: One text for each key: who has other keys has other texts. It does not tell the key.
        self.marks: Final = tuple(
            sorted(f"{k.kid}:{_derived(k, b'mark').hex()[:16]}" for k in keys)
        )

    def __repr__(self) -> str:
        return f"<sealer with the keys {', '.join(self._keys)}>"

    def check(self, what: str) -> None:
        """Be sure that something can be encrypted here.

        Raises:
            ConfigurationError: what encrypts is not installed.
        """
        try:
            self._opener(self._first)
        except ImportError:
            raise ConfigurationError(
                f"{what} is to be encrypted, and what does that is not installed: {_INSTALL}."
            ) from None

    def digest(self, text: bytes) -> str:
        """A text that is the same for equal texts, and tells nothing to who has not the keys."""
        return _mac(self._texts, text).hex()

    # --- calls --------------------------------------------------------------------------------

    def call(self, job_id: str, kind: str, payload: bytes, moves_from: str | None = None) -> bytes:
        """The payload of a call, encrypted for this job.

        ``moves_from``: others may get it in its place; what it was made for, instead of the job.
        Outputs that are still to come stay visible as marks, for the store to fill in.
        """
        for_, what = (job_id, "call") if moves_from is None else (moves_from, "call that moves")
        box = self._box(payload, what, for_, kind)
        if moves_from is not None:
            box += b',"as":' + _to_json(moves_from)
        if type(payload) is Unfilled:
            box += b',"outputs":' + _to_json({one: marker(one) for one in marks(payload)})
        return box + b"}"

    def opened_call(self, job_id: str, kind: str, payload: bytes) -> bytes:
        """The payload of a call as it was before.

        Raises:
            Undecryptable: not with these keys, or it was encrypted for another job.
        """
        box = _read(payload, job_id, kind)
        moved = box.sealed_for
        for_, what = (job_id, "call") if moved is None else (moved, "call that moves")
        call = self._opened(box, job_id, what, for_, kind)
        return self._filled(call, box.outputs, job_id) if box.outputs else call

    def moved(self, payload: bytes, was: NewJob, now: NewJob) -> bytes:
        """An encrypted call for the same job under another id."""
        box = _read(payload, was.id, was.kind)
        if was.id == now.id or box.sealed_for is not None:
            return payload
        call = self.opened_call(was.id, was.kind, payload)
        return self.call(now.id, now.kind, Unfilled.of(call, ()) if box.outputs else call)

    def _filled(self, call: bytes, outputs: dict[str, msgspec.Raw], job_id: str) -> bytes:
        taken = {
            f'"{marker(one)}"'.encode(): self._output(one, bytes(raw), job_id)
            for one, raw in outputs.items()
        }
        # In one pass: an output that looks like a mark is not filled again.
        return re.sub(b"|".join(map(re.escape, taken)), lambda found: taken[found[0]], call)

    def _output(self, source: str, raw: bytes, job_id: str) -> bytes:
        if not is_box(raw):
            return raw
        box = _read(raw, job_id, "the output that it takes")
        return raw if box.of is None else self._opened(box, job_id, "result", source, box.of)

    # --- what a run leaves --------------------------------------------------------------------

    def result(self, job_id: str, kind: str, data: bytes) -> bytes:
        """What a job returned, encrypted."""
        box = self._box(data, "result", job_id, kind)
        return box + b',"of":' + _to_json(kind) + b"}"

    def opened_result(self, job_id: str, kind: str, data: bytes) -> bytes:
        """What it returned; raises :class:`Undecryptable`."""
        return self._opened(_read(data, job_id, kind), job_id, "result", job_id, kind)

    def step(self, job_id: str, kind: str, step: Step) -> Step:
        """A step with its value encrypted."""
        value = self._box(step.value, "step", job_id, kind, step.name) + b"}"
        return msgspec.structs.replace(step, value=value)

    def opened_step(self, job_id: str, kind: str, step: Step) -> Step:
        """A step as it was; raises :class:`Undecryptable`."""
        if not is_box(step.value):  # saved before other arguments, encrypted ones, took its place
            return step
        box = _read(step.value, job_id, kind)
        value = self._opened(box, job_id, "step", job_id, kind, step.name)
        return msgspec.structs.replace(step, value=value)

    # --- boxes --------------------------------------------------------------------------------

    def _box(self, content: bytes, *bound: str) -> bytes:
        """An object that is not closed yet."""
        cipher, nonces, begin = self._opener(self._first)
        beside = _beside(bound)
        nonce = _nonce(nonces, beside, content)
        return (
            begin + b2a_base64(nonce + cipher.encrypt(nonce, content, beside), newline=False) + b'"'
        )

    def _opened(self, box: _Box, job_id: str, *bound: str) -> bytes:
        if box.kid not in self._keys:
            raise Undecryptable(
                f"job {job_id} was encrypted with the key {box.kid!r}, which is not among those of"
                f" this process ({', '.join(self._keys)}). Add it to encryption_keys; the job waits"
                " for a worker that has it."
            )
        try:
            cipher = self._opener(box.kid).cipher
        except ImportError:
            raise Undecryptable(
                f"job {job_id} is encrypted, and what decrypts is not installed: {_INSTALL}. The"
                " job waits for a worker that can."
            ) from None
        try:
            sealed = a2b_base64(box.box, strict_mode=True)
            content: bytes = cipher.decrypt(sealed[:NONCE], sealed[NONCE:], _beside(bound))
        except Exception:  # noqa: BLE001 - the wrong key, another job's, or no box at all: as one
            raise Undecryptable(
                f"job {job_id}: the key {box.kid!r} does not open what is stored ({bound[0]})."
                " Either this process has another key under that name, or it was changed in the"
                " store, or belongs to another job. The job waits for a worker that can."
            ) from None
        return content

    def _opener(self, kid: str) -> _Opener:
        found = self._openers.get(kid)
        if found is None:
            # Loaded with the first box: who encrypts nothing does not pay for it.
            from hmac import new  # noqa: PLC0415

            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

            key = self._keys[kid]
            cipher = AESGCM(_derived(key, b"content"))
            nonces = new(_derived(key, b"nonces"), digestmod="sha256")
            begin = HEAD + _to_json(kid) + b',"box":"'
            found = self._openers[kid] = _Opener(cipher, nonces, begin)
        return found


class Seal(NamedTuple):
    """What seals and opens for one run of an encrypted job."""

    sealer: Sealer
    job_id: str
    kind: str

    def result(self, data: bytes) -> bytes:
        """What it returned, encrypted."""
        return self.sealer.result(self.job_id, self.kind, data)

    def steps(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """Steps to save, encrypted."""
        return tuple(self.sealer.step(self.job_id, self.kind, step) for step in steps)

    def opened_steps(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """Steps that were saved, as they were."""
        return tuple(self.sealer.opened_step(self.job_id, self.kind, step) for step in steps)


def sealer_for(kind: str, encrypt: object, sealer: Sealer | None) -> Sealer | None:
    """What encrypts a job, if it is to be encrypted.

    Raises:
        InvalidOption: ``encrypt`` is neither true nor false.
        ConfigurationError: there is no key, or nothing that encrypts.
    """
    if not isinstance(encrypt, bool):
        raise InvalidOption(f"job {kind}: encrypt={shown(encrypt)} must be True or False.")
    if not encrypt:
        return None
    if sealer is None:
        raise ConfigurationError(
            f"job {kind} is to be encrypted, and there is no key. Make one with `longshore keys"
            " new`, and give it to every process of the application as LONGSHORE_ENCRYPTION_KEYS,"
            " or as encryption_keys= in code."
        )
    sealer.check(f"job {kind}")
    return sealer


def opened(sealer: Sealer, job: Claimed) -> tuple[Claimed, Seal]:
    """An encrypted job as its body gets it, and the seal for what it leaves.

    Raises:
        Undecryptable: this process cannot.
    """
    payload = sealer.opened_call(job.id, job.kind, job.payload)
    return msgspec.structs.replace(job, payload=payload), Seal(sealer, job.id, job.kind)


def _read(data: bytes, job_id: str, what: str) -> _Box:
    try:
        return _read_box(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Undecryptable(
            f"job {job_id}: what is stored as encrypted is not ({what}): it was changed in the"
            " store. The job waits for a worker that can read it."
        ) from None


def _beside(bound: Sequence[str]) -> bytes:
    """What a box is bound to, in one text that no other parts give."""
    return _to_json(["longshore", VERSION, *bound])


def _nonce(nonces: HMAC, beside: bytes, content: bytes) -> bytes:
    mac = nonces.copy()
    mac.update(len(beside).to_bytes(8, "big") + beside + content)
    return mac.digest()[:NONCE]


def _derived(key: Key, use: bytes) -> bytes:
    return _mac(key.secret, b"longshore 1 " + use)


def _mac(key: bytes, text: bytes) -> bytes:
    # It loads OpenSSL, 4 ms of every start that who encrypts nothing need not pay.
    from hmac import digest  # noqa: PLC0415

    return digest(key, text, "sha256")
