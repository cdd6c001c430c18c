"""What the type checkers accept of encrypted jobs, and must refuse."""

from typing import assert_type

from longshore import Job, JobHandle, Longshore

jobs = Longshore("memory://", encryption_keys=["k1:..."])
Longshore("memory://", encryption_keys="env:JOB_KEYS")
Longshore("memory://", encryption_keys=[b"k1"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


@jobs.job(encrypt=True)
def send(user_id: int) -> str:
    return f"sent to {user_id}"


class Send(Job, app=jobs):
    encrypt = True

    def perform(self, user_id: int) -> str:
        return f"sent to {user_id}"


assert_type(send.using(encrypt=False).enqueue(7), JobHandle[str])
assert_type(Send.using(encrypt=True).enqueue(7), JobHandle[str])
jobs.job(encrypt="yes")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
send.using(encrypt=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
